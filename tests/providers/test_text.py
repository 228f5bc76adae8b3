"""What strangers wrote."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.text import LINE_MAX, clean, clean_line

# Every code point, lone surrogates too: JSON from outside may hold them.
ANYTHING = st.text(st.characters(codec=None))
NASTY = st.text(st.sampled_from("a \t\n\r\x00\x1b\x85\u061c\u200b\u200d\u200f\u2028\u202e\u2066\u2069\ud83d\ude00\ufeff\U000e0041\U0001f44b"))
KEPT = {"\n", "\t"}
FILLERS = "".join(
    map(chr, [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x3164, 0xFFA0, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
)
"""Letters and marks that nobody sees."""
JOINERS = {"\u200c", "\u200d"}


def forges(character: str) -> bool:
    """Whether a character is a control, a surrogate, or turns the direction of what stands around it."""
    turns = unicodedata.bidirectional(character) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return (unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} and character not in KEPT) or turns


@given(ANYTHING | NASTY)
def test_clean_leaves_nothing_that_forges_and_is_done_once(text: str) -> None:
    cleaned = clean(text)
    assert not [character for character in cleaned if forges(character)]
    assert clean(cleaned) == cleaned
    assert cleaned.encode().decode() == cleaned


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S"], exclude_characters=FILLERS) | st.sampled_from("\n\t ")))
def test_clean_keeps_everything_that_is_text(text: str) -> None:
    assert clean(text) == text


@given(ANYTHING | NASTY)
@example("a \u200b b")
@example("x" * (LINE_MAX - 1) + " y")
@example("\u200b \u200b")
def test_clean_line_is_one_short_line_and_is_done_once(text: str) -> None:
    line = clean_line(text)
    assert not [character for character in line if forges(character) or character in KEPT]
    assert len(line) <= LINE_MAX
    assert line == line.strip()
    assert "  " not in line
    assert clean_line(line) == line


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("one\r\ntwo\rthree\n", "one\ntwo\nthree\n"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("pass\u200cword", "password"),
        ("pass\u00adword", "password"),
        ("a\u3164b\u115f", "ab"),
        ("a\ufe0fb\U000e0100", "ab"),
        ("a\ufe0f\u200d\N{WAVING HAND SIGN}", "a\N{WAVING HAND SIGN}"),
        ("\u2764\ufe0f 1\ufe0f\u20e3", "\u2764\ufe0f 1\ufe0f\u20e3"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("ignore\U000e0069\U000e0067 this", "ignore this"),
    ],
)
def test_clean_by_example(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_clean_line_by_example() -> None:
    assert clean_line(" Ann\u2028Lee\t\x00(admin)\n") == "Ann Lee (admin)"
