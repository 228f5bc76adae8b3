"""Ordinary Markdown as Telegram's HTML.

Telegram's own modes refuse what people and models write every day: MarkdownV2 any bare `.`, `-` or `!`, legacy Markdown the
underscore in `snake_case`. This never makes markup that Telegram refuses; what it does not know stays as it was written.
"""

import re
from html import escape

from providers.kit.markdown import BULLET, CODE, EMPHASIS, ESCAPED, FENCE, HEADING, QUOTE, end_of_block, link

_INLINE = re.compile(rf"{ESCAPED}|{CODE}|{link('https?|tg|mailto')}|{EMPHASIS}")
_TAGS = {"bold": "b", "bold2": "b", "struck": "s", "italic": "i", "italic2": "i"}


def to_html(markdown: str) -> str:
    """HTML of the subset Telegram reads: bold, italic, strike, code, links, quotes; headings become bold, bullets dots."""
    done: list[str] = []
    lines = markdown.split("\n")
    at = 0
    while at < len(lines):
        if fence := FENCE.match(lines[at]):
            block, at = _code_block(lines, at + 1, fence["mark"], fence["language"])
        elif QUOTE.match(lines[at]):
            block, at = _quote(lines, at)
        else:
            block, at = _line(lines[at]), at + 1
        done.append(block)
    return "\n".join(done)


def _code_block(lines: list[str], start: int, mark: str, language: str) -> tuple[str, int]:
    end = end_of_block(lines, start, mark)
    code = escape("\n".join(lines[start:end]), quote=False)
    opening = f'<code class="language-{escape(language)}">' if language else ""
    return f"<pre>{opening}{code}{'</code>' if language else ''}</pre>", end + 1


def _quote(lines: list[str], start: int) -> tuple[str, int]:
    end = start
    while end < len(lines) and QUOTE.match(lines[end]):
        end += 1
    inside = [_line(QUOTE.sub("", line, count=1)) for line in lines[start:end]]
    return "<blockquote>" + "\n".join(inside) + "</blockquote>", end


def _line(line: str) -> str:
    if heading := HEADING.match(line):
        return f"<b>{_inline(heading[1])}</b>"
    if bullet := BULLET.match(line):
        return f"{bullet[1]}• {_inline(line[bullet.end() :])}"
    return _inline(line)


def _inline(text: str) -> str:
    done: list[str] = []
    end = 0
    for found in _INLINE.finditer(text):
        done += [escape(text[end : found.start()], quote=False), _marked(found)]
        end = found.end()
    return "".join([*done, escape(text[end:], quote=False)])


def _marked(found: re.Match[str]) -> str:
    kind = found.lastgroup or ""
    match kind:
        case "escaped":
            return escape(found[kind], quote=False)
        case "code":
            return f"<code>{escape(found[kind], quote=False)}</code>"
        case "url":
            return f'<a href="{escape(found[kind])}">{_inline(found["label"])}</a>'
        case _:
            return f"<{_TAGS[kind]}>{_inline(found[kind])}</{_TAGS[kind]}>"
