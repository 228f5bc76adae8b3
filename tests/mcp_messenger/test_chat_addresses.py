"""One conversation is one chat, whatever id the platform uses for it; an id that changed hands is another person's."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from db import chat_addresses, outbox
from providers.events import ChatClosed, ChatMigrated, NoticeReceived, PollVoted
from providers.models import Chat, ChatKind, MessageKind
from tests.mcp_messenger.test_inbound import Desk, desk_of
from tests.stored import NOON, one, received, rows

pytestmark = pytest.mark.anyio

NUMBER = Chat(id="15550100", kind=ChatKind.PRIVATE, title="Ann Lee", phone="+15550100", aliases=("hidden.1",))
HIDDEN = Chat(id="hidden.1", kind=ChatKind.PRIVATE, title="Ann Lee")


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with desk_of(database_url, uuid4()) as desk:
        yield desk


def filed(desk: Desk) -> list[tuple[str, str]]:
    """The chat of each message, in the order in which they were stored."""
    return [(chat, body) for chat, body in rows(desk.url, "SELECT chat_id, body FROM messages ORDER BY id")]


def chats(desk: Desk) -> list[str]:
    return [id for (id,) in rows(desk.url, "SELECT id FROM chats WHERE migrated_to IS NULL ORDER BY id")]


async def sent(desk: Desk, message_id: int, platform_id: str, chat_id: str, thread_id: str | None = None) -> None:
    await outbox.sent(
        desk.database, desk.source.instance_id, message_id, platform_id=platform_id, sent_at=NOON, content={}, chat_id=chat_id, thread_id=thread_id
    )


async def test_a_send_is_filed_where_the_platform_says_it_lies(desk: Desk) -> None:
    message = await desk.send("hello", chat_id="U01ANN")
    await sent(desk, message, "1.1", "D01ANN")
    await desk.deliver(received("1.2", "hi", chat=Chat(id="D01ANN", kind=ChatKind.PRIVATE, title="Ann Lee"), minute=1))
    assert filed(desk) == [("D01ANN", "hello"), ("D01ANN", "hi")]
    assert chats(desk) == ["D01ANN"]
    found = await chat_addresses.find(desk.database, desk.source.instance_id, "U01ANN")
    assert found is not None
    assert (found.chat_id, found.title) == ("D01ANN", "Ann Lee")


async def test_what_still_waits_for_the_old_address_goes_with_it(desk: Desk) -> None:
    first, second = await desk.send("one", chat_id="#general"), await desk.send("two", chat_id="#general")
    await sent(desk, first, "1.1", "C01")
    assert rows(desk.url, "SELECT message_id, chat_id FROM outbox") == [(second, "C01")]


async def test_a_send_to_a_thread_is_filed_in_its_channel(desk: Desk) -> None:
    message = await desk.send("in the thread", chat_id="thread-3")
    await sent(desk, message, "1", "general", "thread-3")
    assert rows(desk.url, "SELECT chat_id, thread_id FROM messages") == [("general", "thread-3")]
    found = await chat_addresses.find(desk.database, desk.source.instance_id, "thread-3")
    assert found is not None
    assert (found.chat_id, found.thread_id) == ("general", "thread-3")


async def test_a_person_who_shows_only_the_hidden_id_later_stays_one_chat_in_a_new_process(desk: Desk) -> None:
    await desk.deliver(received("1", "with number", chat=NUMBER))
    async with desk_of(desk.url, uuid4(), desk.source) as later:
        await later.deliver(received("2", "without number", chat=HIDDEN, minute=1))
    assert filed(desk) == [("15550100", "with number"), ("15550100", "without number")]
    assert chats(desk) == ["15550100"]


async def test_a_number_that_shows_up_later_takes_the_chat_along(desk: Desk) -> None:
    await desk.deliver(received("1", "hidden", chat=HIDDEN))
    await desk.deliver(received("2", "shown", chat=NUMBER, minute=1))
    assert filed(desk) == [("15550100", "hidden"), ("15550100", "shown")]
    assert chats(desk) == ["15550100"]
    assert "chat_migrated" in desk.events()
    assert desk.chat("15550100")["unread"] == 2


async def test_whoever_writes_from_a_number_that_was_given_up_is_somebody_else(desk: Desk) -> None:
    old, new = Chat(id="A", kind=ChatKind.PRIVATE, title="Ann Lee"), Chat(id="B", kind=ChatKind.PRIVATE, title="Ann Lee")
    await desk.deliver(received("1", "it is Ann", chat=old), ChatMigrated(old_id="A", chat=new))
    moved = await chat_addresses.find(desk.database, desk.source.instance_id, "A")
    assert moved is not None
    assert moved.chat_id == "B"
    await desk.deliver(received("2", "it is Gus", chat=Chat(id="A", kind=ChatKind.PRIVATE, title="Gus Hill"), minute=1))
    assert filed(desk) == [("B", "it is Ann"), ("A", "it is Gus")]
    assert desk.chat("A")["title"] == "Gus Hill"
    found = await chat_addresses.find(desk.database, desk.source.instance_id, "A")
    assert found is not None
    assert found.chat_id == "A"
    assert await chat_addresses.succession(desk.database, desk.source.instance_id, "A") is not None
    assert await chat_addresses.succession(desk.database, desk.source.instance_id, "B") is None


async def test_history_and_notices_of_an_old_number_hand_it_to_nobody(desk: Desk) -> None:
    old, new = Chat(id="A", kind=ChatKind.PRIVATE, title="Ann Lee"), Chat(id="B", kind=ChatKind.PRIVATE, title="Ann Lee")
    await desk.deliver(received("1", chat=old), ChatMigrated(old_id="A", chat=new))
    await desk.deliver(received("2", "old news", chat=old, backfill=True), received("3", "moved", chat=old, kind=MessageKind.SYSTEM))
    found = await chat_addresses.find(desk.database, desk.source.instance_id, "A")
    assert found is not None
    assert found.chat_id == "B"


async def test_a_notice_alone_leaves_the_chat_read_and_its_window_closed(desk: Desk) -> None:
    await desk.deliver(received("1", "Ann changed her number.", kind=MessageKind.SYSTEM))
    assert (desk.chat("ann")["unread"], desk.chat("ann")["last_incoming_at"]) == (0, None)


async def test_a_notice_is_not_unread_opens_no_window_and_asks_no_agent(desk: Desk) -> None:
    rows(desk.url, "UPDATE message_instances SET agno_enable = true, agent_id = 'helper' WHERE id = %s", desk.source.instance_id)
    await desk.deliver(received("1", "Ann changed her number.", kind=MessageKind.SYSTEM), received("2", "for another app", standby=True, minute=1))
    chat = desk.chat("ann")
    assert (chat["unread"], chat["last_incoming_at"]) == (1, NOON + timedelta(minutes=1))
    assert one(desk.url, "SELECT count(*) FROM deliveries WHERE target = 'agno'") == 0
    await desk.deliver(received("3", "a question", minute=2))
    assert one(desk.url, "SELECT count(*) FROM deliveries WHERE target = 'agno'") == 1


async def test_a_chat_that_is_closed_says_why_until_it_is_open_again(desk: Desk) -> None:
    await desk.deliver(received("1"), ChatClosed(chat_id="ann", reason="Ann has blocked the bot.", at=NOON))
    closed = await chat_addresses.find(desk.database, desk.source.instance_id, "ann")
    assert closed is not None
    assert closed.closed == "Ann has blocked the bot."
    await desk.deliver(ChatClosed(chat_id="ann", reason=None, at=NOON))
    opened = await chat_addresses.find(desk.database, desk.source.instance_id, "ann")
    assert opened is not None
    assert opened.closed is None
    assert desk.events().count("chat_closed") == 2


async def test_a_closed_chat_in_which_somebody_writes_is_open_again(desk: Desk) -> None:
    await desk.deliver(received("1"), ChatClosed(chat_id="ann", reason="Ann has blocked the bot.", at=NOON))
    await desk.deliver(received("2", "I am back", minute=1))
    found = await chat_addresses.find(desk.database, desk.source.instance_id, "ann")
    assert found is not None
    assert found.closed is None


async def test_a_vote_is_kept_with_its_poll_and_replaced_by_the_next(desk: Desk) -> None:
    await desk.deliver(received("1", "Tea or coffee?", kind=MessageKind.POLL))
    await desk.deliver(PollVoted(chat_id="ann", message_id="1", sender_id="bob", sender_name="Bob", options=("Tea",), at=NOON))
    await desk.deliver(PollVoted(chat_id="ann", message_id="1", sender_id="bob", sender_name="Bob", options=("Coffee",), at=NOON))
    assert desk.message("1")["content"]["votes"] == {"bob": {"name": "Bob", "options": ["Coffee"]}}
    assert desk.events().count("poll_vote") == 2


async def test_a_notice_about_the_account_is_an_event_and_stands_among_its_errors(desk: Desk) -> None:
    await desk.deliver(NoticeReceived(code="131000", text="Your message could not be processed.", at=NOON))
    await desk.deliver(NoticeReceived(code="131000", text="Your message could not be processed.", at=NOON))
    assert rows(desk.url, "SELECT code, message, count FROM instance_errors") == [("131000", "Your message could not be processed.", 2)]
    assert desk.events() == ["notice", "notice"]


async def test_a_notice_of_a_move_that_is_brought_again_moves_nobody_else(desk: Desk) -> None:
    ann, gus = Chat(id="A", kind=ChatKind.PRIVATE, title="Ann"), Chat(id="A", kind=ChatKind.PRIVATE, title="Gus")
    moved = ChatMigrated(old_id="A", chat=Chat(id="B", kind=ChatKind.PRIVATE), at=NOON + timedelta(minutes=1))
    await desk.deliver(received("1", "It is Ann.", chat=ann))
    await desk.deliver(moved)
    await desk.deliver(received("2", "Who is this?", chat=gus, minute=2))
    await desk.deliver(moved)
    assert filed(desk) == [("B", "It is Ann."), ("A", "Who is this?")]


async def test_a_message_that_is_brought_again_takes_no_id_back(desk: Desk) -> None:
    first = received("1", "It is Ann.", chat=NUMBER)
    new = Chat(id="15550200", kind=ChatKind.PRIVATE, aliases=("hidden.1",))
    await desk.deliver(first)
    await desk.deliver(ChatMigrated(old_id="15550100", chat=new, at=NOON + timedelta(minutes=1)))
    async with desk_of(desk.url, uuid4(), desk.source) as later:
        await later.deliver(first)
        await later.deliver(received("2", "without number", chat=HIDDEN, minute=2))
    assert filed(desk) == [("15550200", "It is Ann."), ("15550200", "without number")]


async def test_a_new_hidden_id_leaves_the_numbers_chat_where_it_is(desk: Desk) -> None:
    await desk.deliver(received("1", "with number", chat=NUMBER))
    await desk.deliver(ChatMigrated(old_id="hidden.1", chat=Chat(id="hidden.2", kind=ChatKind.PRIVATE)))
    await desk.deliver(received("2", "without number", chat=Chat(id="hidden.2", kind=ChatKind.PRIVATE), minute=1))
    assert filed(desk) == [("15550100", "with number"), ("15550100", "without number")]
