"""What the tests of the documents read out of Markdown: anchors, links, fenced blocks."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?:<!-- (?P<marker>[^\n]*?) -->\n)?(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(([^()\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block, with the comment in the line before it."""

    path: Path
    line: int
    language: str
    marker: str
    text: str


def blocks(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    return [
        Block(path, text.count("\n", 0, match.start("text")) + 1, match["language"], match["marker"] or "", match["text"])
        for match in FENCE.finditer(text)
    ]


def prose(path: Path) -> str:
    """The text without its fenced blocks and code in a line, in which nothing is a link or a heading."""
    return re.sub(r"`[^`\n]*`", lambda code: code[0] if "](" not in code[0] else "", FENCE.sub("", path.read_text(encoding="utf-8")))


def anchors(path: Path) -> set[str]:
    """The names that GitHub gives to the headings of a file."""
    names = [_anchor(heading) for heading in HEADING.findall(prose(path))]
    seen: Counter[str] = Counter()
    found: set[str] = set()
    for name in names:
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def _anchor(heading: str) -> str:
    words = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", lambda match: match[1] or "", heading)
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")


def links(path: Path) -> list[str]:
    """Links and pictures to files and anchors of this project."""
    return [link for link in LINK.findall(prose(path)) if not re.match(r"[a-z]+:", link)]


def broken(path: Path) -> list[str]:
    """Links of a document that lead nowhere."""
    return [link for link in links(path) if not _leads_somewhere(path, link)]


def _leads_somewhere(path: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = (path.parent / file).resolve() if file else path
    return target.exists() and (not anchor or (target.suffix == ".md" and anchor in anchors(target)))
