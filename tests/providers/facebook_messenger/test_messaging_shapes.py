"""Shapes that Meta describes for Messenger and Instagram, as events with words, and the errors of a send in Meta's words."""

from typing import Any

import httpx
import pytest

from providers.errors import Forbidden, InvalidRequest, MessengerError, RateLimited, Unreachable
from providers.events import Event, MessageDeleted, MessageEdited, MessageReceived, NoticeReceived, ReactionChanged, ReceiptChanged
from providers.meta.errors import error_of
from providers.meta.messaging.inbound import WebhookTranslator
from providers.meta.messaging.sent import SentLog
from providers.models import MediaKind, Message, MessageKind

Json = dict[str, Any]

ACCOUNT, ANN = "700", "900"
BETWEEN: Json = {"sender": {"id": ANN}, "recipient": {"id": ACCOUNT}, "timestamp": 1758362400000}


def events_of(**entry: Any) -> list[Event]:
    return WebhookTranslator({ACCOUNT}, "inst-1", SentLog()).events_of({"id": ACCOUNT, "time": 1758362400000, **entry})


def arrived(**item: Any) -> Message:
    """The message that one item of a delivery makes, which lies in Ann's chat."""
    (event,) = events_of(messaging=[{**BETWEEN, **item}])
    assert isinstance(event, MessageReceived)
    assert (event.chat.id, event.message.chat_id, event.message.sender_id) == (ANN, ANN, ANN)
    return event.message


CART = [{"id": 123, "retailer_id": "f1", "name": "Fence", "unit_price": 11.5, "currency": "EUR", "quantity": 2}]


# Each is what a person does and expects an answer to.
SAID: dict[str, tuple[Json, str]] = {
    "cart": ({"order": {"products": CART, "note": "by Friday"}}, "2 × Fence at 11.5 EUR"),
    "note of a cart": ({"order": {"products": CART, "note": "by Friday"}}, "by Friday"),
    "cart of things without names": ({"order": {"products": [{"retailer_id": "f1", "quantity": 1}]}}, "f1"),
    "phone number": ({"message": {"mid": "m1", "text": "+1650", "quick_reply": {"payload": "+1650"}}}, "+1650"),
    "quick reply without a title": ({"message": {"mid": "m1", "text": "", "quick_reply": {"payload": "yes"}}}, "pressed"),
    "story that is gone": ({"message": {"mid": "m1", "text": "nice", "reply_to": {"story": {"id": "s1"}}}}, "nice"),
    "shared reel without an address": (
        {"message": {"mid": "m1", "attachments": [{"type": "ig_reel", "payload": {"reel_video_id": "r1", "title": "Fence"}}]}},
        "Fence",
    ),
    "fallback": (
        {"message": {"mid": "m1", "attachments": [{"type": "fallback", "title": "Fence", "url": "https://f.example", "payload": None}]}},
        "https://f.example",
    ),
    "attachment without content": ({"message": {"mid": "m1", "attachments": [{"type": "appointment_booking"}]}}, "appointment_booking"),
    "no content at all": ({"message": {"mid": "m1"}}, "without content"),
    "menu": ({"postback": {"title": "Start", "payload": "go"}}, "Start"),
    "ice breaker without a title": ({"postback": {"payload": "go"}}, "button"),
    "command": ({"message": {"mid": "m1", "text": "/help", "commands": [{"name": "help"}]}}, "/help"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_a_person_says_has_words_and_asks_for_an_answer(name: str) -> None:
    item, words = SAID[name]
    message = arrived(**item)
    assert words in message.text
    assert message.kind is not MessageKind.SYSTEM


def test_a_post_that_comes_in_its_former_and_its_present_form_is_said_once() -> None:
    post = {"ig_post_media_id": "18139", "title": "Fence", "url": "https://f.example/1"}
    message = arrived(message={"mid": "m1", "attachments": [{"type": "share", "payload": post}, {"type": "ig_post", "payload": post}]})
    assert message.text.count("https://f.example/1") == 1
    assert message.text.count("Fence") == 1


def test_a_link_without_a_payload_is_said_once() -> None:
    link = {"type": "fallback", "title": "Fence", "url": "https://f.example", "payload": None}
    assert arrived(message={"mid": "m1", "attachments": [link]}).text == "Fence https://f.example"


def test_a_shared_story_is_a_file() -> None:
    message = arrived(
        message={"mid": "m1", "attachments": [{"type": "ig_story", "payload": {"story_media_id": "s1", "story_media_url": "https://s.example/1"}}]}
    )
    assert [media.kind for media in message.media] == [MediaKind.IMAGE]
    assert message.media[0].ref.endswith("https://s.example/1")


NOTICES: dict[str, tuple[Json, str]] = {
    "feedback on an answer": ({"response_feedback": {"feedback": "Good response", "mid": "m0"}}, "Good response"),
    "one-time notice": ({"optin": {"type": "one_time_notif_req", "payload": "p", "one_time_notif_token": "EAA-not-a-token"}}, "Agreed"),
    "account unlinked": ({"account_linking": {"status": "unlinked"}}, "unlinked"),
    "thread passed": ({"pass_thread_control": {"previous_owner_app_id": "1", "new_owner_app_id": "2"}}, "passed"),
    "game": ({"game_play": {"game_id": "1", "player_id": "2"}}, "game_play"),
    "what is new": ({"hop_context": [{"app_id": 1}], "new_thing": {"title": "Fence"}}, "new_thing"),
}


@pytest.mark.parametrize("name", NOTICES)
def test_a_notice_has_words_and_is_a_notice(name: str) -> None:
    item, words = NOTICES[name]
    message = arrived(**item)
    assert words in message.text
    assert message.kind is MessageKind.SYSTEM
    assert "not-a-token" not in message.model_dump_json()


def test_an_agreement_without_a_person_is_no_error() -> None:
    (notice,) = events_of(messaging=[{"recipient": {"id": ACCOUNT}, "timestamp": 1758362400000, "optin": {"ref": "shop", "user_ref": "u1"}}])
    assert isinstance(notice, NoticeReceived)
    assert not notice.is_error
    assert "shop" in notice.text


def test_each_edit_of_a_comment_is_told() -> None:
    texts: list[tuple[str, str]] = []
    for time, text in ((1758362400, "one"), (1758362460, "two"), (1758362460, "two")):
        value = {"item": "comment", "verb": "edited", "comment_id": "c1", "post_id": "p1", "from": {"id": ANN, "name": "Ann"}, "message": text}
        (event,) = events_of(time=time, changes=[{"field": "feed", "value": value}])
        assert isinstance(event, MessageReceived)
        assert (event.chat.id, event.message.kind) == ("post:p1", MessageKind.SYSTEM)
        texts.append((event.message.id, event.message.text))
    assert len(set(texts)) == 2
    assert len({id for id, _ in texts}) == 2


BY_ANN: Json = {"from": {"id": ANN, "username": "ann.lee"}}
ON_POSTS: dict[str, tuple[Json, str]] = {
    "comments": (
        {**BY_ANN, "id": "c1", "parent_id": "c0", "media": {"id": "p1", "media_product_type": "FEED", "ad_id": "a"}, "text": "how much?"},
        "how much?",
    ),
    "live_comments": ({**BY_ANN, "id": "c1", "media": {"id": "p1", "media_product_type": "LIVE"}, "text": "hello"}, "hello"),
    "mentions": ({"media_id": "p1", "comment_id": "c1"}, "comment_id"),
}


@pytest.mark.parametrize("field", ON_POSTS)
def test_what_is_written_under_a_post_is_a_notice_in_the_posts_chat(field: str) -> None:
    value, words = ON_POSTS[field]
    (event,) = events_of(changes=[{"field": field, "value": value}])
    assert isinstance(event, MessageReceived)
    assert (event.chat.id, event.message.kind) == ("post:p1", MessageKind.SYSTEM)
    assert words in event.message.text
    assert event.message.sender_name == ("ann.lee" if "from" in value else "")


@pytest.mark.parametrize(
    ("field", "value"), [("story_insights", {"media_id": "17", "impressions": 444}), ("ratings", {"item": "rating", "review_text": "good"})]
)
def test_news_of_the_account_are_told_and_no_error(field: str, value: Json) -> None:
    (notice,) = events_of(changes=[{"field": field, "value": value}])
    assert isinstance(notice, NoticeReceived)
    assert not notice.is_error
    assert str(next(iter(value.values()))) in notice.text


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"message_edit": {"mid": "m1", "text": "later", "num_edit": 2}}, MessageEdited),
        ({"message": {"mid": "m1", "is_deleted": True}}, MessageDeleted),
        ({"reaction": {"mid": "m1", "action": "react", "reaction": "other"}}, ReactionChanged),
        ({"reaction": {"mid": "m1", "action": "unreact"}}, ReactionChanged),
        ({"read": {"mid": "m1"}}, ReceiptChanged),
    ],
)
def test_what_becomes_of_a_message_is_told_of_it(item: Json, kind: type[Any]) -> None:
    (event,) = events_of(messaging=[{**BETWEEN, **item}])
    assert isinstance(event, kind)
    assert (getattr(event, "chat_id", None), getattr(event, "message_id", None)) == (ANN, "m1")


def test_an_edit_that_does_not_say_to_what_takes_no_words_away() -> None:
    message = arrived(message_edit={"mid": "m1", "num_edit": 1})
    assert message.kind is MessageKind.SYSTEM
    assert "edit" in message.text


@pytest.mark.parametrize(
    ("status", "error", "kind", "hint"),
    [
        (400, {"code": 1200, "message": "Temporary send message failure. Please try again later."}, Unreachable, "look before"),
        (400, {"code": 200, "error_subcode": 1545041, "message": "This person isn't available right now."}, Forbidden, "blocked"),
        (400, {"code": 10, "error_subcode": 2018300, "message": "The thread owner is another app"}, Forbidden, "set_thread_control"),
        (400, {"code": 100, "error_subcode": 2018109, "message": "Attachment size exceeds allowable limit"}, InvalidRequest, ""),
        (403, {"code": 341, "message": "Application limit reached"}, RateLimited, ""),
        (400, {"code": 10903, "message": "This user cant reply to this activity"}, Forbidden, "seven days"),
        (400, {"code": 613, "error_subcode": 1893016, "message": "Calls to this API have exceeded the rate limit."}, RateLimited, ""),
        (
            400,
            {"code": 190, "error_subcode": 460, "message": "The session has been invalidated because the user changed the password"},
            MessengerError,
            "token",
        ),
    ],
)
def test_a_refused_send_is_told_in_metas_words_with_the_next_step(status: int, error: Json, kind: type[MessengerError], hint: str) -> None:
    refusal = error_of(httpx.Response(status, json={"error": error}), sends=True)
    assert isinstance(refusal, kind)
    assert str(error["message"]) in refusal.detail
    assert hint in (refusal.hint or "") + refusal.detail
