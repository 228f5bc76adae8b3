"""Refuses JSON values that PostgreSQL cannot store although a parser takes them."""

import math
from typing import cast

DEPTH = 32
VALUES = 20_000
"""Values in one argument: no message, poll or list of addresses has so many, and each takes time again wherever it goes."""


def fault(value: object) -> str | None:
    """Return why a value cannot be stored, or None. Walks with an explicit stack: the value may be nested deeper than the interpreter recurses."""
    waiting, seen = [(value, 0)], 0
    while waiting:
        one, depth = waiting.pop()
        seen += 1
        if seen + len(waiting) > VALUES:
            return "holds too many values"
        if depth > DEPTH:
            return "is nested too deeply"
        if isinstance(one, dict):
            waiting += [(part, depth + 1) for pair in cast("dict[object, object]", one).items() for part in pair]
        elif isinstance(one, list | tuple):
            waiting += [(part, depth + 1) for part in cast("list[object]", one)]
        elif isinstance(one, str) and "\0" in one:
            return "holds the character NUL (U+0000), which cannot be stored"
        elif isinstance(one, str) and not _is_text(one):
            return "holds half of a surrogate pair, such as half an emoji (\\ud83c), which is no text"
        elif isinstance(one, float) and not math.isfinite(one):
            return "holds NaN or an infinite number, which JSON does not have"
    return None


def _is_text(value: str) -> bool:
    """Return whether a text can be encoded: half a surrogate pair cannot."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
