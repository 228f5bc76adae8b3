"""Cuts a text into pieces that a platform takes."""

import re

from providers.models import TextUnit

# From the best place to cut to the worst that is still no cut through a word.
_BORDERS = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"\s+"))


def split(text: str, limit: int, unit: TextUnit) -> list[str]:
    """Pieces of at most `limit` units, cut at a paragraph, a line or a word where there is one in the second half of a piece."""
    pieces: list[str] = []
    while unit.length(text) > limit:
        most = _most_characters(text, limit, unit)
        end, start_of_rest = _border(text, most)
        pieces.append(text[:end])
        text = text[start_of_rest:]
    return [piece for piece in [*pieces, text] if piece.strip()]


def _most_characters(text: str, limit: int, unit: TextUnit) -> int:
    """How many characters from the start fit into the limit."""
    low, high = 1, min(len(text), limit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if unit.length(text[:middle]) <= limit else (low, middle - 1)
    return low


def _border(text: str, most: int) -> tuple[int, int]:
    """Where the piece ends and where the rest begins."""
    for border in _BORDERS:
        if found := list(border.finditer(text, most // 2, most + 1)):
            return found[-1].start(), found[-1].end()
    return most, most
