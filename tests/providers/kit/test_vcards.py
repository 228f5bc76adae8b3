"""Contact cards as phones write them."""

import pytest

from providers.kit.vcards import VCard, read_card

CARD = """BEGIN:VCARD
VERSION:3.0
N:Lee;Ann;;;
FN:Ann Lee
ORG:Acme\\, Inc.;Sales
item1.TEL;waid=15550101:+1 555 0101
TEL;type=WORK:tel:+1-555-0102
EMAIL;type=INTERNET:ann@
 example.com
PHOTO;BASE64:iVBOR
ADR;type=HOME:;;5 Elm Street;Springfield;;12345;USA
END:VCARD"""


def test_all_that_somebody_would_use_is_told() -> None:
    card = read_card(CARD.replace("\n", "\r\n"))
    assert card.phone == "+1 555 0101"
    told = "Ann Lee (Acme, Inc.) +15550101, +1-555-0102, ann@example.com, 5 Elm Street Springfield 12345 USA"
    assert card.words("Ann Lee", "+15550101") == told


@pytest.mark.parametrize("text", ["", "hello", ":::", "TEL", "TEL:", "ORG:", "ADR:;;;"])
def test_what_is_no_card_says_nothing(text: str) -> None:
    assert read_card(text) == VCard()
    assert read_card(text).words("Ann") == "Ann"
