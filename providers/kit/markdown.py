"""Ordinary Markdown as people and models write it: its code blocks, and what marks words within a line."""

import re
from collections.abc import Sequence

FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})[ ]*(?P<language>[\w+#.-]*)[^\n`]*$")
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.+?)\s*#*$")
BULLET = re.compile(r"^(\s*)[-*+]\s+")
QUOTE = re.compile(r"^ {0,3}> ?")

ESCAPED = r"\\(?P<escaped>[\\`*_{}\[\]()#+\-.!~>|])"
CODE = r"(?P<ticks>`{1,3})(?P<code>[^`]+)(?P=ticks)(?!`)"
# Stricter than CommonMark inside words, where x**2 and 2*3*4 are mathematics.
# Spans are bounded, so that a text full of openings that nothing closes costs no more than its length.
EMPHASIS = (
    r"(?<![A-Za-z0-9*])\*\*(?P<bold>(?=\*?[^\s*])[^\n]{1,2000}?(?<=\S))\*\*(?!\*)"
    r"|(?<!\w)__(?P<bold2>(?=\S)[^\n]{1,2000}?(?<=\S))__(?!\w)"
    r"|~~(?P<struck>(?=\S)[^\n]{1,2000}?(?<=\S))~~"
    r"|(?<![A-Za-z0-9*])\*(?P<italic>(?=[^\s*])[^*\n]{1,2000}?(?<=\S))\*(?![A-Za-z0-9*])"
    r"|(?<!\w)_(?P<italic2>(?=[^\s_])[^\n]{1,2000}?(?<=[^\s_]))_(?!\w)"
)


def link(schemes: str) -> str:
    """Return the pattern of links to addresses of these schemes, such as `https?|mailto`."""
    return rf"!?\[(?P<label>[^\[\]\n]{{1,1000}})\]\((?P<url>(?:{schemes}):(?:[^\s()]|\([^\s()]*\))+)(?:\s+\"[^\"\n]*\")?\)"


def closes(line: str, mark: str) -> bool:
    """Return whether a line ends the code block that `mark` opened: nothing but the mark, at least as long."""
    line = line.strip()
    return len(line) >= len(mark) and not line.strip(mark[0])


def end_of_block(lines: Sequence[str], start: int, mark: str) -> int:
    """Return the index of the line that ends the code block whose first line of code is `start`; the number of lines where none does."""
    return next((at for at in range(start, len(lines)) if closes(lines[at], mark)), len(lines))
