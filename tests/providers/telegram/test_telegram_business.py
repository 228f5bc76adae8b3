"""A person's own chats, which the bot reads and answers in as far as the person lets it."""

from pathlib import Path

import pytest

from providers.errors import Forbidden, InvalidRequest, NotFound, WindowClosed
from providers.events import MessageDeleted, MessageEdited, MessageReceived, NoticeReceived
from providers.models import Choice, Draft, Poll, TextFormat
from providers.states import InstanceState
from tests.providers.telegram.conftest import Station

pytestmark = pytest.mark.anyio


def people(station: Station) -> tuple[int, int]:
    """Bob, whose chats they are, and Ann, who writes to him."""
    return station.bot.person("Bob"), station.bot.person("Ann")


async def test_what_others_write_to_the_person_is_another_chat_than_theirs_with_the_bot(station: Station) -> None:
    await station.ready()
    bob, ann = people(station)
    post = station.bot.connects(bob, "can_reply")
    notice = await station.inbox.wait(NoticeReceived)
    assert (notice.text, notice.is_error) == ("Bob connected the bot to their own chats. Its rights: reply.", False)
    station.bot.user_writes(ann, "hello bot")
    asked = station.bot.writes_to_owner(post, ann, "hello Bob")
    own, other = (await station.inbox.message("hello Bob")), (await station.inbox.message("hello bot"))
    assert (own.chat.id, own.chat.title, own.message.id) == (f"b{bob}:{ann}", "Ann (with Bob)", f"b{bob}:{ann}:{asked['message_id']}")
    assert (own.message.sender_id, own.message.outgoing, own.message.standby) == (str(ann), False, False)
    assert other.chat.id == str(ann)
    station.bot.writes_to_owner(post, ann, "I am Bob", by=bob, reply_to_message=asked)
    mine = (await station.inbox.message("I am Bob")).message
    assert (mine.outgoing, mine.reply_to) == (True, own.message.id)


async def test_the_bot_answers_edits_and_deletes_in_the_persons_name(station: Station) -> None:
    provider = await station.ready()
    bob, ann = people(station)
    post = station.bot.connects(bob, "can_reply", "can_delete_sent_messages")
    station.bot.writes_to_owner(post, ann, "hello Bob")
    asked = (await station.inbox.message("hello Bob")).message
    chat = asked.chat_id
    sent = await provider.send(Draft(client_id="1", chat_id=chat, text="x" * 5000, reply_to=asked.id, extra={"split": True}))
    assert (sent.chat_id, len(sent.parts), {part.rpartition(":")[0] for part in sent.parts}) == (chat, 2, {chat})
    assert all(call.params["business_connection_id"] == post.id for call in station.bot.sent)
    assert station.bot.sent[0].message is not None
    assert station.bot.sent[0].message["reply_to_message"]["text"] == "hello Bob"
    await provider.set_typing(chat, True)
    await provider.edit(chat, sent.parts[1], "Good day", TextFormat.PLAIN)
    assert [message["text"] for message in station.bot.messages.values()][-1] == "Good day"
    await provider.delete(chat, sent.parts[1])
    assert "Good day" not in [message["text"] for message in station.bot.messages.values()]
    with pytest.raises(Forbidden, match="BOT_ACCESS_FORBIDDEN"):
        await provider.delete(chat, asked.id)


async def test_buttons_and_polls_in_the_persons_chats_are_answered_there(station: Station) -> None:
    provider = await station.ready()
    bob, ann = people(station)
    post = station.bot.connects(bob, "can_reply")
    station.bot.writes_to_owner(post, ann, "hello Bob")
    chat = (await station.inbox.message("hello Bob")).chat.id
    await provider.send(Draft(client_id="1", chat_id=chat, text="Tea?", choices=(Choice(id="t", title="Tea"),)))
    assert station.bot.sent[0].message is not None
    station.bot.user_presses(station.bot.sent[0].message, "t", by=ann)
    pressed = await station.inbox.wait(MessageReceived, lambda event: event.message.chosen == "t")
    assert pressed.chat.id == chat
    poll = await provider.send(Draft(client_id="2", chat_id=chat, poll=Poll(question="Tea?", options=("yes", "no"))))
    assert poll.id.startswith(f"{chat}:")


async def test_edits_and_deletions_in_the_persons_chats_arrive(station: Station) -> None:
    await station.ready()
    bob, ann = people(station)
    post = station.bot.connects(bob, "can_reply")
    message = station.bot.writes_to_owner(post, ann, "helo")
    station.bot.update("edited_business_message", message | {"text": "hello", "edit_date": message["date"] + 1})
    station.bot.update("deleted_business_messages", {"business_connection_id": post.id, "chat": message["chat"], "message_ids": [1, 2]})
    edited = await station.inbox.wait(MessageEdited)
    assert (edited.chat_id, edited.message_id, edited.text) == (f"b{bob}:{ann}", f"b{bob}:{ann}:1", "hello")
    await station.inbox.wait(MessageDeleted, lambda event: event.message_id == f"b{bob}:{ann}:2")


@pytest.mark.parametrize(("rights", "enabled"), [((), True), (("can_read_messages",), True), (("can_reply",), False)])
async def test_nothing_is_done_outside_the_rights_and_nobody_is_woken(station: Station, rights: tuple[str, ...], enabled: bool) -> None:
    provider = await station.ready()
    bob, ann = people(station)
    post = station.bot.connects(bob, *rights, enabled=enabled)
    station.bot.writes_to_owner(post, ann, "hello Bob")
    event = await station.inbox.message("hello Bob")
    assert event.message.standby
    calls = len(station.bot.calls)
    for act in (
        provider.send(Draft(client_id="1", chat_id=event.chat.id, text="hello")),
        provider.edit(event.chat.id, event.message.id, "hello", TextFormat.PLAIN),
        provider.delete(event.chat.id, event.message.id),
        provider.set_typing(event.chat.id, True),
    ):
        with pytest.raises(Forbidden) as caught:
            await act
        assert "Chatbots" in (caught.value.hint or "")
    with pytest.raises(InvalidRequest):
        await provider.react(event.chat.id, event.message.id, "👍")
    assert {call.method for call in station.bot.calls[calls:]} <= {"getUpdates"}


async def test_a_connection_is_known_after_a_restart_and_asked_for_where_it_is_not(station: Station, tmp_path: Path) -> None:
    provider = await station.ready()
    bob, ann = people(station)
    post = station.bot.connects(bob, "can_reply")
    station.bot.writes_to_owner(post, ann, "hello Bob")
    chat = (await station.inbox.message("hello Bob")).chat.id
    await provider.stop()
    assert (await station.make().send(Draft(client_id="1", chat_id=chat, text="hello"))).chat_id == chat
    (tmp_path / "telegram.json").unlink()
    with pytest.raises(NotFound, match="not connected"):
        await station.make().send(Draft(client_id="2", chat_id=chat, text="hello"))
    again = await station.ready()
    station.bot.writes_to_owner(post, ann, "are you there?")
    await station.inbox.message("are you there?")
    await again.send(Draft(client_id="3", chat_id=chat, text="yes"))


async def test_after_a_day_without_a_word_the_window_is_closed(station: Station) -> None:
    provider = await station.ready()
    bob, ann = people(station)
    post = station.bot.connects(bob, "can_reply")
    station.bot.writes_to_owner(post, ann, "hello Bob")
    chat = (await station.inbox.message("hello Bob")).chat.id
    post.active.clear()
    with pytest.raises(WindowClosed, match="usage_missing"):
        await provider.send(Draft(client_id="1", chat_id=chat, text="hello"))


async def test_no_field_of_the_platform_leads_into_a_persons_chats(station: Station) -> None:
    with pytest.raises(InvalidRequest, match="business_connection_id"):
        station.make().check(Draft(client_id="1", chat_id="1", text="hello", extra={"business_connection_id": "x"}))


async def test_a_connection_that_was_ended_meanwhile_keeps_back_nothing(station: Station) -> None:
    """What was written before is still brought, by a connection that Telegram does not know any more."""
    await station.ready()
    bob, ann = people(station)
    unknown = {"business_connection_id": "ended"}
    chat = {"id": ann, "type": "private", "first_name": "Ann"}
    station.bot.update("deleted_business_messages", {**unknown, "chat": chat, "message_ids": [1]})
    station.bot.user_writes(bob, "hello bot")
    assert (await station.inbox.message("hello bot")).chat.id == str(bob)
    notice = await station.inbox.wait(NoticeReceived)
    assert (notice.code, "does not know any more" in notice.text) == ("business_connection", True)
    assert station.inbox.states()[-1] is InstanceState.READY
