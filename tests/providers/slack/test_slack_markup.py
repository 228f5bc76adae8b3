"""mrkdwn and Markdown, each as the other: a table of what people write, and nothing lost whatever they write."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.models import TextFormat
from providers.slack.emoji import emoji_of, name_of
from providers.slack.markup import entities, from_mrkdwn, literal, mentioned, to_mrkdwn
from providers.text import clean

NAMES = {"U1ANN": "Ann", "C1GENERAL": "general"}
P, M = TextFormat.PLAIN, TextFormat.MARKDOWN


@pytest.mark.parametrize(
    ("mrkdwn", "text", "format"),
    [
        ("hello", "hello", P),
        ("a &lt;b&gt; &amp; c", "a <b> & c", P),
        ("&amp;lt;", "&lt;", P),
        ("2*3*4 snake_case_name a~b", "2*3*4 snake_case_name a~b", P),
        ("*bold* _italic_ ~struck~", "**bold** _italic_ ~~struck~~", M),
        ("*bold _both_*", "**bold _both_**", M),
        ("`a &lt; b *c*`", "`a < b *c*`", M),
        ("```\nx = 1\n*y*\n```", "```\nx = 1\n*y*\n```", M),
        ("<@U1ANN> see <#C1GENERAL>", "@Ann see #general", P),
        ("<@U9ZOE> <@U2BOB|bob> <#C2|random> <#C3|>", "@U9ZOE @bob #random #C3", P),
        ("<!here> <!channel> <!subteam^S1|@team> <!subteam^S2>", "@here @channel @team @S2", P),
        ("<!date^1392734382^{date} at {time}|18 February>", "18 February", P),
        ("<https://a.example/x?y=1&amp;z>", "https://a.example/x?y=1&z", P),
        ("<http://a.example|a.example> <mailto:x@a.example|x@a.example>", "a.example x@a.example", P),
        ("<https://a.example/(x)|the page>", "[the page](https://a.example/%28x%29)", M),
        (":wave: :+1::skin-tone-3: :our_own: 12:30:45", "👋 👍🏼 :our_own: 12:30:45", P),
        ("`:wave:`", "`:wave:`", M),
        ("*b* 2*3 [x](y) # no", "**b** 2\\*3 \\[x](y) # no", M),
        ("*open", "*open", P),
        ("say &lt;@U1ANN&gt; or &lt;!channel&gt;", r"say \<@U1ANN> or \<!channel>", M),
    ],
)
def test_reads_mrkdwn(mrkdwn: str, text: str, format: TextFormat) -> None:
    assert from_mrkdwn(mrkdwn, NAMES) == (text, format)


@pytest.mark.parametrize(
    ("markdown", "mrkdwn"),
    [
        ("hello", "hello"),
        ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
        ("**bold** __too__ *italic* _too_ ~~struck~~", "*bold* *too* _italic_ _too_ ~struck~"),
        ("**bold and *italic***", "*bold and _italic_*"),
        ("# Title of **it**", "*Title of it*"),
        ("- one\n* two", "• one\n• two"),
        ("> said **so**", "> said *so*"),
        ("`a<b`", "`a&lt;b`"),
        ("```py\nx<1\n```", "```\nx&lt;1\n```"),
        ("[the page](https://a.example/x?a=1&b=2)", "<https://a.example/x?a=1&amp;b=2|the page>"),
        ("[a|b](https://a.example/c|d)", "<https://a.example/c%7Cd|a¦b>"),
        ("<@U1ANN> <#C1GENERAL>", "<@U1ANN> <#C1GENERAL>"),
        ("<!here> **<!channel>** <!subteam^S1TEAM>", "&lt;!here&gt; *&lt;!channel&gt;* &lt;!subteam^S1TEAM&gt;"),
        (r"\<@U1ANN> \<!here>", "&lt;@U1ANN&gt; &lt;!here&gt;"),
        ("<script> <!evil> <https://x.example>", "&lt;script&gt; &lt;!evil&gt; &lt;https://x.example&gt;"),
        ("2*3*4 x**2 snake_case", "2*3*4 x**2 snake_case"),
        ("[no](javascript:alert)", "[no](javascript:alert)"),
    ],
)
def test_writes_mrkdwn(markdown: str, mrkdwn: str) -> None:
    assert to_mrkdwn(markdown) == mrkdwn


def test_a_whole_channel_is_called_only_where_that_is_allowed() -> None:
    assert to_mrkdwn("up: <!here> <!subteam^S1TEAM>", mass_mentions=True) == "up: <!here> <!subteam^S1TEAM>"


@pytest.mark.parametrize("written", ["&lt;@U1ANN&gt;", "&lt;!channel&gt;", "&lt;#C1GENERAL&gt;", "&lt;!subteam^S1TEAM&gt;"])
def test_what_somebody_only_wrote_about_calls_nobody_when_it_is_repeated(written: str) -> None:
    assert to_mrkdwn(from_mrkdwn(written, {})[0]) == written


def test_an_escaped_mark_marks_nothing_and_comes_back_as_it_was() -> None:
    sent = to_mrkdwn(r"\*not bold\* and \_not italic\_")
    assert "*not" not in sent
    text, format = from_mrkdwn(sent, {})
    assert (clean(text), format) == ("*not bold* and _not italic_", P)


def words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9]+", text)


TEXTS = st.text(st.sampled_from("abc 12 *_~`<>|&@#!:[]()\\\n-./éß👋\u200b"), max_size=120) | st.text(max_size=120)


@given(st.lists(st.text(st.sampled_from("ab 12 *_~`<>|&@#![]()\\-.éß👋"), max_size=40), max_size=6))
def test_no_word_is_lost_on_the_way_out(lines: list[str]) -> None:
    """Only the language of a code block is not shown by Slack."""
    sent = to_mrkdwn("\n".join(lines))
    shown = sent.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert words(shown) == [word for line in lines for word in words(re.sub(r"^ {0,3}(`{3,}|~{3,}) *[\w+#.-]* *$", "", line))]


def test_words_beside_the_end_of_a_code_block_are_code() -> None:
    assert to_mrkdwn("```\na\n``` and more\n````\nb") == "```\na\n``` and more\n```\nb"


@given(st.text(st.sampled_from("abc 12 *_~`\n-.éß"), max_size=120))
def test_no_word_is_lost_on_the_way_in(mrkdwn: str) -> None:
    text, _ = from_mrkdwn(mrkdwn, {})
    assert words(text) == words(mrkdwn)


@given(TEXTS)
def test_a_literal_text_comes_back_as_it_was(text: str) -> None:
    text = text.replace(":", "")
    back, format = from_mrkdwn(literal(text), {})
    assert (clean(back), format) == (clean(text), P)


@given(TEXTS)
def test_entities_are_read_back(text: str) -> None:
    text = re.sub(r"[*_~`:]", "", text)
    assert from_mrkdwn(entities(text), {}) == (text, P)


@given(TEXTS)
def test_a_text_cannot_call_people_by_what_is_not_a_mention(text: str) -> None:
    for control in re.findall(r"<([^<>]+)>", to_mrkdwn(text)):
        assert re.match(r"(@[UW]|#[CGD]|https?:|mailto:)", control)
    assert not re.search(r"<[^>]*>", literal(text))


MARKED = st.lists(st.tuples(st.sampled_from(["**", "_", "~~", ""]), st.from_regex(r"[a-z]{1,8}", fullmatch=True)), min_size=1, max_size=8)


@given(MARKED)
def test_marks_survive_both_ways(parts: list[tuple[str, str]]) -> None:
    markdown = " ".join(f"{mark}{word}{mark}" for mark, word in parts)
    assert from_mrkdwn(to_mrkdwn(markdown), {})[0] == markdown


def test_a_text_of_openings_costs_no_more_than_its_length() -> None:
    for opening in ("*", "_", "~", "`", "**", "[", "<", "```", "<@", "> "):
        to_mrkdwn(f"{opening}a " * 10_000)
        from_mrkdwn(f"{opening}a " * 10_000, {})


def test_finds_whom_a_text_names_without_their_name() -> None:
    assert mentioned("<@U1> <@U2|bob> <#C1|> <#C2|random> <@U1> <!here>") == ["U1", "C1"]


@pytest.mark.parametrize(
    ("name", "emoji"), [("+1", "👍"), ("tada", "🎉"), ("heart", "❤️"), ("fox_face", "🦊"), ("+1::skin-tone-3", "👍🏼"), ("rocket", "🚀")]
)
def test_knows_emoji_by_slacks_names(name: str, emoji: str) -> None:
    assert emoji_of(name) == emoji
    assert name_of(emoji) == name


def test_an_emoji_of_the_workspace_keeps_its_name() -> None:
    assert emoji_of("party_parrot") == ":party_parrot:"
    assert name_of(":party_parrot:") == name_of("party_parrot") == "party_parrot"
    assert name_of("❤") == name_of("❤️") == "heart"
    assert emoji_of("comma") == ":comma:"
