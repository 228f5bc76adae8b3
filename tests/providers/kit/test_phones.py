"""Numbers as people write them, and as address books hand them over."""

import pytest

from providers.kit.phones import digits_of


@pytest.mark.parametrize(
    "written",
    [
        "442079460958",
        "+44 (0)20 7946-0958",
        "0044 (0) 20/7946.0958",
        "\u202a+44\u00a020\u20117946\u20110958\u202c",
        "+44 20 7946 \u2013 0958\u200e",
        "\uff0b\uff14\uff14\uff12\uff10\uff17\uff19\uff14\uff16\uff10\uff19\uff15\uff18",
        "\u0660\u0660\u0664\u0664\u0662\u0660\u0667\u0669\u0664\u0666\u0660\u0669\u0665\u0668",
        "tel:+44-20-7946-0958",
        "https://wa.me/442079460958",
    ],
)
def test_a_number_is_read_in_any_writing(written: str) -> None:
    assert digits_of(written) == "442079460958"


@pytest.mark.parametrize(
    "text", ["", "Ann", "+", "1234", "1" * 16, "442079460958@c.us", "44 20 call me", "https://wa.me/Ann", "US.13491208655302741918"]
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert digits_of(text) is None


def test_a_messenger_says_how_many_digits_there_are_at_least() -> None:
    assert (digits_of("123456"), digits_of("123456", 7)) == ("123456", None)
