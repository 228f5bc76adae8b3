"""Estimates what a text costs a model."""

import math
import re

_PIECES = re.compile(
    r" ?(?:([A-Z]?[a-z]+)|([A-Za-z]+)|([\u00c0-\u024f\u0370-\u058fA-Za-z]+)|([^\s\w\u0300-\U0010ffff]+))|( ?[0-9]+)|(\s+)|(.)", re.DOTALL
)
_WORD = 7
"""Letters of a word that is one token, as most English ones are; what is longer, or in mixed case, is cut."""
_MARGIN = 1.05
# Tokens for a character, up to this one.
_SCRIPTS = (
    (0x02FF, 0.8), (0x036F, 1.6), (0x05FF, 0.6), (0x08FF, 0.55), (0x0DFF, 0.65), (0x0EFF, 0.55), (0x10FF, 1.2), (0x11FF, 1.0), (0x1DFF, 2.2),
    (0x1EFF, 1.0), (0x2FFF, 1.5), (0x30FF, 0.75), (0x9FFF, 0.95), (0xABFF, 2.2), (0xD7FF, 0.8), (0xFFFF, 1.5), (0x10FFFF, 3.0),
)  # fmt: skip


def tokens_at_most(text: str) -> int:
    """Return a few more tokens than today's tokenizers make of a text in any script."""
    return math.ceil(_MARGIN * sum(map(_piece, _PIECES.finditer(text))))


def _piece(found: re.Match[str]) -> float:
    word, mixed, letters, signs, number, space, other = found.groups()
    if word:
        return 1.0 if len(word) <= _WORD else 1.0 + (len(word) - _WORD) / 4
    if mixed:
        return max(1.0, len(mixed) * 0.6)
    if letters:
        return max(1.0, len(letters) * 0.4)
    if number:
        return number.startswith(" ") + math.ceil(len(number.strip()) / 3)
    if signs:
        return max(1.0, len(signs) * 0.6)
    return 1.0 if space else next(weight for last, weight in _SCRIPTS if ord(other) <= last)


def part_of(text: str, offset: int, max_tokens: int) -> tuple[str, int | None]:
    """Return as much of a text from the offset on as has so many tokens at most, and the offset at which it goes on; None: it ends."""
    rest = text[offset:]
    if tokens_at_most(rest[: 8 * max_tokens]) <= max_tokens and len(rest) <= 8 * max_tokens:
        return rest, None
    fits, too_much = 0, min(len(rest), 8 * max_tokens)
    while too_much - fits > 16:
        middle = (fits + too_much) // 2
        fits, too_much = (middle, too_much) if tokens_at_most(rest[:middle]) <= max_tokens else (fits, middle)
    return rest[:fits], offset + fits
