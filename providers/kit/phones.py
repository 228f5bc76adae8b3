"""Phone numbers, as people and their address books write them."""

import re
import unicodedata

_NUMBER = re.compile(r"(?:\+|00)?([0-9]{5,15})")
_PUNCTUATION = re.compile(r"[\s().\-/]")
_LINK = re.compile(r"(?:tel:|https?://wa\.me/|wa\.me/)(?=[+0-9])", re.IGNORECASE)
# The zero that is dialled at home only, as in +44 (0)20 7946 0958.
_AT_HOME = re.compile(r"\(0\)")


def digits_of(text: str, least: int = 5) -> str | None:
    """Return the digits of a phone number with its country code, of which there are at least so many; None for what is none.

    Numbers that were copied hold marks of writing direction, other dashes and spaces, and the digits of other scripts.
    """
    plain = "".join(map(_plain, unicodedata.normalize("NFKC", text))).strip()
    if (link := _LINK.match(plain)) is not None:
        plain = plain[link.end() :]
    if plain.startswith(("+", "00")):
        plain = _AT_HOME.sub("", plain)
    number = _NUMBER.fullmatch(_PUNCTUATION.sub("", plain))
    return number[1] if number is not None and len(number[1]) >= least else None


def _plain(sign: str) -> str:
    if sign.isdecimal():
        return str(unicodedata.decimal(sign))
    match unicodedata.category(sign):
        case "Cf":
            return ""
        case "Pd":
            return "-"
        case _:
            return sign
