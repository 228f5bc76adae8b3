"""Ordinary Markdown as WhatsApp's own marks: `*bold*`, `_italic_`, `~struck~`, code, lists and quotes.

See WhatsApp's help, "How to format your messages". A link has no label there, so its address follows the label.
"""

import re

from providers.kit.markdown import CODE, EMPHASIS, ESCAPED, FENCE, HEADING, end_of_block, link

_MARKDOWN = re.compile(rf"{ESCAPED}|{CODE}|{link('https?|mailto')}|{EMPHASIS}")
_MARKS = {"struck": "~", "italic": "_", "italic2": "_"}


def to_whatsapp(markdown: str) -> str:
    """Return the text with WhatsApp's marks. Headings become bold."""
    done: list[str] = []
    lines = markdown.split("\n")
    at = 0
    while at < len(lines):
        if fence := FENCE.match(lines[at]):
            end = end_of_block(lines, at + 1, fence["mark"])
            done.append("```\n" + "\n".join(lines[at + 1 : end]) + "\n```")
            at = end + 1
        else:
            heading = HEADING.match(lines[at])
            # Bold inside bold would end it.
            done.append(_inline(lines[at], "*") if heading is None else f"*{_inline(heading[1], '')}*")
            at += 1
    return "\n".join(done)


def _inline(text: str, bold: str) -> str:
    return _MARKDOWN.sub(lambda found: _marked(found, bold), text)


def _marked(found: re.Match[str], bold: str) -> str:
    kind = found.lastgroup or ""
    match kind:
        case "escaped":
            return found[kind]
        case "code":
            return f"`{found[kind]}`"
        case "url":
            label, address = found["label"], found["url"]
            return address if label == address else f"{_inline(label, bold)} ({address})"
        case _:
            mark = _MARKS.get(kind, bold)
            return f"{mark}{_inline(found[kind], bold)}{mark}"
