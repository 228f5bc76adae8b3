"""Long texts in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.kit.splitting import split
from providers.limits import TextUnit


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("short", ["short"]),
        ("one two three", ["one two", "three"]),
        ("aaaaaaa\n\nbbb c", ["aaaaaaa", "bbb c"]),
        ("aaaaaa bb\nc", ["aaaaaa bb", "c"]),
        ("aaaaaa b\n\ncc", ["aaaaaa b", "cc"]),
        ("aaaaaaaaaaaaaaa", ["aaaaaaaaaa", "aaaaa"]),
        ("aaaaaaaaaa bbb", ["aaaaaaaaaa", "bbb"]),
        ("    \n\n    \n\n    x", ["x"]),
    ],
)
def test_cuts_at_the_best_place(text: str, pieces: list[str]) -> None:
    assert [piece.strip() for piece in split(text, 10, TextUnit.UTF16)] == pieces


def test_does_not_cut_through_a_surrogate_pair() -> None:
    assert split("🙂" * 6, 5, TextUnit.UTF16) == ["🙂🙂", "🙂🙂", "🙂🙂"]


@given(st.text(alphabet="ab🙂é \n", max_size=300), st.integers(4, 50), st.sampled_from(TextUnit))
def test_loses_nothing_but_space(text: str, limit: int, unit: TextUnit) -> None:
    pieces = split(text, limit, unit)
    assert all(unit.length(piece) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


@pytest.mark.parametrize("character", ["👩\u200d👩\u200d👧\u200d👦", "🇩🇪", "👋🏽", "e\u0301", "1\ufe0f\u20e3", "\u1112\u1161\u11ab"])
def test_does_not_cut_through_what_people_see_as_one_character(character: str) -> None:
    pieces = split(character * 30, 25, TextUnit.UTF16)
    assert sum(piece.count(character) for piece in pieces) == 30


@pytest.mark.parametrize(
    ("text", "limit", "pieces"),
    [
        ("```py\naaaa\nbbbb\ncccc\n```", 20, ["```py\naaaa\nbbbb\n```", "```py\ncccc\n```"]),
        ("intro words\n```\naaaa\nbbbb\n```", 22, ["intro words", "```\naaaa\nbbbb\n```"]),
        ("```\naaaa\nbbbb\n```\nafter that", 18, ["```\naaaa\nbbbb\n```", "after that"]),
        ("**aaaa bbbb cccc dddd**", 16, ["**aaaa bbbb**", "**cccc dddd**"]),
        ("> aaaa bbbb cccc dddd", 14, ["> aaaa bbbb", "> cccc dddd"]),
        ("see `a b c d` there", 10, ["see", "`a b c d`", "there"]),
    ],
)
def test_keeps_markup_on_both_sides_of_a_border(text: str, limit: int, pieces: list[str]) -> None:
    assert split(text, limit, TextUnit.CHARACTERS, markdown=True) == pieces


def test_leaves_a_plain_text_without_marks_of_its_own() -> None:
    assert split("```py\naaaa\nbbbb\ncccc\n```", 20, TextUnit.CHARACTERS) == ["```py\naaaa\nbbbb\ncccc", "```"]


@given(
    st.lists(st.sampled_from(["a", " ", "\n", "```\n", "~~~x\n", "**", "_", "`", "> ", "🇩🇪", "[l](https://e.x)"]), max_size=120), st.integers(8, 60)
)
def test_keeps_the_limit_whatever_is_marked_up(pieces: list[str], limit: int) -> None:
    text = "".join(pieces)
    made = split(text, limit, TextUnit.UTF16, markdown=True)
    assert all(TextUnit.UTF16.length(piece) <= limit for piece in made)
    assert "".join(made).count("a") == text.count("a")
