"""Ordinary Markdown as Telegram's HTML.

Telegram's own modes refuse what people and models write every day: MarkdownV2 any bare `.`, `-` or `!`, legacy Markdown the
underscore in `snake_case`. This never makes markup that Telegram refuses; what it does not know stays as it was written.
"""

import re
from html import escape

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ ]*([\w+#.-]*)[^\n`]*$")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.+?)\s*#*$")
_BULLET = re.compile(r"^(\s*)[-*+]\s+")
_QUOTE = re.compile(r"^ {0,3}> ?")

# Stricter than CommonMark inside words, where x**2 and 2*3*4 are mathematics.
# Spans are bounded, so that a text full of openings that nothing closes costs no more than its length.
_INLINE = re.compile(
    r"\\(?P<escaped>[\\`*_{}\[\]()#+\-.!~>|])"
    r"|(?P<ticks>`{1,3})(?P<code>[^`]+)(?P=ticks)(?!`)"
    r"|!?\[(?P<label>[^\[\]\n]{1,1000})\]\((?P<url>(?:https?|tg|mailto):(?:[^\s()]|\([^\s()]*\))+)(?:\s+\"[^\"\n]*\")?\)"
    r"|(?<![A-Za-z0-9*])\*\*(?P<bold>(?=\*?[^\s*])[^\n]{1,1000}?(?<=\S))\*\*(?!\*)"
    r"|(?<!\w)__(?P<bold2>(?=\S)[^\n]{1,1000}?(?<=\S))__(?!\w)"
    r"|~~(?P<struck>(?=\S)[^\n]{1,1000}?(?<=\S))~~"
    r"|(?<![A-Za-z0-9*])\*(?P<italic>(?=[^\s*])[^*\n]{1,1000}?(?<=\S))\*(?![A-Za-z0-9*])"
    r"|(?<!\w)_(?P<italic2>(?=[^\s_])[^\n]{1,1000}?(?<=[^\s_]))_(?!\w)"
)
_TAGS = {"bold": "b", "bold2": "b", "struck": "s", "italic": "i", "italic2": "i"}


def to_html(markdown: str) -> str:
    """HTML of the subset Telegram reads: bold, italic, strike, code, links, quotes; headings become bold, bullets dots."""
    done: list[str] = []
    lines = markdown.split("\n")
    at = 0
    while at < len(lines):
        if fence := _FENCE.match(lines[at]):
            block, at = _code_block(lines, at + 1, fence[1], fence[2])
        elif _QUOTE.match(lines[at]):
            block, at = _quote(lines, at)
        else:
            block, at = _line(lines[at]), at + 1
        done.append(block)
    return "\n".join(done)


def _code_block(lines: list[str], start: int, mark: str, language: str) -> tuple[str, int]:
    end = start
    while end < len(lines) and not _closes(lines[end].strip(), mark):
        end += 1
    code = escape("\n".join(lines[start:end]), quote=False)
    opening = f'<code class="language-{escape(language)}">' if language else ""
    return f"<pre>{opening}{code}{'</code>' if language else ''}</pre>", end + 1


def _closes(line: str, mark: str) -> bool:
    """Nothing but the mark, at least as long: anything else on the line is code."""
    return len(line) >= len(mark) and not line.strip(mark[0])


def _quote(lines: list[str], start: int) -> tuple[str, int]:
    end = start
    while end < len(lines) and _QUOTE.match(lines[end]):
        end += 1
    inside = [_line(_QUOTE.sub("", line, count=1)) for line in lines[start:end]]
    return "<blockquote>" + "\n".join(inside) + "</blockquote>", end


def _line(line: str) -> str:
    if heading := _HEADING.match(line):
        return f"<b>{_inline(heading[1])}</b>"
    if bullet := _BULLET.match(line):
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
