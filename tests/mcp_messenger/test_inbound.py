"""What providers deliver: durable when `deliver` returns, each once, in order, and only from the owner."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID, uuid4

import anyio
import psycopg
import pytest
from psycopg.rows import dict_row

from db import changes, early_reports, leases, outbox, policy
from db.advisory_locks import EVENT_LOG
from db.database import Database
from db.errors import StoreUnavailable
from mcp_messenger.delivery.feed import Feed
from mcp_messenger.delivery.inbound import Inbound, Source
from mcp_messenger.errors import Conflict
from mcp_messenger.observability.metrics import Metrics
from mcp_messenger.observability.workers import Workers
from providers.events import ChatChanged, ChatMigrated, Event, MessageDeleted, MessageEdited, NoticeReceived, PollVoted, ReactionChanged
from providers.models import Chat, ChatKind
from tests.postgres import execute
from tests.stored import NOON, held_instance, one, opened, receipt, received, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio

WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
TEAM = Chat(id="team", kind=ChatKind.GROUP, title="Team")


@dataclass(frozen=True)
class Desk:
    """One process's inbound over a store, and one instance that it holds."""

    url: str
    database: Database
    inbound: Inbound
    source: Source

    async def deliver(self, *events: Event) -> None:
        await self.inbound.deliver(self.source, events)

    async def send(self, text: str = "from us", chat_id: str = "ann") -> int:
        """A message of ours on its way: claimed, and not settled yet."""
        queued = await outbox.queue(
            self.database,
            instance_id=self.source.instance_id,
            chat_id=chat_id,
            kind="text",
            body=text,
            reply_to=None,
            content={},
            idempotency_key=None,
            draft={"chat_id": chat_id, "text": text},
            upload=None,
        )
        return queued.id

    async def sent(self, message_id: int, platform_id: str) -> int | None:
        instance_id = self.source.instance_id
        settled = await outbox.sent(self.database, instance_id, message_id, platform_id=platform_id, sent_at=NOON, content={})
        await self.inbound.settled(instance_id, platform_id)
        return settled and settled.event.id

    def message(self, platform_id: str) -> dict[str, Any]:
        return self._row("SELECT * FROM messages WHERE platform_id = %s", platform_id)

    def status(self, platform_id: str) -> str:
        return self.message(platform_id)["status"]

    def chat(self, chat_id: str) -> dict[str, Any]:
        return self._row("SELECT * FROM chats WHERE id = %s", chat_id)

    def _row(self, statement: LiteralString, key: str) -> dict[str, Any]:
        with psycopg.connect(self.url) as connection, connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(statement, [key]).fetchone()
        assert row is not None
        return row

    def events(self) -> list[str]:
        return [type for (type,) in rows(self.url, "SELECT type FROM events ORDER BY id")]


@asynccontextmanager
async def desk_of(url: str, owner: UUID, source: Source | None = None) -> AsyncGenerator[Desk]:
    async with opened(url) as database:
        inbound = Inbound(database, Feed(database), Metrics(), Workers())
        if source is None:
            instance_id, epoch = await held_instance(database, owner)
            source = Source(instance_id, epoch)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(inbound.run)
            yield Desk(url, database, inbound, source)
            tasks.cancel_scope.cancel()


@contextmanager
def held_log(url: str) -> Generator[None]:
    """Nobody can write to the log meanwhile."""
    with psycopg.connect(url) as somebody:
        somebody.execute("SELECT pg_advisory_xact_lock(%s)", [EVENT_LOG])
        yield


async def until_waiting(url: str) -> int:
    """The process of the server that waits for a lock."""
    return (await until(lambda: rows(url, WAITING)))[0][0]


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with desk_of(database_url, uuid4()) as desk:
        yield desk


async def test_deliver_returns_only_when_others_can_read_it(desk: Desk) -> None:
    returned = anyio.Event()

    async def deliver() -> None:
        await desk.deliver(received("1"))
        returned.set()

    async with anyio.create_task_group() as tasks:
        with held_log(desk.url):
            tasks.start_soon(deliver)
            await until_waiting(desk.url)
            assert not returned.is_set()
            assert one(desk.url, "SELECT count(*) FROM messages") == 0
        with anyio.fail_after(5):
            await returned.wait()
        assert desk.message("1")["body"] == "hello"


async def test_a_message_is_stored_once_within_a_delivery_across_deliveries_and_from_many_tasks(desk: Desk) -> None:
    await desk.deliver(received("1", "first"), received("2", "second"), received("1", "again"))
    await desk.deliver(received("2"), received("3", "third"))
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(desk.deliver, received("4", "fourth"), received("1"))
    assert rows(desk.url, "SELECT body FROM messages ORDER BY id") == [("first",), ("second",), ("third",), ("fourth",)]
    assert desk.events() == ["message"] * 4
    assert desk.chat("ann")["unread"] == 4


async def test_two_processes_that_are_told_the_same_store_it_once(desk: Desk) -> None:
    """A platform that brings the same call to two servers at once."""
    everyone = Source(desk.source.instance_id, None)
    async with desk_of(desk.url, uuid4(), everyone) as other, anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(desk.inbound.deliver, everyone, [received(str(number), chat=TEAM)])
            tasks.start_soon(other.inbound.deliver, everyone, [received(str(number), chat=TEAM)])
    assert one(desk.url, "SELECT count(*) FROM messages") == 50
    assert len(desk.events()) == 50
    assert desk.chat("team")["unread"] == 50


async def test_chats_and_contacts_are_what_was_last_known(desk: Desk) -> None:
    await desk.deliver(received("1", minute=1), received("2", minute=3), received("3", minute=2))
    chat = desk.chat("ann")
    assert (chat["kind"], chat["title"], chat["username"], chat["phone"]) == ("private", "Ann Lee", "ann", "+15550100")
    assert (chat["unread"], chat["last_message_id"]) == (3, desk.message("2")["id"])
    await desk.deliver(received("4", chat=Chat(id="ann"), minute=4))
    chat = desk.chat("ann")
    assert (chat["kind"], chat["title"], chat["username"]) == ("private", "Ann Lee", "ann")
    assert rows(desk.url, "SELECT id, name, username, phone, is_bot FROM contacts") == [("ann", "Ann Lee", "ann", "+15550100", False)]
    await desk.deliver(ChatChanged(chat=Chat(id="ann", kind=ChatKind.PRIVATE, title="Ann Stone")))
    assert (desk.chat("ann")["title"], desk.chat("ann")["username"]) == ("Ann Stone", "ann")
    await desk.deliver(ChatChanged(chat=Chat(id="ann")))
    assert (desk.chat("ann")["title"], desk.chat("ann")["kind"]) == ("Ann Stone", "private")


async def test_our_own_messages_from_elsewhere_and_old_ones_are_not_unread(desk: Desk) -> None:
    await desk.deliver(received("1", "I wrote this on my phone", outgoing=True), received("2", minute=-5, backfill=True))
    assert (desk.status("1"), desk.chat("ann")["unread"]) == ("sent", 0)
    assert desk.events() == ["message"]
    assert desk.chat("ann")["last_message_id"] == desk.message("1")["id"]


async def test_old_messages_are_no_news_and_do_not_move_a_chat_up(desk: Desk) -> None:
    await desk.deliver(received("new", minute=10))
    await desk.deliver(received("old", minute=1, backfill=True), received("older", minute=0, backfill=True))
    assert one(desk.url, "SELECT count(*) FROM messages") == 3
    assert desk.events() == ["message"]
    assert (desk.chat("ann")["unread"], desk.chat("ann")["last_message_id"]) == (1, desk.message("new")["id"])


async def test_a_message_that_a_history_brought_first_is_announced_when_it_is_delivered_as_new(desk: Desk) -> None:
    """Somebody looks into the chat before the messenger delivers: what is new must wake who waits for it all the same, and once."""
    execute(desk.url, """UPDATE message_instances SET api_webhook_schema = '{"enabled": true}'""")
    await desk.deliver(received("old", minute=0, backfill=True), received("1", minute=1, backfill=True), received("gone", minute=2, backfill=True))
    await desk.deliver(MessageDeleted(chat_id="ann", message_id="gone", at=NOON))
    known = (desk.events(), desk.chat("ann")["unread"])
    for _ in range(2):
        await desk.deliver(received("1", minute=1), received("gone", minute=2))
        await desk.deliver(received("old", backfill=True), received("1", minute=1, backfill=True))
    assert (desk.events(), desk.chat("ann")["unread"]) == ([*known[0], "message"], known[1] + 1)
    due = "SELECT platform_id FROM deliveries d JOIN events e ON e.id = event_id JOIN messages m ON m.id = message_id WHERE type = 'message'"
    assert rows(desk.url, due) == [("1",)]
    assert one(desk.url, "SELECT count(*) FROM messages") == 3


async def test_receipts_never_go_back(desk: Desk) -> None:
    await desk.sent(await desk.send(), "1")
    for status, expected in (
        ("delivered", "delivered"),
        ("delivered", "delivered"),
        ("sent", "delivered"),
        ("read", "read"),
        ("delivered", "read"),
        ("failed", "read"),
    ):
        await desk.deliver(receipt("1", status))
        assert desk.status("1") == expected
    assert desk.events() == ["message", "receipt", "receipt"]


async def test_a_failed_receipt_says_why_until_the_message_arrives_after_all(desk: Desk) -> None:
    await desk.sent(await desk.send(), "1")
    await desk.deliver(receipt("1", "failed", "No such number."))
    assert (desk.status("1"), desk.message("1")["error"]) == ("failed", {"code": "rejected", "message": "No such number."})
    await desk.deliver(receipt("1", "delivered"))
    assert (desk.status("1"), desk.message("1")["error"]) == ("delivered", None)


async def test_a_failure_that_the_platform_reports_later_keeps_its_kind_and_the_next_step(desk: Desk) -> None:
    await desk.sent(await desk.send(), "1")
    reported = {"code": "window_closed", "hint": "Wait until the person writes again."}
    await desk.deliver(receipt("1", "failed", "More than 24 hours.").model_copy(update=reported))
    assert desk.message("1")["error"] == {"message": "More than 24 hours.", **reported}


@pytest.mark.parametrize("order", [("delivered", "read"), ("read", "delivered")])
async def test_receipts_that_overtake_the_answer_to_the_send_are_booked_later(desk: Desk, order: tuple[str, str]) -> None:
    message_id = await desk.send()
    for status in order:
        await desk.deliver(receipt("1", status))
    await desk.sent(message_id, "1")
    assert desk.status("1") == "read"


async def test_votes_and_reactions_that_overtake_the_answer_to_the_send_are_booked_later(desk: Desk) -> None:
    message_id = await desk.send()
    for options in (("tea",), ("coffee",)):
        await desk.deliver(PollVoted(chat_id="ann", message_id="1", sender_id="ann", sender_name="Ann", options=options, at=NOON))
    await desk.deliver(ReactionChanged(chat_id="ann", message_id="1", sender_id="bob", emojis=("👍",), at=NOON))
    await desk.sent(message_id, "1")
    content = desk.message("1")["content"]
    assert content["votes"] == {"ann": {"name": "Ann", "options": ["coffee"]}}
    assert content["reactions"] == {"bob": ["👍"]}


async def test_what_overtakes_its_message_is_booked_when_that_comes(desk: Desk) -> None:
    later = NOON + timedelta(seconds=9)
    await desk.deliver(
        MessageEdited(chat_id="ann", message_id="1", text="newest", at=later),
        MessageEdited(chat_id="ann", message_id="1", text="in between", at=NOON),
        ReactionChanged(chat_id="ann", message_id="1", sender_id="bob", emojis=("👍",), at=NOON),
        MessageDeleted(chat_id="ann", message_id="2", at=NOON),
    )
    await desk.deliver(received("1", "first"), received("2", "gone"))
    message = desk.message("1")
    assert (message["body"], message["edited_at"], message["content"]["reactions"]) == ("newest", later, {"bob": ["👍"]})
    assert desk.message("2")["deleted_at"] == NOON


async def test_what_overtakes_its_message_outlives_a_restart_in_between(desk: Desk) -> None:
    message_id = await desk.send()
    await desk.deliver(
        ReactionChanged(chat_id="ann", message_id="1", sender_id="bob", emojis=("👍",), at=NOON),
        MessageEdited(chat_id="ann", message_id="1", text="newest", at=NOON),
        receipt("2", "read"),
    )
    async with desk_of(desk.url, uuid4(), desk.source) as other:
        await other.deliver(received("1", "first"))
        await other.sent(message_id, "2")
        assert (other.message("1")["body"], other.message("1")["content"]["reactions"]) == ("newest", {"bob": ["👍"]})
        assert other.status("2") == "read"
    assert rows(desk.url, "SELECT * FROM early_reports") == []


async def test_what_overtakes_its_message_is_booked_by_who_owns_the_instance_again(desk: Desk) -> None:
    await desk.deliver(received("0", "nothing is early yet"))
    async with desk_of(desk.url, uuid4(), desk.source) as other:
        await other.deliver(ReactionChanged(chat_id="ann", message_id="1", sender_id="bob", emojis=("👍",), at=NOON))
    desk.inbound.owner_changed(desk.source.instance_id)
    await desk.deliver(received("1", "first"))
    assert desk.message("1")["content"]["reactions"] == {"bob": ["👍"]}


async def test_what_is_early_about_a_message_that_never_comes_is_kept_within_bounds_and_for_some_days(desk: Desk) -> None:
    instance_id = desk.source.instance_id
    for number in range(3):
        await desk.deliver(ReactionChanged(chat_id="ann", message_id=str(number), sender_id="bob", emojis=("👍",), at=NOON))
    assert len(await early_reports.find(desk.database, [(instance_id, str(number)) for number in range(3)])) == 3
    rows(desk.url, "UPDATE early_reports SET kept_at = now() - make_interval(days => %s, mins => 1) WHERE platform_id = '0'", early_reports.DAYS)
    assert await early_reports.expire(desk.database) == 1
    assert [one.platform_id for one in await early_reports.find(desk.database, [(instance_id, "0"), (instance_id, "2")])] == ["2"]


async def test_an_older_edit_takes_back_no_newer_one(desk: Desk) -> None:
    def edit(text: str, seconds: float) -> MessageEdited:
        return MessageEdited(chat_id="ann", message_id="1", text=text, at=NOON + timedelta(seconds=seconds))

    await desk.deliver(received("1", "helo"), edit("hello", 5.5), edit("hallo", 1))
    assert desk.message("1")["body"] == "hello"
    await desk.deliver(edit("hello!", 5))
    assert desk.message("1")["body"] == "hello!"


async def test_a_crowd_that_reacts_to_an_unknown_message_is_kept_within_bounds(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="providers.kit.left_out")
    crowd = [
        ReactionChanged(chat_id="ann", message_id="1", sender_id=f"p{number}", emojis=("👍",), at=NOON) for number in range(early_reports.OF_ONE + 20)
    ]
    await desk.deliver(*crowd)
    await desk.deliver(received("1", "known now"))
    assert len(desk.message("1")["content"]["reactions"]) == early_reports.OF_ONE
    assert any("reaction, its message is not stored yet" in line for line in caplog.messages)


async def test_good_news_of_the_platform_is_an_event_and_no_error(desk: Desk) -> None:
    await desk.deliver(NoticeReceived(code="APPROVED", text="The template was approved.", at=NOON, is_error=False))
    await desk.deliver(NoticeReceived(code="REJECTED", text="The template was rejected.", at=NOON))
    assert desk.events() == ["notice", "notice"]
    assert rows(desk.url, "SELECT code FROM instance_errors") == [("REJECTED",)]


async def test_a_receipt_beside_the_answer_to_the_send_is_not_lost(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store looks for the message a moment before it gets its platform id, and we hear of that a moment after."""
    message_id = await desk.send()
    looked, settled = anyio.Event(), anyio.Event()
    change = changes.change

    async def late_to_answer(*args: Any) -> changes.Change | None:
        changed = await change(*args)
        looked.set()
        await settled.wait()
        return changed

    async with anyio.create_task_group() as tasks:
        with monkeypatch.context() as patch:
            patch.setattr(changes, "change", late_to_answer)
            tasks.start_soon(desk.deliver, receipt("1", "read"))
            await looked.wait()
        await desk.sent(message_id, "1")
        settled.set()
    assert desk.status("1") == "read"


async def test_edits_deletions_and_reactions(desk: Desk) -> None:
    await desk.deliver(received("1", "helo"))
    edit = MessageEdited(chat_id="ann", message_id="1", text="hello", at=NOON)
    react = ReactionChanged(chat_id="ann", message_id="1", sender_id="bob", emojis=("👍",), at=NOON)
    delete = MessageDeleted(chat_id="ann", message_id="1", at=NOON)
    for event in (edit, edit, react, react, delete, delete):
        await desk.deliver(event)
    message = desk.message("1")
    assert (message["body"], message["edited_at"], message["deleted_at"]) == ("hello", NOON, NOON)
    assert message["content"]["reactions"] == {"bob": ["👍"]}
    await desk.deliver(ReactionChanged(chat_id="ann", message_id="1", sender_id="bob", emojis=(), at=NOON))
    assert desk.message("1")["content"]["reactions"]["bob"] == []
    assert desk.events() == ["message", "message_edited", "reaction", "message_deleted", "reaction"]


async def test_what_happened_to_an_unknown_message_is_let_go(desk: Desk) -> None:
    await desk.deliver(MessageEdited(chat_id="ann", message_id="9", text="x", at=NOON), MessageDeleted(chat_id="ann", message_id="9", at=NOON))
    assert desk.events() == []


async def test_an_echo_settles_the_send_that_it_is_of(desk: Desk) -> None:
    message_id = await desk.send("hi")
    await desk.deliver(received("p1", "hi", outgoing=True, client_id=str(message_id)))
    await desk.deliver(received("p1", "hi", outgoing=True, client_id=str(message_id)))
    assert (desk.message("p1")["id"], desk.status("p1")) == (message_id, "sent")
    assert one(desk.url, "SELECT count(*) FROM messages") == 1
    assert one(desk.url, "SELECT count(*) FROM outbox") == 0
    assert desk.events() == ["message"]


@pytest.mark.parametrize("nonce", ["4711", "made-by-somebody-else", "9" * 40])
async def test_an_echo_of_no_send_of_ours_is_a_message_from_elsewhere(desk: Desk, nonce: str) -> None:
    await desk.deliver(received("p1", "written by another program", outgoing=True, client_id=nonce))
    assert (desk.message("p1")["body"], desk.status("p1")) == ("written by another program", "sent")


async def test_an_echo_does_not_settle_another_instance_s_send(desk: Desk) -> None:
    message_id = await desk.send("hi")
    instance_id, epoch = await held_instance(desk.database, uuid4())
    await desk.inbound.deliver(Source(instance_id, epoch), [received("p1", "hi", outgoing=True, client_id=str(message_id))])
    assert desk.message("p1")["instance_id"] == instance_id
    assert one(desk.url, "SELECT status FROM messages WHERE id = %s", message_id) == "queued"


async def test_an_echo_without_a_nonce_becomes_one_with_its_send_and_keeps_what_it_went_through(desk: Desk) -> None:
    message_id = await desk.send("hi")
    await desk.deliver(received("p1", "hi", outgoing=True), receipt("p1", "read"))
    await desk.sent(message_id, "p1")
    assert (desk.message("p1")["id"], desk.status("p1")) == (message_id, "read")
    assert one(desk.url, "SELECT count(*) FROM messages") == 1
    assert desk.chat("ann")["last_message_id"] == message_id


MOVED = ChatMigrated(old_id="team", chat=Chat(id="super", kind=ChatKind.GROUP))


async def test_a_chat_that_moved_keeps_its_messages_its_title_and_what_is_on_its_way(desk: Desk) -> None:
    await desk.deliver(received("1", chat=TEAM), received("2", chat=TEAM, minute=1))
    message_id = await desk.send("on its way", "team")
    await desk.deliver(MOVED)
    assert rows(desk.url, "SELECT DISTINCT chat_id FROM messages") == [("super",)]
    assert one(desk.url, "SELECT chat_id FROM outbox WHERE message_id = %s", message_id) == "super"
    chat = desk.chat("super")
    assert (chat["title"], chat["kind"], chat["unread"], chat["last_message_id"]) == ("Team", "group", 2, desk.message("2")["id"])
    assert (desk.chat("team")["migrated_to"], desk.chat("team")["unread"]) == ("super", 0)
    assert rows(desk.url, "SELECT chat_id, data->>'old_id' FROM events WHERE type = 'chat_migrated'") == [("super", "team")]


async def test_a_move_that_is_told_twice_is_one(desk: Desk) -> None:
    moved = ChatMigrated(old_id="team", chat=TEAM.model_copy(update={"id": "super"}))
    new_chat = TEAM.model_copy(update={"id": "super"})
    await desk.deliver(received("1", chat=TEAM), moved, received("2", chat=new_chat), moved)
    chat = desk.chat("super")
    assert (chat["unread"], chat["last_message_id"]) == (2, desk.message("2")["id"])
    assert desk.events().count("chat_migrated") == 1


async def test_a_chat_that_moved_again_is_found_under_all_its_ids(desk: Desk) -> None:
    await desk.deliver(received("1", chat=TEAM), MOVED, ChatMigrated(old_id="super", chat=Chat(id="hyper", kind=ChatKind.GROUP)))
    assert desk.chat("team")["migrated_to"] == "hyper"
    assert desk.chat("hyper")["title"] == "Team"


async def test_a_move_of_a_chat_that_we_never_saw_is_remembered(desk: Desk) -> None:
    await desk.deliver(MOVED)
    assert desk.chat("team")["migrated_to"] == "super"
    assert desk.events() == ["chat_migrated"]


async def test_trust_in_an_id_that_was_given_up_ends_when_its_new_owner_writes_and_not_when_an_old_message_is_read_back(desk: Desk) -> None:
    await desk.deliver(received("1", chat=TEAM), MOVED)
    await policy.trust(desk.database, desk.source.instance_id, "team", by="owner")
    await desk.deliver(received("old", chat=TEAM, minute=-5, backfill=True))
    assert await policy.trusted(desk.database, desk.source.instance_id) == ["team"]
    await desk.deliver(received("2", chat=TEAM, minute=1))
    assert await policy.trusted(desk.database, desk.source.instance_id) == []


async def test_a_row_that_cannot_be_stored_fails_only_its_own_delivery(desk: Desk) -> None:
    """Ten deliveries wait while an eleventh is written, so they are written together."""
    stored: list[str] = []
    refused: list[str] = []

    async def deliver(id: str) -> None:
        try:
            await desk.deliver(received(id))
            stored.append(id[:8])
        except psycopg.Error:
            refused.append(id[:8])

    async with anyio.create_task_group() as tasks:
        with held_log(desk.url):
            tasks.start_soon(deliver, "first")
            await until_waiting(desk.url)
            for number in range(10):
                # An index takes no key of so many random characters.
                tasks.start_soon(deliver, f"bad{secrets.token_hex(9000)}" if number == 5 else str(number))
            await until(lambda: len(desk.inbound._queue) == 10)
    assert (len(stored), len(refused)) == (10, 1)
    assert one(desk.url, "SELECT count(*) FROM messages") == 10


async def test_who_lost_the_lease_stores_nothing(desk: Desk) -> None:
    await desk.deliver(received("1"))
    sent = await desk.send()
    await desk.sent(sent, "2")
    before = desk.events()
    execute(desk.url, "UPDATE leases SET expires_at = now() - interval '1 second'")
    await leases.acquire(desk.database, uuid4(), ["process"])
    for event in (
        received("3"),
        MessageEdited(chat_id="ann", message_id="1", text="changed", at=NOON),
        MessageDeleted(chat_id="ann", message_id="1", at=NOON),
        ReactionChanged(chat_id="ann", message_id="1", sender_id="ann", emojis=("👍",), at=NOON),
        receipt("2", "read"),
        ChatChanged(chat=Chat(id="ann", title="Other")),
        ChatMigrated(old_id="ann", chat=Chat(id="new")),
    ):
        with pytest.raises(Conflict):
            await desk.deliver(event)
    assert desk.events() == before
    assert (desk.message("1")["body"], desk.status("2"), desk.chat("ann")["title"]) == ("hello", "sent", "Ann Lee")
    assert one(desk.url, "SELECT count(*) FROM messages") == 2


async def test_one_who_lost_the_lease_does_not_fail_the_others_in_the_batch(desk: Desk) -> None:
    theirs, epoch = await held_instance(desk.database, uuid4())

    async def refused() -> None:
        with pytest.raises(Conflict):
            await desk.inbound.deliver(Source(theirs, epoch + 1), [received("theirs")])

    async with anyio.create_task_group() as tasks:
        with held_log(desk.url):
            tasks.start_soon(desk.deliver, received("first"))
            await until_waiting(desk.url)
            tasks.start_soon(refused)
            tasks.start_soon(desk.deliver, received("second"))
            await until(lambda: len(desk.inbound._queue) == 2)
    assert rows(desk.url, "SELECT platform_id FROM messages ORDER BY id") == [("first",), ("second",)]


HOSTILE = [
    "a\x00b",
    "literally \\u0000 in it",
    "\\\x00\\\\\x00\\u0000",
    "\u202egnp.exe",
    "\x1b[31mred",
    "lone \ud800 surrogate",
    "' OR 1=1; DROP TABLE messages; --",
    "%s %(id)s {0}",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
async def test_no_character_can_break_a_write(desk: Desk, text: str) -> None:
    await desk.deliver(received("1", text, sender_name=text, raw={"text": text, text: [text]}), received("2", "the next one"))
    assert desk.message("1")["raw"] is not None
    assert "\x00" not in desk.message("1")["body"]
    await desk.deliver(
        MessageEdited(chat_id="ann", message_id="1", text=f"{text} edited", at=NOON),
        ReactionChanged(chat_id="ann", message_id="1", sender_id="bob", emojis=(text,), at=NOON),
        ChatChanged(chat=Chat(id="ann", title=text)),
    )
    assert desk.message("1")["body"].endswith(" edited")
    assert desk.message("2")["body"] == "the next one"


async def test_a_backslash_before_u0000_stays(desk: Desk) -> None:
    await desk.deliver(received("1", "C:\\u0000"))
    assert desk.message("1")["body"] == "C:\\u0000"


async def test_a_store_that_goes_away_is_told_and_what_is_given_again_is_stored_once(desk: Desk) -> None:
    await desk.deliver(received("1"))
    execute(desk.url, "ALTER TABLE messages RENAME TO messages_away")
    with pytest.raises(StoreUnavailable, match="has not the tables"):
        await desk.deliver(received("2"))
    execute(desk.url, "ALTER TABLE messages_away RENAME TO messages")

    async def interrupted() -> None:
        with pytest.raises(StoreUnavailable):
            await desk.deliver(received("2"))

    async with anyio.create_task_group() as tasks:
        with held_log(desk.url):
            tasks.start_soon(interrupted)
            execute(desk.url, f"SELECT pg_terminate_backend({await until_waiting(desk.url)})")
    await desk.deliver(received("1"), received("2"))
    assert rows(desk.url, "SELECT platform_id FROM messages ORDER BY id") == [("1",), ("2",)]


async def test_every_event_waits_for_a_webhook_that_is_on_as_the_instance_is_set_at_that_moment(desk: Desk) -> None:
    await desk.deliver(received("0"))
    execute(desk.url, """UPDATE message_instances SET api_webhook_schema = '{"enabled": true}'""")
    await desk.deliver(received("1"), received("2", outgoing=True), received("1"), received("old", backfill=True))
    await desk.deliver(MessageEdited(chat_id="ann", message_id="1", text="x", at=NOON))
    execute(desk.url, """UPDATE message_instances SET api_webhook_schema = '{"enabled": "no"}'""")
    await desk.deliver(received("3"))
    due = "SELECT target, type, platform_id FROM deliveries d JOIN events e ON e.id = event_id JOIN messages m ON m.id = message_id ORDER BY d.id"
    assert rows(desk.url, due) == [("webhook", "message", "1"), ("webhook", "message", "2"), ("webhook", "message_edited", "1")]


async def test_hundreds_of_deliveries_share_their_commits(desk: Desk) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(500):
            tasks.start_soon(desk.deliver, received(str(number)))
    assert one(desk.url, "SELECT count(*) FROM messages") == 500
    assert one(desk.url, "SELECT count(DISTINCT xmin::text) FROM messages") < 50
    assert desk.chat("ann")["unread"] == 500


async def test_the_last_activity_is_of_what_is_new(desk: Desk) -> None:
    activity = "SELECT last_activity_at FROM message_instances"
    await desk.deliver(received("old", backfill=True))
    assert one(desk.url, activity) is None
    await desk.deliver(received("new"))
    assert one(desk.url, activity) is not None
