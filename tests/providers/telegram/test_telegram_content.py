"""Each kind of content and of update that the Bot API describes, as events with words."""

from pathlib import Path
from typing import Any

import pytest

from providers.events import ChatClosed, Event, MessageEdited, MessageReceived, NoticeReceived, PollVoted, ReactionChanged
from providers.models import Account, Contact, Forwarded, Message, MessageKind, Quoted, TextFormat
from providers.telegram.business import BusinessConnection
from providers.telegram.content import content_of
from providers.telegram.inbound import ALLOWED_UPDATES, Reader, events_of
from providers.telegram.memory import MAX_DATA, Memory
from tests.standins.telegram_bot_api import spec
from tests.standins.telegram_bot_api.samples import Samples

Json = dict[str, Any]

ME = Account(id="777000111", name="Robo", username="robo_bot")
ROBO: Json = {"id": 777000111, "is_bot": True, "first_name": "Robo", "username": "robo_bot"}
ANN: Json = {"id": 1001, "is_bot": False, "first_name": "Ann"}
BOB: Json = {"id": 1002, "is_bot": False, "first_name": "Bob", "last_name": "Stone"}
PRIVATE: Json = {"id": 1001, "type": "private", "first_name": "Ann"}
FORUM: Json = {"id": -100200, "type": "supergroup", "title": "Garden club", "is_forum": True}
SPEC = spec.load()
SAMPLES = Samples(SPEC or spec.Spec({}, {}))


def fields_of(kind: str) -> dict[str, Json]:
    """The fields of a type; none where there is no description of the Bot API (MCP_MESSENGER_SPECS names its folder)."""
    return SAMPLES.fields_of(kind) if SPEC else {}


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(ME, Memory(tmp_path))


def sent(reader: Reader, chat: Json = PRIVATE, **fields: Any) -> Message:
    """The message that arrives when Ann sends these fields."""
    whole = {"message_id": 9, "from": ANN, "chat": chat, "date": 1790000000, **fields}
    event = events_of({"update_id": 1, "message": whole}, reader)[0]
    assert isinstance(event, MessageReceived)
    return event.message


ANSWERS = frozenset({"web_app_data", "users_shared", "chat_shared"})
"""Of Telegram's service messages those by which a person answers a button of the bot."""


def is_service(name: str, description: str) -> bool:
    is_report = "ervice message" in description or name.startswith(("new_chat_", "left_chat_", "migrate_", "pinned_", "connected_"))
    return is_report and name not in ANSWERS


@pytest.mark.parametrize("whole", [False, True], ids=["required", "whole"])
@pytest.mark.parametrize("name", [name for name, field in fields_of("Message").items() if not field["required"]])
def test_no_message_arrives_empty_and_reports_are_notices(reader: Reader, name: str, whole: bool) -> None:
    field = fields_of("Message")[name]
    message = sent(reader, **{name: SAMPLES.value(field["types"][0], name, whole=whole)})
    assert message.text.strip() or message.media or message.location
    assert (message.kind is MessageKind.SYSTEM) == is_service(name, field["description"])
    assert f"of the type {name}" not in message.text


@pytest.mark.parametrize("name", [name for name, field in fields_of("Update").items() if not field["required"]])
def test_no_update_is_left_out(reader: Reader, name: str) -> None:
    made = SAMPLES.value(fields_of("Update")[name]["types"][0], name)
    reader.memory.keep_poll({"id": "a id", "options": [{"persistent_id": "a", "text": "yes"}]}, "1:1")
    reader.memory.keep_poll({"id": "a poll_id", "options": [{"persistent_id": "a", "text": "yes"}]}, "1:1")
    reader.memory.keep_connection(BusinessConnection("a business_connection_id", "7", "Bob", True, frozenset()))
    if "business_message" in name:
        made["business_connection_id"] = "a business_connection_id"
    if name in {"poll_answer", "message_reaction"}:
        made["user"] = ANN
    events = events_of({"update_id": 1, name: made}, reader)
    assert events
    is_unread = any(isinstance(event, NoticeReceived) and event.code == "unread_update" for event in events)
    assert is_unread == (name not in ALLOWED_UPDATES)
    if is_unread:
        assert name in str(events)


@pytest.mark.parametrize("kind", SPEC.types["RichBlock"]["subtypes"] if SPEC else [])
def test_each_block_of_a_rich_message_is_read(reader: Reader, kind: str) -> None:
    message = sent(reader, rich_message={"blocks": [SAMPLES.object(kind, whole=True), {"type": "paragraph", "text": "The end"}]})
    assert message.text.endswith("The end")
    assert "A block of the type" not in message.text


def test_a_block_that_is_new_is_named_and_a_text_in_it_is_read(reader: Reader) -> None:
    blocks = [{"type": "aurora"}, {"type": "halo", "text": ["bright ", {"type": "glow", "text": "ring"}]}]
    assert sent(reader, rich_message={"blocks": blocks}).text == "A block of the type aurora.\n\nbright ring"


def test_a_rich_message_is_markdown_with_its_table_links_and_files(reader: Reader) -> None:
    blocks: list[Json] = [
        {"type": "heading", "text": "Prices", "size": 2},
        {
            "type": "paragraph",
            "text": ["Until ", {"type": "bold", "text": "Friday"}, ", *see* ", {"type": "url", "text": "here", "url": "https://example.org"}],
        },
        {"type": "table", "cells": [[{"text": "Apples"}, {"text": "2.50"}], [{"text": "Pears"}, {}]]},
        {"type": "list", "items": [{"label": "•", "blocks": [{"type": "paragraph", "text": "one"}], "has_checkbox": True, "is_checked": True}]},
        {"type": "photo", "photo": [{"file_id": "p", "width": 1, "height": 1}], "caption": {"text": "a basket", "credit": "Ann"}},
    ]
    message = sent(reader, rich_message={"blocks": blocks})
    assert message.text.split("\n\n") == [
        "## Prices",
        r"Until **Friday**, \*see\* [here](https://example.org)",
        "| Apples | 2.50 |\n|---|---|\n| Pears |  |",
        "- [x] one",
        "a basket\nAnn",
    ]
    assert (message.format, [media.ref for media in message.media]) == (TextFormat.MARKDOWN, ["p"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dice": {"emoji": "🎲", "value": 6}}, "🎲 6"),
        ({"invoice": {"title": "Fan", "description": "Red", "currency": "JPY", "total_amount": 1450}}, "An invoice of 1450 JPY for Fan: Red"),
        ({"invoice": {"title": "Fan", "description": "Red", "currency": "KWD", "total_amount": 1450}}, "An invoice of 1.450 KWD for Fan: Red"),
        ({"invoice": {"title": "Fan", "description": "Red", "currency": "XTR", "total_amount": 1}}, "An invoice of 1 Telegram Star for Fan: Red"),
        (
            {"checklist": {"title": "Move", "tasks": [{"id": 1, "text": "Boxes", "completion_date": 1}, {"id": 2, "text": "Keys"}]}},
            "Move\n[x] Boxes\n[ ] Keys",
        ),
        (
            {"paid_media": {"star_count": 5, "paid_media": [{"type": "preview"}]}, "caption": "look"},
            "Paid media for 5 Telegram Stars. 1 of 1 are not paid for.\nlook",
        ),
        ({"poll": {"question": "Coming?", "options": [{"text": "yes"}]}}, "Coming?\n- yes"),
        ({"aurora_card": {"title": "Night sky"}}, "A message of the type aurora_card."),
        ({"aurora_card": {"title": "Night sky"}, "caption": "look"}, "A message of the type aurora_card.\nlook"),
        ({}, "A message without content that a bot can see."),
        ({"unique_gift": {"gift": {"base_name": "Cake", "number": 7}, "origin": "transfer"}}, "Ann sent the unique gift Cake #7 (transfer)."),
        ({"suggested_post_paid": {"currency": "TON", "amount": 1_500_000_000}}, "The suggested post was paid for with 1.500000000 TON."),
    ],
)
def test_words(reader: Reader, fields: Json, words: str) -> None:
    assert sent(reader, **fields).text == words


def test_a_contact_has_fields(reader: Reader) -> None:
    message = sent(reader, contact={"phone_number": "+15550102", "first_name": "Bob", "last_name": "Stone", "user_id": 1002})
    assert (message.kind, message.contact) == (MessageKind.CONTACT, Contact(id="1002", name="Bob Stone", phone="+15550102"))
    card = "BEGIN:VCARD\nVERSION:3.0\nORG:Acme\nTEL;MOBILE:+1 555 0102\nEMAIL:bob@example.com\nEND:VCARD"
    message = sent(reader, contact={"phone_number": "+15550102", "first_name": "Bob", "vcard": card})
    assert message.text == "Bob (Acme) +15550102, bob@example.com"


def test_the_files_of_an_album_name_it(reader: Reader) -> None:
    photo = [{"file_id": "p", "width": 1, "height": 1}]
    assert {sent(reader, photo=photo, media_group_id="42").album, sent(reader, video={"file_id": "v"}, media_group_id="42").album} == {"42"}


@pytest.mark.parametrize(
    ("text", "entities", "expected"),
    [
        ("Pay here", [("text_link", 4, 4, "https://pay.example.com/i(1)")], "Pay [here](https://pay.example.com/i%281%29)"),
        ("👋 Pay *here*", [("text_link", 3, 3, "https://a.example")], r"👋 [Pay](https://a.example) \*here\*"),
        (
            "a_b https://x.example/_y_ c",
            [("url", 4, 21, ""), ("text_link", 26, 1, "https://a.example")],
            "a_b https://x.example/_y_ [c](https://a.example)",
        ),
        ("[x](https://evil.example) go", [("text_link", 26, 2, "https://a.example")], r"\[x\](https://evil.example) [go](https://a.example)"),
        ("run x_y now", [("code", 4, 3, ""), ("text_link", 8, 3, "https://a.example")], "run `x_y` [now](https://a.example)"),
        ("both", [("bold", 0, 4, ""), ("text_link", 0, 4, "https://a.example")], "[both](https://a.example)"),
        ("*as it is*", [("bold", 0, 2, "")], "*as it is*"),
    ],
)
def test_the_address_under_a_word_is_read(reader: Reader, text: str, entities: list[tuple[str, int, int, str]], expected: str) -> None:
    made = [{"type": kind, "offset": offset, "length": length} | ({"url": url} if url else {}) for kind, offset, length, url in entities]
    ways: tuple[Json, Json] = ({"text": text, "entities": made}, {"caption": text, "caption_entities": made})
    for fields in ways:
        message = sent(reader, **fields)
        has_link = any(entity["type"] == "text_link" for entity in made)
        assert (message.text, message.format) == (expected, TextFormat.MARKDOWN if has_link else TextFormat.PLAIN)


@pytest.mark.parametrize(
    ("origin", "name", "id"),
    [
        ({"type": "user", "sender_user": BOB}, "Bob Stone", "1002"),
        ({"type": "hidden_user", "sender_user_name": "M. from the yard"}, "M. from the yard", None),
        ({"type": "chat", "sender_chat": FORUM, "author_signature": "Bob"}, "Garden club (Bob)", "-100200"),
        ({"type": "channel", "chat": {"id": -100300, "type": "channel", "title": "Letters"}, "message_id": 4}, "Letters", "-100300"),
    ],
)
def test_a_forward_names_who_wrote_it(reader: Reader, origin: Json, name: str, id: str | None) -> None:
    found = sent(reader, text="x", forward_origin={"date": 1790000000, **origin}).forwarded
    assert isinstance(found, Forwarded)
    assert (found.name, found.id, found.at and found.at.timestamp()) == (name, id, 1790000000)


def before(**fields: Any) -> Json:
    return {"message_id": 5, "from": BOB, "chat": PRIVATE, "date": 1790000000, **fields}


STORY = {"chat": {"id": 1003, "type": "private", "first_name": "Carol"}, "id": 4}
CHECKLIST = {"title": "Move", "tasks": [{"id": 1, "text": "Boxes"}, {"id": 2, "text": "Keys"}]}
POLL = {"question": "Tea?", "options": [{"persistent_id": "a", "text": "yes"}, {"persistent_id": "b", "text": "no"}]}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reply_to_message": before(text="beans?")}, Quoted(text="beans?", name="Bob Stone")),
        ({"reply_to_message": before(text="beans or peas?"), "quote": {"text": "peas", "position": 9}}, Quoted(text="peas", name="Bob Stone")),
        ({"reply_to_message": before(text="x" * 5000)}, Quoted(text="x" * 1000 + "…", name="Bob Stone")),
        ({"reply_to_message": before(photo=[{"file_id": "p", "width": 1, "height": 1}])}, Quoted(text="A file of the kind image.", name="Bob Stone")),
        ({"reply_to_message": {"message_id": 5, "chat": PRIVATE, "date": 0}}, None),
        (
            {"reply_to_message": before(checklist=CHECKLIST), "reply_to_checklist_task_id": 2},
            Quoted(text="Keys", name="Bob Stone", of="task of a checklist"),
        ),
        ({"reply_to_message": before(poll=POLL), "reply_to_poll_option_id": "b"}, Quoted(text="no", name="Bob Stone", of="option of a poll")),
        ({"reply_to_story": STORY}, Quoted(name="Carol", of="story")),
        (
            {"external_reply": {"origin": {"type": "user", "date": 1, "sender_user": BOB}, "chat": FORUM, "message_id": 3}, "quote": {"text": "saw"}},
            Quoted(text="saw", name="Bob Stone", of="message in Garden club"),
        ),
        (
            {"external_reply": {"origin": {"type": "hidden_user", "date": 1, "sender_user_name": "M."}, "dice": {"emoji": "🎲", "value": 2}}},
            Quoted(text="🎲 2", name="M."),
        ),
    ],
)
def test_the_words_that_are_answered_come_along(reader: Reader, fields: Json, expected: Quoted | None) -> None:
    assert sent(reader, text="yes", **fields).quoted == expected


def test_an_inline_bot_and_a_signature_are_named(reader: Reader) -> None:
    skies = {"id": 3, "is_bot": True, "first_name": "Skies", "username": "skies_bot"}
    assert sent(reader, text="rain", via_bot=skies).sender_name == "Ann via @skies_bot"
    channel = {"id": -100300, "type": "channel", "title": "Letters"}
    assert sent(reader, text="rain", chat=channel, sender_chat=channel, author_signature="Carol").sender_name == "Letters (Carol)"


def test_an_answer_to_the_bot_speaks_to_it_but_not_one_to_others_or_in_a_topic_that_it_opened(reader: Reader) -> None:
    mine = before(text="Rain.") | {"from": ROBO, "chat": FORUM}
    assert sent(reader, FORUM, text="and now?", reply_to_message=mine).mentions_me
    assert not sent(reader, FORUM, text="and now?", reply_to_message=mine | {"from": BOB}).mentions_me
    # A copy that Telegram makes of a channel's post, which may be one of the bot's own.
    assert not sent(reader, FORUM, text="and now?", reply_to_message=mine, is_automatic_forward=True).mentions_me
    opened = {"message_id": 5, "from": ROBO, "chat": FORUM, "date": 1790000000, "forum_topic_created": {"name": "News", "icon_color": 1}}
    message = sent(reader, FORUM, text="hello", message_thread_id=5, is_topic_message=True, reply_to_message=opened)
    assert (message.mentions_me, message.reply_to, message.quoted, message.thread_id, message.thread_title) == (False, None, None, "5", "News")


def test_topics_are_threads_and_threads_of_answers_are_not(reader: Reader) -> None:
    group = {"id": -100400, "type": "supergroup", "title": "Team"}
    assert sent(reader, PRIVATE, text="x", message_thread_id=7, is_topic_message=True).thread_id == "7"
    assert sent(reader, group, text="x", message_thread_id=7).thread_id is None
    direct = sent(reader, {**group, "is_direct_messages": True}, text="x", direct_messages_topic={"topic_id": 8, "user": BOB})
    assert (direct.thread_id, direct.thread_title) == ("direct:8", "Bob Stone")


def edited(reader: Reader, **fields: Any) -> MessageEdited:
    whole = {"message_id": 9, "from": ANN, "chat": PRIVATE, "date": 1790000000, "edit_date": 1790000009, **fields}
    (event,) = events_of({"update_id": 1, "edited_message": whole}, reader)
    assert isinstance(event, MessageEdited)
    return event


def test_an_edit_brings_the_file_the_place_and_the_words_that_are_there_now(reader: Reader) -> None:
    file = edited(reader, document={"file_id": "new", "file_name": "v2.pdf"}, caption="second")
    assert (file.text, [media.ref for media in file.media or ()], file.location) == ("second", ["new"], None)
    place = edited(reader, location={"latitude": 1.5, "longitude": 2.5, "live_period": 900}).location
    assert place is not None
    assert (place.latitude, place.longitude) == (1.5, 2.5)
    assert edited(reader, checklist=CHECKLIST).text == "Move\n[ ] Boxes\n[ ] Keys"
    text = edited(reader, text="plain")
    assert (text.text, text.media, text.location, text.format) == ("plain", None, None, None)
    link = [{"type": "text_link", "offset": 0, "length": 2, "url": "https://a.example"}]
    assert edited(reader, text="go", entities=link).format is TextFormat.MARKDOWN


def pressed(reader: Reader, data: str, **under: Any) -> Message:
    query = {"id": "q1", "from": ANN, "chat_instance": "1", "data": data, "message": before(**under) | {"from": ROBO}}
    (event,) = events_of({"update_id": 1, "callback_query": query}, reader)
    assert isinstance(event, MessageReceived)
    return event.message


def test_a_press_is_the_choice_whose_button_it_was(reader: Reader) -> None:
    long = "day:" + "ä" * 40
    data = reader.memory.data_for(long)
    assert len(data.encode()) <= MAX_DATA
    rows = [[{"text": "Monday", "callback_data": "mon"}], [{"text": "Tuesday", "callback_data": data}]]
    message = pressed(reader, data, text="Which day?", reply_markup={"inline_keyboard": rows})
    assert (message.chosen, message.text, message.reply_to) == (long, "Tuesday", "1001:5")
    gone = pressed(reader, "mon")
    assert (gone.chosen, gone.text) == ("mon", "mon")


def test_long_choices_and_polls_are_known_after_a_restart(reader: Reader, tmp_path: Path) -> None:
    data = reader.memory.data_for("x" * 200)
    reader.memory.keep_poll({"id": "p1", **POLL}, "1001:7")
    again = Memory(tmp_path)
    assert again.choice(data) == "x" * 200
    assert again.choice("short") == "short"
    known = again.poll("p1")
    assert known is not None
    assert (known.message_id, known.options) == ("1001:7", {"a": "yes", "b": "no"})


def test_a_memory_that_cannot_be_read_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "telegram.json").write_text('{"choices": [], "polls": {"a": 1}}', encoding="utf-8")
    memory = Memory(tmp_path)
    assert memory.poll("a") is None
    memory.keep_poll({"id": "a", **POLL}, "1001:7")
    assert Memory(tmp_path).poll("a") is not None


def answered(reader: Reader, *options: int, ids: tuple[str, ...] = (), **who: Any) -> Event:
    answer = {"poll_id": "p1", "option_ids": list(options), "option_persistent_ids": list(ids), **(who or {"user": BOB})}
    (event,) = events_of({"update_id": 1, "poll_answer": answer}, reader)
    return event


def test_a_vote_names_who_and_what_by_the_options_as_they_are_now(reader: Reader) -> None:
    reader.memory.keep_poll({"id": "p1", **POLL}, "1001:7")
    vote = answered(reader, 1, ids=("b",))
    assert isinstance(vote, PollVoted)
    assert (vote.chat_id, vote.message_id, vote.sender_id, vote.sender_name, vote.options) == ("1001", "1001:7", "1002", "Bob Stone", ("no",))
    by_number = answered(reader, 0)
    assert isinstance(by_number, PollVoted)
    assert by_number.options == ("yes",)
    back = answered(reader, voter_chat=FORUM)
    assert isinstance(back, PollVoted)
    assert (back.sender_name, back.options) == ("Garden club", ())
    more = {
        "id": "p1",
        "question": "Tea?",
        "options": [{"persistent_id": "c", "text": "later", "voter_count": 1}],
        "is_anonymous": False,
        "is_closed": False,
    }
    assert events_of({"update_id": 1, "poll": more}, reader) == []
    later = answered(reader, 0, ids=("c",))
    assert isinstance(later, PollVoted)
    assert later.options == ("later",)


def test_sums_are_told_where_nobody_is_named(reader: Reader) -> None:
    reader.memory.keep_poll({"id": "p1", **POLL}, "1001:7")
    counted = [{"persistent_id": "a", "text": "yes", "voter_count": 3}, {"persistent_id": "b", "text": "no", "voter_count": 0}]
    for closed, anonymous in ((False, True), (True, False)):
        events = events_of({"update_id": 1, "poll": {"id": "p1", "options": counted, "is_anonymous": anonymous, "is_closed": closed}}, reader)
        assert [(event.sender_id, event.count) for event in events if isinstance(event, PollVoted)] == [("yes", 3), ("no", 0)]


def test_a_vote_in_an_unknown_poll_is_a_notice(reader: Reader) -> None:
    assert isinstance(answered(reader, 0), NoticeReceived)


@pytest.mark.parametrize(
    ("chat", "member", "reason"),
    [
        (PRIVATE, {"status": "kicked"}, "Ann has blocked the bot."),
        (PRIVATE, {"status": "member"}, None),
        (FORUM, {"status": "left"}, "Ann has removed the bot from the chat."),
        (FORUM, {"status": "restricted", "is_member": True, "can_send_messages": False}, "Ann has taken from the bot the right to write."),
        (FORUM, {"status": "restricted", "is_member": True, "can_send_messages": True}, None),
        (FORUM, {"status": "administrator"}, None),
        (
            {"id": -100300, "type": "channel", "title": "Letters"},
            {"status": "administrator", "can_post_messages": False},
            "Ann has taken from the bot the right to write.",
        ),
    ],
)
def test_a_chat_is_closed_and_open_by_what_the_bot_is_in_it(reader: Reader, chat: Json, member: Json, reason: str | None) -> None:
    change = {"chat": chat, "from": ANN, "date": 1790000000, "new_chat_member": {"user": ROBO, **member}}
    _, closed = events_of({"update_id": 1, "my_chat_member": change}, reader)
    assert isinstance(closed, ChatClosed)
    assert (closed.chat_id, closed.reason) == (str(chat["id"]), reason)


def test_anonymous_reactions_are_counted(reader: Reader) -> None:
    channel = {"id": -100300, "type": "channel", "title": "Letters"}
    counts = {"chat": channel, "message_id": 4, "date": 1790000000, "reactions": [{"type": {"type": "emoji", "emoji": "👍"}, "total_count": 12}]}
    (event,) = events_of({"update_id": 1, "message_reaction_count": counts}, reader)
    assert isinstance(event, ReactionChanged)
    assert (event.sender_id, event.emojis) == ("-100300", ("👍 12",))


def test_a_message_that_is_answered_has_short_words_without_a_name(reader: Reader) -> None:
    assert content_of({"pinned_message": {}}).text == "Somebody pinned a message."
