"""Each type of message that the library names, as a message with words; no page is needed for it."""

import re
from typing import Any

import pytest

from providers.models import MediaKind, MessageKind
from providers.whatsappweb.inbound import Me, is_message, message_of
from tests.providers.whatsappweb import machine

Json = dict[str, Any]

ME = Me("15550100@c.us", "9915550100@lid", "Agent")
SILENT = {"revoked", "ciphertext", "e2e_notification", "notification", "notification_template", "protocol", "debug", "gp2", "reaction"}
"""WhatsApp's notes to itself, changes of groups, which come as events, and what cannot be read yet."""


def arrived(type: str, **fields: Any) -> Any:
    key = {"_serialized": "false_15550101@c.us_3A1", "remote": "15550101@c.us", "fromMe": False, "id": "3A1"}
    raw: Json = {"id": key, "t": 1790000000, "type": type, **fields}
    return message_of(raw, ME) if is_message(raw) else None


def types() -> list[str]:
    constants = machine.modules() / "node_modules" / "whatsapp-web.js" / "src" / "util" / "Constants.js"
    body = re.search(r"exports\.MessageTypes = \{(.*?)\}", constants.read_text(), re.DOTALL)
    assert body is not None
    return sorted({*re.findall(r": '(\w+)'", body[1]), "ptv", "event_creation", "pinned_message", "not_invented_yet"})


def test_a_file_is_there_whatever_is_said_of_it() -> None:
    message = arrived("document", caption="the plan", size="large", duration="long", filename="plan.pdf")
    assert [(media.kind, media.name, media.size) for media in message.media] == [(MediaKind.DOCUMENT, "plan.pdf", None)]
    assert message.text == "the plan"


def test_no_type_arrives_empty() -> None:
    for type in types():
        place = {"lat": 1.5, "lng": 2.5} if type == "location" else {}
        message = arrived(type, **place)
        if message is None:
            assert type in SILENT
        else:
            assert message.text.strip() or message.media or message.location, type


@pytest.mark.parametrize(
    ("type", "fields", "text"),
    [
        ("multi_vcard", {"vcardList": [
            {"displayName": "Ann Lee", "vcard": "BEGIN:VCARD\nTEL;waid=1:+1 555 0101\nEND:VCARD"}, {"displayName": "Bob"}]},
         "Ann Lee +1 555 0101; Bob"),
        ("vcard", {"vcardFormattedName": "Ann Lee", "body": "BEGIN:VCARD\nORG:Acme\nTEL:+1 555 0101\nEMAIL:ann@example.com\nEND:VCARD"},
         "Ann Lee (Acme) +1 555 0101, ann@example.com"),
        ("event_creation", {
            "eventName": "Sowing", "eventStartTime": 1790000000, "eventLocation": {"name": "Shed"}, "eventDescription": "Bring gloves."},
         "An event: Sowing, 2026-09-21 14:13 UTC, Shed\nBring gloves."),
        ("product", {"title": "Spade", "description": "Steel", "businessOwnerJid": "1@c.us"}, "A product: Spade\nSteel"),
        ("order", {"orderTitle": "Spade", "itemCount": 2, "message": "By Friday?"}, "An order of 2 items: Spade\nBy Friday?"),
        ("list", {"list": {
            "title": "Slots", "description": "Which?", "buttonText": "Choose", "sections": [{"rows": [{"title": "9:00"}, {"title": "10:00"}]}]}},
         "Slots\nWhich?\n[Menu: Choose: 9:00, 10:00]"),
        ("chat", {"body": "Sure?", "footer": "Shop", "dynamicReplyButtons": [{"buttonId": "y", "buttonText": {"displayText": "Yes"}}]},
         "Sure?\nShop\n[Button: Yes]"),
        ("poll_creation", {"pollName": "Only one?", "pollOptions": [{"name": "yes"}]}, "Only one?"),
        ("interactive", {"title": "Offer", "body": "Half price", "footer": "Today"}, "Offer\nHalf price\nToday"),
        ("not_invented_yet", {}, "A message of the type not_invented_yet."),
    ],
)  # fmt: skip
def test_words(type: str, fields: Json, text: str) -> None:
    assert arrived(type, **fields).text == text


def test_a_round_video_is_a_video() -> None:
    assert [media.kind for media in arrived("ptv", directPath="/x").media] == [MediaKind.VIDEO]


@pytest.mark.parametrize(
    ("answered", "text"),
    [
        ({"type": "chat", "body": "Which colour?"}, "Which colour?"),
        ({"type": "image", "body": "/9j/4AAQ", "caption": "the plan"}, "the plan"),
        ({"type": "image", "body": "/9j/4AAQ"}, "[image]"),
        ({"type": "poll_creation", "pollName": "Tea?"}, "Tea?"),
    ],
)
def test_the_words_that_are_answered_come_along(answered: Json, text: str) -> None:
    message = arrived("chat", body="green", quotedMsg=answered)
    assert (message.kind, message.quoted.text, message.quoted.of) == (MessageKind.TEXT, text, None)


def test_who_comes_from_an_ad_shows_it() -> None:
    quoted = arrived(
        "chat", body="Is it still there?", ctwaContext={"title": "Spades", "description": "Half price", "sourceUrl": "https://ad.example"}
    ).quoted
    assert (quoted.of, quoted.text) == ("ad", "Spades\nHalf price\nhttps://ad.example")
