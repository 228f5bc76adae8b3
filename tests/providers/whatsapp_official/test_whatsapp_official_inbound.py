"""What people write, and what Meta tells of our messages."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from providers.events import (
    ChatMigrated,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    NoticeReceived,
    ReactionChanged,
    ReceiptChanged,
    ReceiptStatus,
    StateChanged,
)
from providers.models import ChatKind, MediaKind, Message, MessageKind
from tests.providers.meta_station import Station
from tests.standins.graph_api import WhatsAppNumber, spec

pytestmark = pytest.mark.anyio

Numbers = Station[WhatsAppNumber]
GROUP = "Y2FwaV9ncm91cDo"


def official(name: str) -> dict[str, Any]:
    return json.loads(spec.examples().read_text(encoding="utf-8"))[name]


def official_names() -> list[str]:
    return list(json.loads(spec.examples().read_text(encoding="utf-8"))) if spec.examples().is_file() else []


described = pytest.mark.skipif(not official_names(), reason="Meta's examples are not here; MCP_MESSENGER_SPECS names their folder")


def told(station: Numbers) -> list[Any]:
    return [event for event in station.inbox.events if not isinstance(event, StateChanged)]


async def received(station: Numbers, delivery: dict[str, Any]) -> list[Any]:
    """The events of an official example, brought to its own number."""
    number = delivery["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"]
    provider = await station.start(phone_number_id=number)
    assert (await station.bring(provider, delivery)).status == 200
    return told(station)


async def first_message(station: Numbers, name: str) -> Message:
    event = (await received(station, official(name)))[0]
    assert isinstance(event, MessageReceived)
    assert event.message.raw
    return event.message


@described
@pytest.mark.parametrize("name", official_names())
async def test_an_official_example_is_understood_or_recorded_as_it_came(station: Numbers, name: str) -> None:
    events = await received(station, official(name))
    assert events
    for event in events:
        if isinstance(event, MessageReceived):
            assert event.message.raw
            assert event.message.text or event.message.media or event.message.location


@described
@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("Text Message", MessageKind.TEXT, "Does it come in another color?"),
        ("Text Message with Context (Product Inquiry)", MessageKind.TEXT, "Is this still available?"),
        ("Image Message", MessageKind.MEDIA, "Taj Mahal"),
        ("Contact Sharing Message", MessageKind.CONTACT, "Lucía Gómez (Google) +1 (983) 555-2319"),
        ("Unsupported Message", MessageKind.UNKNOWN, "Message type unknown Message type is currently not supported."),
        ("Order Message", MessageKind.UNKNOWN, "Order: 2 × di9ozbzfi4 at 30 USD, 1 × nqryix03ez at 25 USD."),
        ("System Message", MessageKind.SYSTEM, "User Sheena Nelson changed from 16505551234 to 12195555358"),
    ],
)
async def test_official_content(station: Numbers, name: str, kind: MessageKind, text: str) -> None:
    message = await first_message(station, name)
    assert (message.kind, message.text) == (kind, text)
    assert message.at.year == 2025


@described
@pytest.mark.parametrize(
    ("name", "chosen", "text"),
    [
        ("Button Message", "Unsubscribe", "Unsubscribe"),
        ("Interactive List Reply Message", "priority_express", "Priority Mail Express"),
        ("Interactive Button Reply Message", "cancel-button", "Cancel"),
    ],
)
async def test_official_choices(station: Numbers, name: str, chosen: str, text: str) -> None:
    message = await first_message(station, name)
    assert (message.chosen, message.text) == (chosen, text)
    assert (message.reply_to or "").startswith("wamid.")


@described
async def test_an_official_place_picture_and_reaction(station: Numbers) -> None:
    message = await first_message(station, "Location Message")
    place = message.location
    assert (place is not None, message.text) == (True, "https://philzcoffee.com/")
    assert place is not None
    assert (round(place.latitude, 3), place.name) == (37.442, "Philz Coffee, 101 Forest Ave, Palo Alto, CA 94301")
    station.inbox.events.clear()
    picture = (await first_message(station, "Image Message")).media[0]
    assert (picture.kind, picture.ref, picture.mime) == (MediaKind.IMAGE, "1003383421387256", "image/jpeg")
    station.inbox.events.clear()
    reaction = (await received(station, official("Reaction Message")))[0]
    assert isinstance(reaction, ReactionChanged)
    assert (reaction.sender_id, reaction.emojis) == ("16505551234", ("👍",))


@described
async def test_a_new_number_moves_the_chat(station: Numbers) -> None:
    _, moved = await received(station, official("System Message"))
    assert isinstance(moved, ChatMigrated)
    assert (moved.old_id, moved.chat.id, moved.chat.phone) == ("16505551234", "12195555358", "+12195555358")


@described
async def test_groups_are_told_in_the_group(station: Numbers) -> None:
    chat, said = await received(station, official("Group Create Message"))
    assert (chat.chat.kind, chat.chat.title) == (ChatKind.GROUP, "your-group-subject")
    text = "Group create: description: your-group-description, added_participants: 16505551234, 16505551235."
    assert (said.message.chat_id, said.message.kind, said.message.text) == (chat.chat.id, MessageKind.SYSTEM, text)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"type": "button", "button": {"payload": "STOP", "text": "Stop"}}, {"chosen": "STOP", "text": "Stop"}),
        ({"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"id": "a", "title": "A"}}}, {"chosen": "a", "text": "A"}),
        ({"type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": {"body": "Sent"}}}, {"kind": "unknown", "text": "Sent"}),
        ({"type": "location", "location": {"latitude": 1, "longitude": 2, "name": "Here"}}, {"kind": "location", "text": ""}),
        ({"type": "contacts", "contacts": [{"name": {"formatted_name": "Bob"}}]}, {"kind": "contact", "text": "Bob"}),
        (
            {"type": "contacts", "contacts": [{"name": {"formatted_name": "Bob"}, "birthday": "1990-01-02", "addresses": [{"city": "Rome"}]}]},
            {"kind": "contact", "text": "Bob Rome, born 1990-01-02"},
        ),
        ({"type": "sticker", "sticker": {"id": "1", "mime_type": "image/webp"}}, {"kind": "media", "text": ""}),
        ({"type": "request_welcome"}, {"kind": "system", "text": "Opened the chat for the first time, and has not written yet."}),
        ({"type": "unsupported", "errors": [{"code": 131051, "title": "Not supported"}]}, {"kind": "unknown", "text": "Not supported"}),
    ],
)
async def test_each_type_of_content(station: Numbers, content: dict[str, Any], expected: dict[str, str]) -> None:
    provider = await station.start()
    message = {"from": "16505551234", "id": "wamid.T", "timestamp": "1750269342", **content}
    await station.bring(provider, station.account.delivery({"messages": [message]}))
    said = told(station)[0].message
    assert {name: getattr(said, name) for name in expected} == expected
    assert said.raw == message


async def test_the_scoped_id_of_a_person_with_a_number_is_a_further_id_of_the_chat(station: Numbers) -> None:
    provider, number = await station.start(), station.account
    ann = number.person("Ann")
    number.callback = None
    number.writes(ann, "who am I?", scoped="US.13491208655302741918", phone=False)
    number.writes(ann, "it is me", scoped="US.13491208655302741918")
    for delivery in number.pending:
        await station.bring(provider, delivery)
    first, second = told(station)
    assert (first.chat.id, first.chat.aliases, first.chat.phone) == ("US.13491208655302741918", (), None)
    assert (second.chat.id, second.chat.aliases, second.chat.phone) == (ann, ("US.13491208655302741918",), f"+{ann}")


@pytest.mark.parametrize(
    "system",
    [
        {"type": "user_changed_user_id", "body": "User Ann changed from US.1 to US.2", "user_id": "US.2"},
        {"type": "user_changed_user_id", "body": "Changed.", "previous_user_id": "US.1", "user_id": "US.2"},
    ],
)
async def test_a_new_scoped_id_moves_the_chat(station: Numbers, system: dict[str, str]) -> None:
    provider = await station.start()
    message = {"from_user_id": "US.1", "id": "wamid.S", "timestamp": "1750269342", "type": "system", "system": system}
    await station.bring(provider, station.account.delivery({"messages": [message]}))
    said, moved = told(station)
    assert said.message.kind is MessageKind.SYSTEM
    assert (moved.old_id, moved.chat.id) == ("US.1", "US.2")


async def test_a_new_scoped_id_leaves_the_numbers_chat_where_it_is(station: Numbers) -> None:
    provider = await station.start()
    system = {"type": "user_changed_user_id", "body": "User Ann changed from US.1 to US.2", "user_id": "US.2"}
    person = {"from": "16505551234", "from_user_id": "US.1"}
    changed = {**person, "id": "wamid.2", "timestamp": "1750269343", "type": "system", "system": system}
    await station.bring(provider, station.account.delivery({"messages": [changed]}))
    said, joined = told(station)
    assert (said.chat.id, joined.chat.id, joined.chat.aliases) == ("16505551234", "16505551234", ("US.2",))


async def test_a_new_number_takes_the_scoped_ids_along(station: Numbers) -> None:
    provider = await station.start()
    system = {"type": "user_changed_number", "body": "User Ann changed from 16505551234 to 12195555358", "wa_id": "12195555358", "user_id": "US.2"}
    changed = {"from": "16505551234", "from_user_id": "US.1", "id": "wamid.1", "timestamp": "1750269342", "type": "system", "system": system}
    await station.bring(provider, station.account.delivery({"messages": [changed]}))
    _, moved = told(station)
    assert (moved.old_id, moved.chat.id, moved.chat.phone) == ("16505551234", "12195555358", "+12195555358")
    assert set(moved.chat.aliases) == {"US.1", "US.2"}
    assert moved.at == datetime.fromtimestamp(1750269342, UTC)


async def test_a_status_joins_number_and_scoped_id_once(station: Numbers) -> None:
    provider = await station.start()
    status = {"id": "wamid.Z", "status": "sent", "timestamp": "1750269342", "recipient_id": "16505551234", "recipient_user_id": "US.1"}
    for state in ("sent", "delivered"):
        await station.bring(provider, station.account.delivery({"statuses": [{**status, "status": state}]}))
    joined, *receipts = told(station)
    assert (joined.chat.id, joined.chat.aliases) == ("16505551234", ("US.1",))
    assert [receipt.status for receipt in receipts] == [ReceiptStatus.SENT, ReceiptStatus.DELIVERED]


async def test_user_names_are_kept(station: Numbers) -> None:
    provider = await station.start()
    contact = {"profile": {"name": "Ann", "username": "ann.lee"}, "user_id": "US.1"}
    message = {"from_user_id": "US.1", "id": "wamid.U", "timestamp": "1750269342", "type": "text", "text": {"body": "hi"}}
    await station.bring(provider, station.account.delivery({"contacts": [contact], "messages": [message]}))
    assert told(station)[0].sender.username == "ann.lee"


async def test_a_voice_message_and_a_document(station: Numbers) -> None:
    provider, number = await station.start(), station.account
    ann = number.person()
    number.callback = None
    number.says(ann, type="audio", audio={"id": "1", "mime_type": "audio/ogg; codecs=opus", "voice": True})
    number.says(ann, type="document", document={"id": "2", "mime_type": "application/pdf", "filename": "bill.pdf", "caption": "the bill"})
    for delivery in number.pending:
        await station.bring(provider, delivery)
    voice, document = (event.message.media[0] for event in told(station))
    assert (voice.kind, voice.mime) == (MediaKind.VOICE, "audio/ogg")
    assert (document.kind, document.name) == (MediaKind.DOCUMENT, "bill.pdf")


@pytest.mark.parametrize(
    "content", [{"type": "image"}, {"type": "text", "text": 7}, {"type": "poem", "poem": {"lines": 4}}, {"type": "location", "location": {}}]
)
async def test_what_cannot_be_read_is_recorded_as_unknown(station: Numbers, content: dict[str, Any]) -> None:
    provider = await station.start()
    message = {"from": "16505551234", "id": "wamid.X", "timestamp": "1750269342", **content}
    await station.bring(provider, station.account.delivery({"messages": [message]}))
    said = told(station)[0].message
    assert (said.kind, said.raw) == (MessageKind.UNKNOWN, message)


async def test_one_unreadable_message_does_not_keep_back_the_others(station: Numbers) -> None:
    provider = await station.start()
    good = {"from": "16505551234", "id": "wamid.G", "timestamp": "1750269342", "type": "text", "text": {"body": "good"}}
    await station.bring(provider, station.account.delivery({"messages": [{"nonsense": True}, good, {**good, "id": "wamid.H", "timestamp": "soon"}]}))
    events = told(station)
    assert [event.message.id for event in events if isinstance(event, MessageReceived)] == ["wamid.G", "wamid.H"]
    (notice,) = [event for event in events if isinstance(event, NoticeReceived)]
    assert "nonsense" in notice.text


async def test_a_delivery_with_several_entries_is_taken_whole(station: Numbers) -> None:
    provider, number = await station.start(), station.account
    number.callback = None
    for text in ("one", "two"):
        number.writes(number.person(), text)
    batch = {"object": number.kind, "entry": [delivery["entry"][0] for delivery in number.pending]}
    await station.bring(provider, batch)
    assert [event.message.text for event in told(station)] == ["one", "two"]


async def test_what_is_for_another_number_of_the_business_is_left_out(station: Numbers) -> None:
    provider = await station.start(phone_number_id="999")
    station.account.callback = None
    station.account.writes(station.account.person(), "not for 999")
    assert (await station.bring(provider, station.account.pending[0])).status == 200
    assert told(station) == []


async def test_statuses_come_late_twice_and_out_of_order_and_all_are_told(station: Numbers) -> None:
    provider, number = await station.start(), station.account
    number.receipts, number.callback = False, None
    sent = await provider.send(station.draft(number.person(), "hello"))
    for status in ("read", "delivered", "delivered", "sent", "archived"):
        number.tells(sent.id, status)
    for delivery in number.pending:
        await station.bring(provider, delivery)
    *receipts, unknown = told(station)
    assert (unknown.type, unknown.is_error, "archived" in unknown.text) == ("notice", False, True)
    assert [receipt.status for receipt in receipts] == [ReceiptStatus.READ, ReceiptStatus.DELIVERED, ReceiptStatus.DELIVERED, ReceiptStatus.SENT]
    assert {receipt.message_id for receipt in receipts} == {sent.id}


async def test_a_failure_has_metas_words(station: Numbers) -> None:
    provider, number = await station.start(), station.account
    number.receipts, number.callback = False, None
    sent = await provider.send(station.draft(number.person(), "hello"))
    details = {"details": "More than 24 hours have passed."}
    number.tells(sent.id, "failed", errors=[{"code": 131047, "title": "Re-engagement message", "error_data": details}])
    await station.bring(provider, number.pending[0])
    receipt = told(station)[0]
    assert isinstance(receipt, ReceiptChanged)
    assert receipt.status is ReceiptStatus.FAILED
    assert receipt.detail == "Re-engagement message More than 24 hours have passed. (code 131047)"
    assert (receipt.code, (receipt.hint or "").startswith("Wait until the person writes again")) == ("window_closed", True)


async def test_a_status_settles_a_send_whose_answer_was_lost(station: Numbers) -> None:
    provider, number = await station.ready(), station.account
    ann = number.person()
    number.drop_next("messages", "after")
    with pytest.raises(Exception, match="did not answer"):
        await provider.send(station.draft(ann, "did it go?"))
    echo = await station.inbox.wait(MessageReceived)
    assert (echo.client_id, echo.message.outgoing, echo.message.id in number.messages) == ("41", True, True)
    receipt = await station.inbox.wait(ReceiptChanged)
    assert receipt.message_id == echo.message.id


async def test_a_status_of_another_programs_message_is_no_echo(station: Numbers) -> None:
    provider = await station.start()
    status = {"id": "wamid.Z", "status": "sent", "timestamp": "1750269342", "recipient_id": "16505551234", "biz_opaque_callback_data": "campaign-7"}
    await station.bring(provider, station.account.delivery({"statuses": [status]}))
    assert [type(event) for event in told(station)] == [ReceiptChanged]


async def test_what_the_business_writes_in_its_own_app_is_told(station: Numbers) -> None:
    provider = await station.start()
    echo = {"from": "15550783881", "to": "16505551234", "id": "wamid.E", "timestamp": "1750269342", "type": "text", "text": {"body": "by hand"}}
    await station.bring(provider, station.account.delivery({"message_echoes": [echo]}, "smb_message_echoes"))
    event = told(station)[0]
    assert (event.message.outgoing, event.chat.id, event.message.text, event.client_id) == (True, "16505551234", "by hand", None)
    station.inbox.events.clear()
    of_edit = {"original_message_id": "wamid.E", "message": {"type": "text", "text": {"body": "by my hand"}}}
    for content in (
        {"type": "edit", "edit": of_edit},
        {"type": "reaction", "reaction": {"message_id": "wamid.I", "emoji": "👍"}},
        {"type": "revoke", "revoke": {"original_message_id": "wamid.E"}},
        {"type": "text", "text": {"body": "to all"}, "to": f"{GROUP}1"},
    ):
        await station.bring(provider, station.account.delivery({"message_echoes": [{**echo, "id": "wamid.F", **content}]}, "smb_message_echoes"))
    edited, reacted, revoked, in_group = told(station)
    assert (type(edited), edited.message_id, edited.text) == (MessageEdited, "wamid.E", "by my hand")
    assert (type(reacted), reacted.message_id, reacted.sender_id) == (ReactionChanged, "wamid.I", station.account.id)
    assert (type(revoked), revoked.message_id, revoked.chat_id) == (MessageDeleted, "wamid.E", "16505551234")
    assert (in_group.chat.id, in_group.chat.kind, in_group.message.outgoing) == (f"{GROUP}1", ChatKind.GROUP, True)


async def test_a_field_or_a_list_that_is_new_is_a_notice(station: Numbers, caplog: pytest.LogCaptureFixture) -> None:
    provider, number = await station.start(), station.account
    caplog.set_level(logging.INFO)
    for value, field in (({"flights": [{"to": "LIS"}]}, "messages"), ({"flag": "up"}, "business_flags"), ({"statuses": []}, "messages")):
        await station.bring(provider, number.delivery(value, field))
    assert [(notice.code, notice.text, notice.is_error) for notice in told(station)] == [
        ("messages", "Messages: to: LIS", False),
        ("business_flags", "Business flags: flag: up", False),
    ]
    assert "messages, it holds nothing (1 so far)" in caplog.text


async def test_the_dashboards_test_shows_up_and_wakes_nobody(station: Numbers) -> None:
    provider = await station.start()
    message = {"from": "16315551181", "id": "ABGGFlA5Fpa", "timestamp": "1504902988", "type": "text", "text": {"body": "this is a text message"}}
    metadata = {"display_phone_number": "16505551111", "phone_number_id": "123456123"}
    contact = {"profile": {"name": "test user name"}, "wa_id": "16315551181"}
    value = {"messaging_product": "whatsapp", "metadata": metadata, "contacts": [contact], "messages": [message]}
    for field in (value, {"event": "DISABLED_UPDATE"}):
        entry = {"id": "0", "changes": [{"field": "messages", "value": field}]}
        await station.bring(provider, {"object": station.account.kind, "entry": [entry]})
    said, notice = told(station)
    assert (said.message.kind, said.message.text, said.chat.title) == (MessageKind.SYSTEM, "this is a text message", "Test from Meta's dashboard")
    assert isinstance(notice, NoticeReceived)
    assert "DISABLED" not in notice.text


async def test_notices_about_another_account_are_left_out(station: Numbers) -> None:
    provider = await station.start()
    ours, theirs = ({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": state}} for state in ("DISABLE", "REINSTATE"))
    for account, value in ((station.account.business_account, ours), ("4711", theirs)):
        entry = {"id": account, "time": 1750269342, "changes": [{"field": "account_update", "value": value}]}
        await station.bring(provider, {"object": station.account.kind, "entry": [entry]})
    (notice,) = told(station)
    assert (notice.code, notice.text) == ("DISABLED_UPDATE", "Account update: event: DISABLED_UPDATE, waba_ban_state: DISABLE")


@pytest.mark.parametrize(
    ("field", "value", "is_error"),
    [
        ("account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}, False),
        ("account_update", {"event": "ACCOUNT_RESTRICTION"}, True),
        ("message_template_status_update", {"event": "APPROVED", "message_template_name": "order_ready"}, False),
        ("message_template_status_update", {"event": "PAUSED", "message_template_name": "order_ready"}, True),
        ("phone_number_quality_update", {"event": "UPGRADE", "current_limit": "TIER_10K"}, False),
        ("phone_number_name_update", {"decision": "REJECTED"}, True),
        ("payment_configuration_update", {"status": "Active"}, False),
        ("some_new_field", {"what": "ever"}, False),
        ("some_new_field", {"event": "DISABLED"}, True),
    ],
)
async def test_good_news_about_the_account_is_no_error(station: Numbers, field: str, value: dict[str, Any], is_error: bool) -> None:
    provider = await station.start()
    entry = {"id": station.account.business_account, "time": 1750269342, "changes": [{"field": field, "value": value}]}
    await station.bring(provider, {"object": station.account.kind, "entry": [entry]})
    (notice,) = told(station)
    assert isinstance(notice, NoticeReceived)
    assert notice.is_error == is_error


async def test_what_the_business_wrote_in_its_app_before_is_history_and_nothing_new(station: Numbers) -> None:
    provider, number = await station.start(), station.account
    asked = {"from": "16505551234", "id": "wamid.H1", "timestamp": "1739230955", "type": "text", "text": {"body": "hello"}}
    answered = {"from": number.display, "to": "16505551234", "id": "wamid.H2", "timestamp": "1739230970", "type": "media_placeholder"}
    chunk = {"metadata": {"phase": 0, "chunk_order": 1, "progress": 55}, "threads": [{"id": "16505551234", "messages": [asked, answered]}]}
    await station.bring(provider, number.delivery({"history": [chunk]}, field="history"))
    file = {**answered, "type": "image", "image": {"id": "77", "mime_type": "image/png"}}
    await station.bring(provider, number.delivery({"messages": [{**file, "from": "16505551234"}]}, field="history"))
    first, second, third, edited = told(station)
    assert isinstance(first, MessageReceived)
    assert isinstance(second, MessageReceived)
    assert isinstance(third, MessageReceived)
    assert [(one.backfill, one.chat.id, one.message.outgoing) for one in (first, second)] == [
        (True, "16505551234", False),
        (True, "16505551234", True),
    ]
    assert (first.message.text, third.backfill) == ("hello", True)
    assert isinstance(edited, MessageEdited)
    assert (edited.message_id, [media.kind for media in edited.media or ()]) == ("wamid.H2", [MediaKind.IMAGE])


async def test_a_business_that_does_not_share_its_history_is_told(station: Numbers) -> None:
    provider, number = await station.start(), station.account
    refused = {"errors": [{"code": 2593109, "title": "History sync is turned off by the business from the WhatsApp Business App"}]}
    await station.bring(provider, number.delivery({"history": [refused]}, field="history"))
    (notice,) = told(station)
    assert isinstance(notice, NoticeReceived)
    assert "turned off" in notice.text


async def test_a_group_that_could_not_be_made_is_a_notice(station: Numbers) -> None:
    provider = await station.start()
    group = {"timestamp": "1750269342", "type": "group_create", "request_id": "r", "errors": [{"code": 131215, "title": "Not eligible"}]}
    await station.bring(provider, station.account.delivery({"groups": [group]}, "group_lifecycle_update"))
    (notice,) = told(station)
    assert (notice.code, notice.text) == ("group_create", "Group create failed. Not eligible (code 131215).")
