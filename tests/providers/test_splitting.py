"""Long texts in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.models import TextUnit
from providers.splitting import split


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
