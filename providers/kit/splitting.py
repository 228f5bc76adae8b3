"""Cuts a text into pieces that a platform takes."""

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from providers.kit.graphemes import boundary_before, is_boundary
from providers.kit.markdown import CODE, EMPHASIS, ESCAPED, FENCE, QUOTE, closes, link
from providers.limits import TextUnit

_PARAGRAPH, _LINE, _SPACE = re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"\s+")
# Mentions and bare addresses in angle brackets, too, are one thing.
_INLINE = re.compile(rf"{ESCAPED}|{CODE}|(?P<bracket><[^<>\s]{{1,500}}>)|{link('https?|tg|mailto')}|{EMPHASIS}")
_EMPHASIS = frozenset({"bold", "bold2", "struck", "italic", "italic2"})


def split(text: str, limit: int, unit: TextUnit, *, markdown: bool = False, fits: Callable[[str], bool] | None = None) -> list[str]:
    """Return pieces of at most `limit` units that together are the text, less the space between them.

    Each ends at a paragraph, a line or a word where there is one in its second half, and never within a visible character. With
    `markdown`, code blocks and emphasis that go over a border are closed before it and opened again after it, and links and code
    within a line are not cut. `fits` says whether a piece is still short enough once it is marked up; one that is not is cut again.
    """
    pieces = _Splitting(text, limit, unit, _Markdown(text) if markdown else _Plain()).pieces()
    if fits is None or limit <= 1:
        return pieces
    fitting: list[str] = []
    for piece in pieces:
        fitting += [piece] if fits(piece) else split(piece, limit // 2, unit, markdown=markdown, fits=fits)
    return fitting


@dataclass(frozen=True)
class _Cut:
    """A piece ends at `end` with `closing`; the next one begins with `opening` at `start`."""

    end: int
    start: int
    closing: str = ""
    opening: str = ""


class _Plain:
    """A text without markup."""

    def is_in_block(self, at: int) -> bool:
        return False

    def cut(self, end: int, start: int) -> _Cut | None:
        """Return the cut with the marks that it needs; None where there must be none."""
        return _Cut(end, start)


@dataclass(frozen=True)
class _Fence:
    start: int
    code: int
    """Where the line after the opening one begins."""
    closing: int
    """Where the closing line begins."""
    end: int
    mark: str
    opening: str


class _Markdown(_Plain):
    def __init__(self, text: str) -> None:
        self._text = text
        self._fences = list(_fences(text))
        self._starts = [fence.start for fence in self._fences]

    def is_in_block(self, at: int) -> bool:
        return self._fence(at) is not None

    def _fence(self, at: int) -> _Fence | None:
        number = bisect_right(self._starts, at - 1) - 1
        return self._fences[number] if number >= 0 and at < self._fences[number].end else None

    def cut(self, end: int, start: int) -> _Cut | None:
        fence = self._fence(start)
        if fence is None:
            return self._cut_in_prose(end, start)
        if start <= fence.code:
            return None
        if start >= fence.closing:
            return _Cut(end, fence.end, f"\n{fence.mark}")
        return _Cut(end, start, f"\n{fence.mark}", f"{fence.opening}\n")

    def _cut_in_prose(self, end: int, start: int) -> _Cut | None:
        first = self._text.rfind("\n", 0, end) + 1
        if "\n" in self._text[end:start]:
            return _Cut(end, start)
        last = self._text.find("\n", end)
        line = self._text[first : len(self._text) if last < 0 else last]
        marks = _marks_at(line, end - first)
        if marks is None:
            return None
        quote = QUOTE.match(line)
        if quote and end - first <= quote.end():
            return None
        return _Cut(end, start, "".join(reversed(marks)), (quote[0] if quote else "") + "".join(marks))


def _fences(text: str) -> list[_Fence]:
    found: list[_Fence] = []
    opened: tuple[int, int, str, str] | None = None
    at = 0
    for line in text.split("\n"):
        after = at + len(line) + 1
        if opened is None:
            if fence := FENCE.match(line):
                opened = at, after, fence["mark"], line
        elif closes(line, opened[2]):
            start, code, mark, opening = opened
            found.append(_Fence(start, code, at, min(after, len(text)), mark, opening))
            opened = None
        at = after
    if opened is not None:
        start, code, mark, opening = opened
        found.append(_Fence(start, code, len(text) + 1, len(text) + 1, mark, opening))
    return found


def _marks_at(line: str, at: int) -> list[str] | None:
    """Return the emphasis that is open at a position, the outermost first; None within what must stay whole."""
    for found in _INLINE.finditer(line):
        if found.start() >= at:
            return []
        if at >= found.end():
            continue
        kind = found.lastgroup or ""
        if kind not in _EMPHASIS:
            return None
        start, end = found.span(kind)
        if not start < at < end:
            return None
        inner = _marks_at(line[start:end], at - start)
        return None if inner is None else [line[found.start() : start], *inner]
    return []


class _Splitting:
    def __init__(self, text: str, limit: int, unit: TextUnit, markup: _Plain) -> None:
        self._text = text
        self._limit = limit
        self._unit = unit
        self._markup = markup

    def pieces(self) -> list[str]:
        pieces: list[str] = []
        at, opening = 0, ""
        while self._unit.length(opening) + self._unit.length(self._text[at:]) > self._limit:
            cut = self._next(at, self._limit - self._unit.length(opening))
            if self._text[at : cut.end].strip():
                pieces.append(f"{opening}{self._text[at : cut.end]}{cut.closing}")
            at, opening = cut.start, cut.opening
        return [*pieces, opening + self._text[at:]] if self._text[at:].strip() else pieces

    def _next(self, at: int, room: int) -> _Cut:
        """Return the next cut, whose piece has at most `room` units with what closes it."""
        reserve = 0
        while True:
            most = at + self._most_characters(at, room - reserve)
            half = at + (most - at) // 2
            cut = self._border(at, most, half) or self._border(at, half, at) or self._emergency(at, most)
            marks = self._unit.length(cut.closing)
            if max(marks, self._unit.length(cut.opening)) > self._limit // 3:
                # Marks that would take most of each piece are left out.
                return _Cut(cut.end, max(cut.start, cut.end))
            if self._unit.length(self._text[at : cut.end]) + marks <= room or marks <= reserve:
                return cut
            reserve = marks

    def _most_characters(self, at: int, room: int) -> int:
        """Return how many characters from `at` fit into the room; at least one, or nothing would ever be sent."""
        low, high = 1, max(1, min(len(self._text) - at, room))
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._unit.length(self._text[at : at + middle]) <= room else (low, middle - 1)
        return low

    def _border(self, at: int, most: int, least: int) -> _Cut | None:
        """Return the best cut between two positions; None where every one would go through something."""
        for border, may_be_in_block in ((_PARAGRAPH, False), (_LINE, False), (_LINE, True), (_SPACE, True)):
            for found in reversed(list(border.finditer(self._text, least, most + 1))):
                if found.start() <= at or (not may_be_in_block and self._markup.is_in_block(found.start())):
                    continue
                if cut := self._markup.cut(found.start(), found.end()):
                    return cut
        for place in range(most, least, -1):
            if is_boundary(self._text, place) and (cut := self._markup.cut(place, place)):
                return cut
        return None

    def _emergency(self, at: int, most: int) -> _Cut:
        """Return a cut through a link or a line of code that is longer than half a piece."""
        end = boundary_before(self._text, most, at + 1)
        return _Cut(end, end)
