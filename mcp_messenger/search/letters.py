"""Letters as a search compares them: without case, accents, widths and other differences of writing."""

import re
import unicodedata
from enum import IntEnum
from functools import lru_cache
from urllib.parse import unquote


class Kind(IntEnum):
    """How a character takes part in words."""

    WORD = 0
    DENSE = 1
    """Of a script that is written without spaces, or whose words take endings without one: Han, kana, Hangul, Thai, Lao, Khmer, Burmese."""
    SIGN = 2
    """A word by itself: emoji, currencies."""
    MARK = 3
    """Punctuation; it separates words or joins them."""
    SPACE = 4
    BREAK = 5


_DENSE = re.compile(
    "[\u2e80-\u2fd5\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303b\u3041-\u3096\u3099\u309a\u309d-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7ff"
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ebd\u0ec0-\u0ecd\u0edc-\u0edf\u1780-\u17d3\u17d7\u17dc\u1000-\u103f\u1050-\u108f\u109a-\u109f]"
)
_SKIN = range(0x1F3FB, 0x1F400)
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_ESCAPED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")

# Letters without a decomposition, and those that are written for one another.
_LETTERS = {
    "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŋ": "n", "ı": "i", "ĸ": "k", "ŧ": "t", "ɓ": "b", "ɗ": "d",
    "ƙ": "k", "ə": "e", "ς": "σ", "ך": "כ", "ם": "מ", "ן": "נ", "ף": "פ", "ץ": "צ", "ى": "ي", "ی": "ي", "ې": "ي", "ک": "ك", "ة": "ه", "ہ": "ه",
    "ھ": "ه", "ٱ": "ا", "ـ": "", "ґ": "г",
}  # fmt: skip
_KEPT = frozenset("йї")
"""Letters in their own right, although they have a decomposition."""
_DIGRAPHS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})


class _Kinds(dict[str, Kind]):
    def __missing__(self, character: str) -> Kind:
        kind = self[character] = _kind(character)
        return kind


def _kind(character: str) -> Kind:
    category = unicodedata.category(character)
    if character in "\n\r\u2028\u2029":
        return Kind.BREAK
    if _DENSE.match(character):
        return Kind.DENSE
    if category[0] in "LMN":
        return Kind.WORD
    if category in {"So", "Sc"} or 0x1F000 <= ord(character) <= 0x1FAFF:
        return Kind.SIGN
    return Kind.SPACE if character.isspace() else Kind.MARK


class _Clean(dict[str, str]):
    """A character as it is looked at: invisible ones are nothing, digits of all scripts are ASCII's."""

    def __missing__(self, character: str) -> str:
        clean = self[character] = _clean(character)
        return clean


def _clean(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    code = ord(character)
    is_invisible = category == "Cf" or code in _SKIN or character in _FILLERS or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    return "" if is_invisible else " " if category == "Cc" and not character.isspace() else character


KINDS = _Kinds()
_CLEAN = _Clean()


def clean(text: str) -> str:
    """Return the text in the form in which it is cut into words: composed, of one width, without invisible characters and escapes of URLs."""
    if "%" in text:
        text = _ESCAPED.sub(_unescaped, text)
    return "".join(map(_CLEAN.__getitem__, unicodedata.normalize("NFKC", text)))


def _unescaped(found: re.Match[str]) -> str:
    plain = unquote(found[0], errors="replace")
    return found[0] if "\ufffd" in plain or not plain.isprintable() else plain


class _Folds(dict[str, str]):
    def __missing__(self, character: str) -> str:
        folded = self[character] = "".join(map(_fold, character.casefold()))
        return folded


def _fold(character: str) -> str:
    if character in _KEPT:
        return character
    if character in _LETTERS:
        return _LETTERS[character]
    if "ァ" <= character <= "ヶ":
        return chr(ord(character) - 0x60)
    plain = "".join(part for part in unicodedata.normalize("NFD", character) if not _is_accent(part))
    return "".join(_LETTERS.get(part, part) for part in unicodedata.normalize("NFC", plain))


def _is_accent(character: str) -> bool:
    """Return whether a mark is left out in everyday writing; vowel signs of Indic and Thai letters are not."""
    code = ord(character)
    return 0x0300 <= code <= 0x036F or 0x0591 <= code <= 0x05C7 or 0x0610 <= code <= 0x061A or 0x064B <= code <= 0x065F or code == 0x0670


_FOLDS = _Folds()


def fold(word: str) -> str:
    """Return a clean word as it is compared."""
    return "".join(map(_FOLDS.__getitem__, word))


@lru_cache(20_000)
def forms(word: str) -> tuple[str, ...]:
    """Return the ways in which a clean word may be written, the usual first: umlauts also as two letters."""
    usual = fold(word)
    other = fold(word.lower().translate(_DIGRAPHS))
    return (usual,) if other == usual else (usual, other)
