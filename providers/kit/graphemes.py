"""Where a text may be cut without taking a visible character apart: the parts of UAX #29 that messages meet."""

import unicodedata

_ZERO_WIDTH_JOINER = "\u200d"
_ZERO_WIDTH_NON_JOINER = "\u200c"
# Nobody reads a character of more code points; a longer one is only there to stall who looks for its end.
_CLUSTER_MAX = 64


def is_boundary(text: str, at: int) -> bool:
    """Return whether no visible character lies on both sides of the position."""
    if not 0 < at < len(text):
        return True
    before, after = text[at - 1], text[at]
    if before == _ZERO_WIDTH_JOINER or _extends(after) or (before, after) == ("\r", "\n"):
        return False
    if _is_regional(before) and _is_regional(after):
        return _regionals_before(text, at) % 2 == 0
    return not _joins_hangul(before, after)


def boundary_before(text: str, at: int, least: int) -> int:
    """Return the last position from `least` up to `at` where a character ends; `at` where none is near."""
    return next((position for position in range(at, max(least, at - _CLUSTER_MAX) - 1, -1) if is_boundary(text, position)), at)


def _extends(character: str) -> bool:
    is_joint = character in {_ZERO_WIDTH_JOINER, _ZERO_WIDTH_NON_JOINER}
    is_tone_or_tag = "\U0001f3fb" <= character <= "\U0001f3ff" or "\U000e0020" <= character <= "\U000e007f"
    return is_joint or is_tone_or_tag or unicodedata.category(character) in {"Mn", "Me", "Mc"}


def _is_regional(character: str) -> bool:
    """Return whether it is half of a flag."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _regionals_before(text: str, at: int) -> int:
    start = at
    while start > max(0, at - 2 * _CLUSTER_MAX) and _is_regional(text[start - 1]):
        start -= 1
    return at - start


def _joins_hangul(before: str, after: str) -> bool:
    is_leading = "\u1100" <= before <= "\u115f"
    is_vowel_or_trailing = "\u1160" <= after <= "\u11ff"
    is_hangul = "\u1100" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7a3"
    return (is_leading and ("\u1100" <= after <= "\u11ff" or "\uac00" <= after <= "\ud7a3")) or (is_vowel_or_trailing and is_hangul)
