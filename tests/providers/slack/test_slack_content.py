"""All words of a message, each once: text, blocks, attachments."""

from typing import Any

import pytest

from providers.models import Forwarded
from providers.slack.attachments import forwarded_of, media_of, words_of

PLAIN = "plain_text"


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def rich(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(elements)}]}


EMAIL = {"id": "F1", "mode": "email", "filetype": "email", "title": "Offer", "subject": "Offer"}
CLIP = {"id": "F1", "mode": "hosted", "subtype": "slack_audio", "mimetype": "audio/mp4"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"text": "Well", "blocks": [section("*Well*")]}, "*Well*"),
        ({"text": "Well", "blocks": [section("wellness")]}, "Well\nwellness"),
        ({"text": "Well then", "blocks": [section("then"), section("go")]}, "Well then\ngo"),
        ({"text": "a", "attachments": [{"fallback": "a"}]}, "a"),
        ({"text": "", "attachments": [{"fallback": "f", "image_url": "https://i.example/1.png"}]}, "f\n<https://i.example/1.png>"),
        ({"text": "Job", "attachments": [{"title": "t", "title_link": "https://x.example", "footer": "CI"}]}, "Job\n<https://x.example|t>\nCI"),
        ({"text": "", "attachments": [{"fallback": "f", "fields": [{"title": "A"}, {"value": "b"}]}]}, "A\nb"),
        ({"text": "", "attachments": [{"fallback": "f", "callback_id": "c", "actions": [{"text": "Go"}, {"text": "No"}]}]}, "[Go] [No]"),
        ({"text": "", "blocks": [{"type": "context", "elements": [{"type": PLAIN, "text": "<b>"}]}]}, "&lt;b&gt;"),
        ({"text": "", "blocks": [{"type": "markdown", "text": "**b** <!here>"}]}, "*b* &lt;!here&gt;"),
        ({"text": "", "blocks": [{"type": "input", "label": {"type": PLAIN, "text": "Name"}, "element": {"type": "x"}}]}, "Name"),
        (
            {"text": "", "blocks": [{"type": "call", "call": {"v1": {"name": "Talk", "join_url": "https://t.example"}}}]},
            "Call: <https://t.example|Talk>",
        ),
        ({"text": "", "blocks": [{"type": "quite_new", "title": {"type": PLAIN, "text": "T"}, "parts": 1}]}, "T"),
        ({"text": "", "blocks": [{"type": "quite_new", "parts": 1}]}, "A message with a block of the type quite_new."),
        ({"text": "", "subtype": "quite_new"}, "A message of the type quite_new."),
        ({"text": "", "files": [{"id": "F1", "mode": "tombstone"}]}, "A file that Slack does not show any more."),
        ({"text": "see", "files": [{"id": "F1", "mode": "hidden_by_limit"}]}, "see\nA file that Slack does not show any more."),
        (
            {"text": "", "files": [{"id": "F1", "mode": "external", "title": "Plan <1>", "url_private": "https://d.example/1?a=1&b=2"}]},
            "<https://d.example/1?a=1&amp;b=2|Plan &lt;1&gt;>",
        ),
        (
            {"text": "see <https://d.example/1>", "files": [{"id": "F1", "mode": "external", "title": "Plan", "url_private": "https://d.example/1"}]},
            "see <https://d.example/1>",
        ),
        ({"text": "", "files": [{"id": "F1", "mode": "external", "name": "Plan"}]}, "File: Plan"),
        (
            {"text": "", "files": [{**EMAIL, "from": [{"name": "Ann", "original": "Ann <ann@example.com>"}], "plain_text": "See & answer"}]},
            "E-mail from Ann &lt;ann@example.com&gt;: Offer\nSee &amp; answer",
        ),
        ({"text": "fwd", "files": [{**EMAIL, "preview_plain_text": "x" * 9000}]}, f"fwd\nOffer\n{'x' * 4000}…"),
        ({"text": "", "files": [{**CLIP, "transcription": {"status": "complete", "preview": {"content": "call me"}}}]}, "Said in it: call me"),
        ({"text": "see", "files": [{**CLIP, "transcription": {"status": "processing"}}]}, "see"),
        ({"text": "see", "files": [{"id": "F1", "file_access": "access_denied"}]}, "see\nA file that this app may not see."),
        ({"text": "", "subtype": "huddle_thread", "room": {"created_by": "U1", "has_ended": True}}, "The huddle ended."),
    ],
)
def test_words_of_a_message(content: dict[str, Any], words: str) -> None:
    assert words_of(content) == words


@pytest.mark.parametrize(
    ("element", "words"),
    [
        ({"type": "text", "text": "a < b", "style": {"bold": True}}, "*a &lt; b*"),
        ({"type": "text", "text": " both ", "style": {"bold": True, "italic": True}}, " *_both_* ".rstrip()),
        ({"type": "text", "text": "x_y", "style": {"code": True}}, "`x_y`"),
        ({"type": "link", "url": "https://a.example/?a=1&b=2"}, "<https://a.example/?a=1&amp;b=2>"),
        ({"type": "user", "user_id": "U1"}, "<@U1>"),
        ({"type": "usergroup", "usergroup_id": "S1"}, "<!subteam^S1>"),
        ({"type": "broadcast", "range": "here"}, "<!here>"),
        ({"type": "emoji", "name": "wave"}, ":wave:"),
        ({"type": "date", "timestamp": 1700000000, "format": "{date}", "fallback": "14 November"}, "14 November"),
        ({"type": "quite_new", "text": "t"}, "t"),
    ],
)
def test_words_of_a_rich_text(element: dict[str, Any], words: str) -> None:
    assert words_of({"text": "", "blocks": [rich(element)]}).rstrip() == words


def test_lists_quotes_and_code_of_a_rich_text() -> None:
    def part(kind: str, *lines: str, **more: Any) -> dict[str, Any]:
        sections = [{"type": "rich_text_section", "elements": [{"type": "text", "text": line}]} for line in lines]
        return {"type": kind, "elements": sections if kind == "rich_text_list" else [{"type": "text", "text": "\n".join(lines)}], **more}

    block = {
        "type": "rich_text",
        "elements": [
            part("rich_text_list", "a", "b", style="ordered", offset=2),
            part("rich_text_list", "c", style="bullet", indent=1),
            part("rich_text_quote", "d", "e"),
            part("rich_text_preformatted", "f(x)"),
        ],
    }
    assert words_of({"text": "", "blocks": [block]}) == "3. a\n4. b\n  • c\n&gt; d\n&gt; e\n```\nf(x)\n```"


SHARE = {"is_share": True, "author_name": "Bob", "author_id": "U2", "channel_id": "C2", "ts": "1700000000.000100", "text": "it hums"}


def test_a_shared_message_is_quoted_with_its_files_and_is_forwarded_where_nothing_is_said_about_it() -> None:
    file = {"id": "F1", "mode": "hosted", "name": "a.png", "mimetype": "image/png"}
    alone = {"text": "", "attachments": [{**SHARE, "files": [file]}]}
    assert words_of(alone) == "Shared message of Bob in <#C2>:\n&gt; it hums"
    assert [media.ref for media in media_of(alone)] == ["F1"]
    forwarded = forwarded_of(alone)
    assert isinstance(forwarded, Forwarded)
    assert (forwarded.name, forwarded.id) == ("Bob", "U2")
    assert forwarded_of({**alone, "text": "look"}) is None


def test_a_preview_is_no_word_of_the_writer() -> None:
    preview = {"from_url": "https://a.example", "title": "A page", "title_link": "https://a.example", "text": "about it"}
    message = {"text": "see <https://a.example>", "attachments": [preview]}
    assert words_of(message, previews=False) == "see <https://a.example>"
    assert words_of(message) == "see <https://a.example>\nA page\nabout it"
