"""Shapes that Meta's documentation describes, as events with words, and the errors of a send in Meta's words."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from providers.errors import Forbidden, InvalidRequest, MessengerError, RateLimited, Unreachable
from providers.events import Event, MessageReceived, NoticeReceived, ReceiptChanged, ReceiptStatus
from providers.kit.bounded import BoundedSet
from providers.meta.errors import error_of
from providers.meta.whatsapp_official.inbound import WebhookTranslator
from providers.models import MessageKind

Json = dict[str, Any]

NUMBER, ACCOUNT, ANN = "1060", "1022", "16505551234"
NOW = datetime(2026, 9, 20, tzinfo=UTC)
ENVELOPE: Json = {"messaging_product": "whatsapp", "metadata": {"display_phone_number": "15550783881", "phone_number_id": NUMBER}}


def events_of(value: Json, field: str = "messages") -> list[Event]:
    """The events of one change about our number."""
    translator = WebhookTranslator(NUMBER, "inst-1", BoundedSet(), ACCOUNT)
    return translator.events_of({"field": field, "value": value}, ACCOUNT, NOW)


def received(events: list[Event]) -> MessageReceived:
    (event,) = (event for event in events if isinstance(event, MessageReceived))
    return event


def written(kind: str, content: Any, **more: Any) -> MessageReceived:
    """What one message of Ann makes."""
    message = {"from": ANN, "id": "wamid.1", "timestamp": "1758362400", "type": kind, kind: content, **more}
    contacts = [{"wa_id": ANN, "profile": {"name": "Ann"}}]
    return received(events_of({**ENVELOPE, "contacts": contacts, "messages": [message]}))


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("interactive", {"type": "payment_method", "payment_method": {"payment_method": "upi", "reference_id": "r-7"}}, "r-7"),
        ("interactive", {"type": "nfm_reply", "nfm_reply": {"name": "address_message", "response_json": '{"values":{"city":"Pune"}}'}}, "Pune"),
        ("pin", {"type": "pin", "message_id": "wamid.0", "expiration_days": "7"}, "pin"),
        ("poll_creation", {"name": "Colour?", "options": [{"name": "green"}]}, "Colour?"),
        ("ephemeral", None, "ephemeral"),
        ("contacts", [{"name": {"first_name": "Bob"}, "phones": [{"phone": "+1 650"}]}], "Bob"),
        ("location", {"name": "Fence Lane"}, "Fence Lane"),
        (
            "order",
            {"catalog_id": "c", "product_items": [{"product_retailer_id": "fence", "quantity": "2", "item_price": 7.5, "currency": "EUR"}]},
            "fence",
        ),
        ("order", {"catalog_id": "c", "product_items": [{"product_retailer_id": "fence", "quantity": "2", "item_price": "7.5"}]}, "fence"),
        (
            "order",
            {"product_items": [{"product_retailer_id": "bed", "quantity": 2, "item_price": 1250000, "currency": "IDR"}]},
            "2 × bed at 1250000 IDR",
        ),
        (
            "order",
            {"product_items": [{"product_retailer_id": "bed", "quantity": 1, "item_price": 1234567.89, "currency": "VND"}]},
            "1 × bed at 1234567.89 VND",
        ),
        ("order", {"product_items": [{"product_retailer_id": "bed", "quantity": 1, "item_price": 100.0, "currency": "EUR"}]}, "bed at 100 EUR"),
        ("order", {"product_items": [{"product_retailer_id": "bed", "quantity": 1, "item_price": "10.50", "currency": "EUR"}]}, "bed at 10.50 EUR"),
        ("button", {"payload": "go"}, "go"),
        ("text", {"body": ""}, "text"),
    ],
)
def test_each_message_has_words_and_lies_in_the_chat_of_its_writer(kind: str, content: Any, words: str) -> None:
    event = written(kind, content)
    assert words in event.message.text
    assert event.message.kind is not MessageKind.SYSTEM
    assert (event.chat.id, event.message.chat_id, event.message.sender_name) == (ANN, ANN, "Ann")


@pytest.mark.parametrize("who", [{"recipient_id": ANN}, {"from": ANN}, {"recipient_id": ANN, "recipient_user_id": "US.1"}])
@pytest.mark.parametrize("status", ["captured", "pending", "failed"])
def test_what_becomes_of_a_payment_is_a_notice_and_no_receipt_of_the_message(who: Json, status: str) -> None:
    """A bill that was delivered and not paid has not failed as a message."""
    payment = {"reference_id": "r-7", "amount": {"value": 21000, "offset": 100}, "currency": "INR"}
    told = {"id": "wamid.2", "type": "payment", "status": status, "timestamp": "1758362400", "payment": payment, **who}
    events = events_of({**ENVELOPE, "statuses": [told]})
    event = received(events)
    assert not [event for event in events if isinstance(event, ReceiptChanged)]
    assert (event.message.kind, event.chat.id) == (MessageKind.SYSTEM, ANN)
    assert status in event.message.text
    assert "r-7" in event.message.text


def test_a_message_that_failed_says_why() -> None:
    error = {"code": 131053, "title": "Media upload error", "error_data": {"details": "Unsupported video codec"}}
    told = {"id": "wamid.2", "type": "message", "status": "failed", "timestamp": "1758362400", "recipient_id": ANN, "errors": [error]}
    (receipt,) = events_of({**ENVELOPE, "statuses": [told]})
    assert isinstance(receipt, ReceiptChanged)
    assert receipt.status is ReceiptStatus.FAILED
    assert (receipt.code, receipt.detail) == ("invalid_request", "Media upload error Unsupported video codec (code 131053)")


@pytest.mark.parametrize(
    ("field", "value", "is_error"),
    [
        ("business_capability_update", {"max_daily_conversations_per_business": 2000, "max_phone_numbers_per_waba": 25}, False),
        ("message_template_components_update", {"message_template_id": 1, "message_template_name": "fence", "message_template_element": "Hi"}, False),
        ("account_alerts", {"entity_type": "PHONE_NUMBER", "alert_info": {"alert_severity": "INFORMATIONAL", "alert_type": "OBA_APPROVED"}}, False),
        ("account_alerts", {"entity_type": "PHONE_NUMBER", "alert_info": {"alert_severity": "CRITICAL", "alert_type": "OBA_REJECTED"}}, True),
        ("security", {"display_phone_number": "15550783881", "event": "PIN_RESET_REQUEST"}, True),
        ("account_update", {"event": "ACCOUNT_RESTRICTION", "restriction_info": [{"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION"}]}, True),
        ("message_template_status_update", {"event": "PENDING_DELETION", "message_template_name": "fence"}, True),
        ("payment_configuration_update", {"configuration_name": "fence", "status": "Needs_Connecting"}, True),
    ],
)
def test_a_notice_of_the_account_is_an_error_only_where_something_is_wrong(field: str, value: Json, is_error: bool) -> None:
    (notice,) = events_of(value, field)
    assert isinstance(notice, NoticeReceived)
    assert notice.is_error is is_error
    assert notice.text.startswith(field.replace("_", " ").capitalize())


def test_an_event_that_meta_found_in_a_chat_is_told_and_no_message() -> None:
    found = {"id": "wamid.1", "event_name": "LeadSubmitted", "timestamp": 1758362400, "ctwa_clid": "c"}
    (notice,) = events_of({**ENVELOPE, "automatic_events": [found]}, "automatic_events")
    assert isinstance(notice, NoticeReceived)
    assert "LeadSubmitted" in notice.text
    assert not notice.is_error


@pytest.mark.parametrize(
    ("status", "error", "kind", "words"),
    [
        (
            400,
            {"code": 131037, "message": "WhatsApp provided number needs display name approval before message can be sent."},
            Forbidden,
            "display name",
        ),
        (400, {"code": 135000, "message": "Generic user error"}, InvalidRequest, "Generic user error"),
        (
            400,
            {"code": 33, "message": "Parameter value is not valid", "error_data": {"details": "The phone number has been deleted."}},
            InvalidRequest,
            "deleted",
        ),
        (400, {"code": 133016, "message": "Account register deregister rate limit exceeded"}, RateLimited, "rate limit"),
        (400, {"code": 341, "message": "Application limit reached"}, RateLimited, "Application limit"),
        (400, {"code": 132007, "message": "Template Format Character Policy Violated"}, InvalidRequest, "Policy Violated"),
        (503, {"code": 131016, "message": "Service unavailable"}, Unreachable, "Service unavailable"),
        (400, {"code": 131042, "message": "Business eligibility payment issue"}, Forbidden, "payment issue"),
    ],
)
def test_a_refused_send_is_told_in_metas_words(status: int, error: Json, kind: type[MessengerError], words: str) -> None:
    refusal = error_of(httpx.Response(status, json={"error": error}), sends=True)
    assert type(refusal) is kind
    assert words in refusal.detail
    assert f"code {error['code']}" in refusal.detail


@pytest.mark.parametrize("body", [{}, {"error": "no"}, {"error": None}, {"error": {"code": "x", "message": None}}, []])
@pytest.mark.parametrize("status", [400, 429, 500])
def test_an_odd_answer_is_an_error_with_words(status: int, body: Any) -> None:
    refusal = error_of(httpx.Response(status, json=body), sends=True)
    assert refusal.detail
    assert isinstance(refusal, RateLimited) == (status == 429) or body == {"error": {"code": "x", "message": None}}
