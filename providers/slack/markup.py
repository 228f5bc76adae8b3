"""Slack's mrkdwn and ordinary Markdown, each as the other.

mrkdwn has its own marks (`*bold*`, `_italic_`, `~struck~`, `<address|label>`), and `&`, `<` and `>` are always written as entities.
What either side does not know stays as it was written.
"""

import re
from collections.abc import Mapping

from providers.kit.markdown import BULLET, CODE, EMPHASIS, ESCAPED, FENCE, HEADING, QUOTE, end_of_block, link
from providers.models import TextFormat
from providers.slack.emoji import with_emoji

# Slack shows nothing of it, and no mark is read next to it; it is cleaned away when the text comes back.
_BREAK = "\u200b"

_ALARM = r"!(?:subteam\^S[A-Z0-9]+|here|channel|everyone)"
_MENTION = rf"(?P<mention><(?:@[UW][A-Z0-9]+|#[CGD][A-Z0-9]+)>)|(?P<alarm><{_ALARM}>)"
# A backslash before what would be a mention: what somebody only wrote about stays so when it is repeated.
_MARKDOWN = re.compile(rf"\\(?P<less><)|{ESCAPED}|{CODE}|{_MENTION}|{link('https?|mailto')}|{EMPHASIS}")
_ALARMS = re.compile(rf"<({_ALARM}(?:\|[^<>\n]*)?)>")
_MRKDWN_MARKS = {"struck": "~", "italic": "_", "italic2": "_"}

# A mark that Slack might take for the beginning or the end of something.
_LOOSE_MARK = re.compile(r"(?<![^\W_])[*_~](?=\S)|(?<=\S)[*_~](?![^\W_])|`")

_MRKDWN = re.compile(
    r"```\n?(?P<block>.+?)\n?```"
    r"|`(?!\u200b)(?P<code>[^`\n]+)(?<!\u200b)`"
    r"|<(?P<control>[^<>\n]+)>"
    r"|(?<![\w*])\*(?P<bold>(?=[^\s*\u200b])[^*\n]{1,1000}?(?<=[^\s\u200b]))\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>(?=[^\s_\u200b])(?:[^_\n]|(?<=\w)_(?=\w)){1,1000}?(?<=[^\s_\u200b]))_(?![\w_])"
    r"|(?<![\w~])~(?P<struck>(?=[^\s~\u200b])[^~\n]{1,1000}?(?<=[^\s\u200b]))~(?![\w~])",
    re.DOTALL,
)
_MARKDOWN_MARKS = {"bold": "**", "italic": "_", "struck": "~~"}
_SHOWN_MENTION = re.compile(r"<[@#](?P<id>[A-Z0-9]+)\|?>")
# The form of a mention in a text that shows it: written about, and no mention.
_WRITTEN_ABOUT = rf"<(?=(?:@[UW][A-Z0-9]+|#[CGD][A-Z0-9]+|{_ALARM})(?:\|[^<>\n]*)?>)"
_CONTROL_LIKE = re.compile(_WRITTEN_ABOUT)
_SPECIAL = re.compile(rf"{_WRITTEN_ABOUT}|" + r"[\\*`]|(?<!\w)_|_(?!\w)|~~|\[(?=[^\[\]\n]*\]\()|^(?:#{1,6}(?=\s)|[-+](?=\s)|>)", re.MULTILINE)


def literal(text: str) -> str:
    """A text that Slack shows as it is."""
    return _LOOSE_MARK.sub(lambda mark: f"{_BREAK}{mark[0]}{_BREAK}", entities(text))


def entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def to_mrkdwn(markdown: str, *, mass_mentions: bool = False) -> str:
    """Return Markdown as mrkdwn: bold, italic, strike, code, links, quotes and mentions (`<@U123>`); headings become bold, bullets dots.

    `<!channel>` and the like, and groups, are words unless `mass_mentions`.
    """
    mrkdwn = _to_mrkdwn(markdown)
    return mrkdwn if mass_mentions else inert(mrkdwn)


def inert(mrkdwn: str) -> str:
    """Return mrkdwn that calls neither a whole channel nor a group: their mentions are shown as written."""
    return _ALARMS.sub(lambda found: f"&lt;{found[1]}&gt;", mrkdwn)


def _to_mrkdwn(markdown: str) -> str:
    done: list[str] = []
    lines = markdown.split("\n")
    at = 0
    while at < len(lines):
        if fence := FENCE.match(lines[at]):
            block, at = _code_block(lines, at + 1, fence["mark"])
        else:
            block, at = _line(lines[at]), at + 1
        done.append(block)
    return "\n".join(done)


def _code_block(lines: list[str], start: int, mark: str) -> tuple[str, int]:
    end = end_of_block(lines, start, mark)
    return "```\n" + entities("\n".join(lines[start:end])) + "\n```", end + 1


def _line(line: str) -> str:
    if quote := QUOTE.match(line):
        return f"> {_line(line[quote.end() :])}"
    if heading := HEADING.match(line):
        # Bold inside bold would end it.
        return f"*{_inline(heading[1], bold='')}*"
    if bullet := BULLET.match(line):
        return f"{bullet[1]}• {_inline(line[bullet.end() :])}"
    return _inline(line)


def _inline(text: str, bold: str = "*") -> str:
    done: list[str] = []
    end = 0
    for found in _MARKDOWN.finditer(text):
        done += [entities(text[end : found.start()]), _as_mrkdwn(found, bold)]
        end = found.end()
    return "".join([*done, entities(text[end:])])


def _as_mrkdwn(found: re.Match[str], bold: str) -> str:
    kind = found.lastgroup or ""
    match kind:
        case "escaped":
            return _literal_mark(found[kind])
        case "code":
            return f"`{entities(found[kind])}`"
        case "mention" | "alarm":
            return found[kind]
        case "less":
            return "&lt;"
        case "url":
            address = entities(found["url"]).replace("|", "%7C")
            return f"<{address}|{_label(found['label'])}>"
        case _:
            mark = _MRKDWN_MARKS.get(kind, bold)
            return f"{mark}{_inline(found[kind], bold)}{mark}"


def _label(label: str) -> str:
    return entities(label).replace("|", "¦")


def _literal_mark(character: str) -> str:
    return f"{_BREAK}{character}{_BREAK}" if character in "*_~`" else entities(character)


def mentioned(text: str) -> list[str]:
    """The ids of people and channels that a text names without telling their names, each once."""
    return list(dict.fromkeys(found["id"] for found in _SHOWN_MENTION.finditer(text)))


def from_mrkdwn(text: str, names: Mapping[str, str]) -> tuple[str, TextFormat]:
    """Return the text as Markdown, plain where nothing in it is marked. `names` tells people and channels by id.

    What only looks like a mention gets a backslash, so that it stays none when it is repeated.
    """
    marked = _Reading(names)
    markdown = marked.markdown(text)
    if marked.has_marks:
        return markdown, TextFormat.MARKDOWN
    return _Reading(names, escape=False).markdown(text), TextFormat.PLAIN


class _Reading:
    """One text on its way to Markdown."""

    def __init__(self, names: Mapping[str, str], *, escape: bool = True) -> None:
        self.has_marks = False
        self._names = names
        self._escape = escape

    def markdown(self, text: str) -> str:
        done: list[str] = []
        end = 0
        for found in _MRKDWN.finditer(text):
            done += [self._plain(text[end : found.start()]), self._marked(found)]
            end = found.end()
        return "".join([*done, self._plain(text[end:])])

    def _plain(self, text: str) -> str:
        said = with_emoji(_unescaped(text))
        self.has_marks = self.has_marks or _CONTROL_LIKE.search(said) is not None
        return _SPECIAL.sub(r"\\\g<0>", said) if self._escape else said

    def _marked(self, found: re.Match[str]) -> str:
        kind = found.lastgroup or ""
        if kind == "control":
            return self._control(found["control"])
        self.has_marks = True
        match kind:
            case "block":
                return f"```\n{_unescaped(found[kind])}\n```"
            case "code":
                return f"`{_unescaped(found[kind])}`"
            case _:
                mark = _MARKDOWN_MARKS[kind]
                return f"{mark}{self.markdown(found[kind])}{mark}"

    def _control(self, control: str) -> str:
        target, _, label = control.partition("|")
        match target[:1]:
            case "@" | "#":
                return target[0] + _unescaped(label or self._names.get(target[1:], target[1:])).removeprefix(target[0])
            case "!":
                return self._special(target[1:], _unescaped(label))
            case _:
                return self._link(_unescaped(target), _unescaped(label))

    def _special(self, target: str, label: str) -> str:
        """`<!here>`, `<!subteam^S1|@team>`, `<!date^1700000000^{date}|fallback>`."""
        if target.startswith("date^"):
            return label or target.split("^")[2]
        return "@" + (label or target.removeprefix("subteam^")).removeprefix("@")

    def _link(self, address: str, label: str) -> str:
        if label in {"", address, address.removeprefix("mailto:")}:
            return label or address
        if address in {f"http://{label}", f"https://{label}"}:
            return label
        self.has_marks = True
        address = address.replace("(", "%28").replace(")", "%29").replace(" ", "%20")
        return f"[{with_emoji(label)}]({address})" if self._escape else f"{label} ({address})"


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
