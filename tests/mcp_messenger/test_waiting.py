"""Waiting for what comes: woken at once, nothing missed between a look and the wait, nothing twice, no gap between two waits."""

import dataclasses
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import anyio
import httpx
import pytest

from db import events, inbound
from db.database import Database, Params, Row
from db.errors import StoreUnavailable
from db.events import EventRow
from db.pool import open_pool
from mcp_messenger.delivery.feed import POLL_WITH_WAKEUPS, POLL_WITHOUT_WAKEUPS, Listener
from mcp_messenger.delivery.inbound import Source, message_row
from mcp_messenger.errors import CursorAhead, InvalidInput
from mcp_messenger.operations import sending, waiting
from mcp_messenger.operations.application import App
from mcp_messenger.operations.lifecycle import stop_instance
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.waiting import NewMessages, Replies, WaitForMessages, WaitForReply
from mcp_messenger.operations.webhooks import ReplayEvents, SetWebhook, replay_events, set_webhook
from mcp_messenger.security.caller import ADMIN
from providers.events import ChatMigrated, Event, MessageEdited, PollVoted, ReactionChanged
from providers.models import Chat, ChatKind, Contact
from tests.postgres import execute
from tests.refusals import END_OTHERS
from tests.running import ready_sandbox, running_app, serving
from tests.stored import one, opened, received, rows
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio

ANN = Chat(id="ann", kind=ChatKind.PRIVATE, title="Ann")
BOB = Chat(id="bob", kind=ChatKind.PRIVATE, title="Bob")
CARL = Chat(id="carl", kind=ChatKind.PRIVATE, title="Carl")


class Line:
    """One instance, and what comes in on it."""

    def __init__(self, app: App, instance_id: str) -> None:
        self.app = app
        self.instance_id = instance_id

    async def deliver(self, *events: Event) -> None:
        await self.app.inbound.deliver(Source(UUID(self.instance_id), None), events)

    async def wait(self, **arguments: Any) -> NewMessages:
        return await waiting.wait_for_messages(self.app, ADMIN, WaitForMessages(instance_id=self.instance_id, **arguments))

    async def send(self) -> str:
        sent = await sending.send_message(self.app, ADMIN, sending.SendMessage(instance_id=self.instance_id, to="ann", message="well?"))
        return sent.message_id

    async def reply(self, message_id: str, **arguments: Any) -> Replies:
        return await waiting.wait_for_reply(self.app, ADMIN, WaitForReply(instance_id=self.instance_id, message_id=message_id, **arguments))


@asynccontextmanager
async def line_of(database_url: str, data_dir: Path) -> AsyncGenerator[Line]:
    async with running_app(database_url, data_dir) as app:
        yield Line(app, await ready_sandbox(app, persona="human"))


def texts(answer: NewMessages) -> list[str]:
    return [message.text for message in answer.messages]


async def test_who_waits_is_woken_at_once(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line:
        answers: list[NewMessages] = []

        async def wait() -> None:
            answers.append(await line.wait(timeout=30))

        with anyio.fail_after(2):
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(wait)
                await until(lambda: len(line.app.feed._waiting[UUID(line.instance_id), None]) == 4)
                await line.deliver(received("1", "hello"))
        assert [texts(answer) for answer in answers] == [["hello"]] * 4


async def test_the_cursor_goes_on_without_a_gap_and_without_repeating(database_url: str, tmp_path: Path) -> None:
    """Messages come one by one and in bunches, some of them ours, while somebody reads three at a time."""
    async with line_of(database_url, tmp_path) as line:
        cursor = (await line.wait(timeout=0)).cursor
        seen: list[str] = []

        async def write() -> None:
            for number in range(40):
                await line.deliver(
                    received(f"{number}-a", f"{number}-a"), received(f"{number}-o", outgoing=True), received(f"{number}-b", f"{number}-b")
                )

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write)
                while len(seen) < 80:
                    answer = await line.wait(cursor=cursor, timeout=10, limit=3)
                    assert 1 <= len(answer.messages) <= 3
                    seen += texts(answer)
                    cursor = answer.cursor
        assert seen == [f"{number}-{part}" for number in range(40) for part in "ab"]
        assert texts(await line.wait(cursor=cursor, timeout=0)) == []


class LateDatabase(Database):
    """Keeps what the first look at the event log has found until it `answers`."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = anyio.Event()
        self.answers = anyio.Event()

    async def all(self, row: type[Row], sql: LiteralString, params: Params | None = None, *, planned_anew: bool = False) -> list[Row]:
        found = await super().all(row, sql, params, planned_anew=planned_anew)
        if row is EventRow:
            self.looked.set()
            await self.answers.wait()
        return found


async def test_what_comes_between_the_look_and_the_wait_is_not_missed(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line, await open_pool(database_url, min_size=1, max_size=1) as pool:
        late = LateDatabase()
        late.ready(pool)
        slow = Line(dataclasses.replace(line.app, database=late), line.instance_id)
        answers: list[NewMessages] = []

        async def wait() -> None:
            answers.append(await slow.wait(timeout=30))

        with anyio.fail_after(3):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await late.looked.wait()
                await line.deliver(received("1", "in between"))
                await until(lambda: not line.app.feed._waiting.get((UUID(line.instance_id), None)))
                late.answers.set()
        assert texts(answers[0]) == ["in between"]


async def test_another_chat_and_another_instance_wake_nobody(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line:
        other = Line(line.app, await ready_sandbox(line.app, persona="human"))
        cursor = (await line.wait(timeout=0)).cursor
        await line.deliver(received("1", "from Bob", chat=BOB))
        await other.deliver(received("2", "elsewhere"))
        assert texts(await line.wait(cursor=cursor, chat_id="ann", timeout=0.2)) == []
        assert texts(await line.wait(cursor=cursor, timeout=0)) == ["from Bob"]


@pytest.mark.parametrize(("store", "poll_every"), [("database_url", POLL_WITH_WAKEUPS), ("pgbouncer", POLL_WITHOUT_WAKEUPS)])
async def test_what_another_process_stored_is_seen(store: str, poll_every: float, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """By a wake-up of the store, or behind a pooler by looking twice a second."""
    url = request.getfixturevalue(store)
    async with line_of(url, tmp_path) as line, running_app(url, tmp_path) as elsewhere:
        await until(lambda: line.app.feed.poll_every == elsewhere.feed.poll_every == poll_every)
        cursor = (await line.wait(timeout=0)).cursor
        answers: list[NewMessages] = []

        async def wait() -> None:
            answers.append(await line.wait(cursor=cursor, timeout=30))

        with anyio.fail_after(1.5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await until(lambda: line.app.feed._waiting[UUID(line.instance_id), None])
                await Line(elsewhere, line.instance_id).deliver(received("1", "from over there"))
        assert texts(answers[0]) == ["from over there"]


async def test_an_answer_that_quotes_is_before_all_others(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line:
        message_id = await line.send()
        platform_id: str = one(database_url, "SELECT platform_id FROM messages WHERE id = %s", int(message_id))
        await line.deliver(received("1", "by the way", minute=10**6), received("2", "to your question", minute=10**6 + 1, reply_to=platform_id))
        answer = await line.reply(message_id, timeout=5)
        assert [message.text for message in answer.replies] == ["to your question", "by the way"]


async def test_it_waits_for_silence_after_the_first_answer(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line:
        message_id = await line.send()
        answers: list[Replies] = []
        last = 0.0

        def waiters() -> set[anyio.Event]:
            return {event for events in line.app.feed._waiting.values() for event in events}

        async def wait() -> None:
            answers.append(await line.reply(message_id, timeout=10, settle=0.5))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            for number in range(3):
                await until(waiters)
                before, last = waiters(), anyio.current_time()
                await line.deliver(received(str(number), f"part {number}", minute=10**6 + number))
                await until(lambda before=before: not before & waiters())
        assert anyio.current_time() - last >= 0.5, "the silence begins again with each"
        assert [message.text for message in answers[0].replies] == ["part 0", "part 1", "part 2"]


async def test_nobody_answers(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line:
        message_id = await line.send()
        await line.deliver(received("1", "an old message", minute=-(10**5)), received("2", "from Bob", chat=BOB, minute=10**6))
        await line.deliver(received("3", "our own", outgoing=True, minute=10**6))
        answer = await line.reply(message_id, timeout=0.3)
        assert answer.replies == []
        assert answer.status in {"sent", "delivered", "read"}


async def test_the_feed_goes_on_after_an_outage_and_misses_nothing(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line:
        cursor = (await line.wait(timeout=0)).cursor
        execute(database_url, END_OTHERS)
        with suppress(StoreUnavailable):
            await line.deliver(received("1", "afterwards"))
        # A messenger delivers again what was refused.
        await line.deliver(received("1", "afterwards"))
        with anyio.fail_after(5):
            assert texts(await line.wait(cursor=cursor, timeout=30)) == ["afterwards"]


async def test_who_waits_in_a_chat_is_not_woken_by_another(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line:
        feed, instance_id, seen = line.app.feed, UUID(line.instance_id), Seen()
        feed.listeners.append(seen)
        await line.deliver(received("0", "so far", chat=CARL))
        # That the instance is ready is of every chat: it has to be passed on before.
        await until(lambda: {number for (number,) in rows(database_url, "SELECT max(id) FROM events")} <= set(seen.numbers))
        async with feed.waiter(instance_id, "ann") as here, feed.waiter(instance_id, "bob") as there, feed.waiter(instance_id) as anywhere:
            await line.deliver(received("1", "hello", chat=ANN))
            with anyio.fail_after(PATIENCE):
                await here.wait()
                await anywhere.wait()
            assert not there.is_set()
            await stop_instance(line.app, ADMIN, OfInstance(instance_id=line.instance_id))
            with anyio.fail_after(PATIENCE):
                # What is of no chat is of all.
                await there.wait()


class Seen(Listener):
    """Remembers the numbers of events as the feed passes them on."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def instance_changed(self, instance_id: UUID, rows: list[EventRow]) -> None:
        self.numbers += [row.id for row in rows]


async def test_what_another_process_writes_in_between_is_passed_on_in_its_place(database_url: str, tmp_path: Path) -> None:
    """Own events need not be read; those between them must be, and what they make due must be delivered."""
    async with line_of(database_url, tmp_path) as line:
        seen, source = Seen(), Source(UUID(line.instance_id), None)
        line.app.feed.listeners.append(seen)
        async with opened(database_url) as elsewhere:
            for number in range(3):
                await line.deliver(received(f"{number} a", "ours"), received(f"{number} b", "ours too"))
                await inbound.append_messages(elsewhere, [{**message_row(source, received(f"{number} c", "another's")), "position": 0}])
                await line.deliver(received(f"{number} d", "ours again"))
        numbers = [number for (number,) in rows(database_url, "SELECT id FROM events WHERE type = 'message' ORDER BY id")]
        await until(lambda: len(set(numbers) & set(seen.numbers)) == 12)
        assert [number for number in seen.numbers if number in numbers] == numbers


async def test_a_send_is_answered_by_its_own_outcome_alone(database_url: str, tmp_path: Path) -> None:
    """Many at once in one chat: each caller gets the message that it sent."""
    async with line_of(database_url, tmp_path) as line:
        answers: dict[int, str] = {}

        async def send(number: int) -> None:
            args = sending.SendMessage(instance_id=line.instance_id, to="ann", message=f"number {number}")
            answer = await sending.send_message(line.app, ADMIN, args)
            assert answer.status in {"sent", "delivered", "read"}
            answers[number] = answer.message_id

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(send, number)
        stored = dict(rows(database_url, "SELECT id::text, body FROM messages WHERE outgoing"))
        assert {number: stored[id] for number, id in answers.items()} == {number: f"number {number}" for number in range(20)}


def reaction(message_id: str, *emojis: str, by: str = "ann") -> ReactionChanged:
    return ReactionChanged(chat_id="ann", message_id=message_id, sender_id=by, emojis=emojis, at=datetime.now(UTC))


async def test_a_reaction_answers_a_message_where_that_is_asked_for(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line:
        message_id = await line.send()
        platform_id = one(database_url, "SELECT platform_id FROM messages WHERE id = %s", int(message_id))
        cursor = (await line.wait(timeout=0)).cursor
        answers: list[Replies | NewMessages] = []

        async def reply() -> None:
            answers.append(await line.reply(message_id, timeout=30, reactions=True, settle=0))

        async def wait() -> None:
            answers.append(await line.wait(cursor=cursor, timeout=30))

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reply)
                tasks.start_soon(wait)
                await until(lambda: sum(map(len, line.app.feed._waiting.values())) >= 2)
                await line.deliver(reaction(platform_id, "\N{THUMBS UP SIGN}"))
        assert [bool(answer.reactions) for answer in answers] == [True, True]
        unasked = await line.reply(message_id, timeout=0.1)
        assert (unasked.replies, unasked.reactions) == ([], {"ann": ["\N{THUMBS UP SIGN}"]})


async def test_only_what_others_think_of_our_words_wakes(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line:
        message_id = await line.send()
        platform_id = one(database_url, "SELECT platform_id FROM messages WHERE id = %s", int(message_id))
        await line.deliver(received("1", "theirs"))
        cursor = (await line.wait(cursor="0", timeout=0)).cursor
        await line.deliver(reaction("1", "\N{THUMBS UP SIGN}"), reaction(platform_id, "\N{THUMBS UP SIGN}", by="me"))
        assert (await line.wait(cursor=cursor, timeout=0)).reactions == []
        await line.deliver(reaction(platform_id, "\N{THUMBS DOWN SIGN}"))
        (found,) = (await line.wait(cursor=cursor, timeout=0)).reactions
        assert (found.message_id, found.sender_id, found.emojis) == (message_id, "ann", ["\N{THUMBS DOWN SIGN}"])
        assert (await line.reply(message_id, timeout=0)).reactions == {"ann": ["\N{THUMBS DOWN SIGN}"]}


async def test_in_a_group_only_what_answers_the_message_counts(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line:
        team = Chat(id="team", kind=ChatKind.GROUP, title="Team")
        sent = await sending.send_message(line.app, ADMIN, sending.SendMessage(instance_id=line.instance_id, to="team", message="who has the keys?"))
        platform_id = one(database_url, "SELECT platform_id FROM messages WHERE id = %s", int(sent.message_id))
        ann, bob = (Contact(id=name, name=name.title()) for name in ("ann", "bob"))
        later: dict[str, Any] = {"chat": team, "minute": 10 * 366 * 24 * 60}
        await line.deliver(*(received(f"c{number}", f"chatter {number}", by=bob, **later) for number in range(12)))
        none = await line.reply(sent.message_id, timeout=0)
        assert (none.replies, [one.text for one in none.others][:2], len(none.others)) == ([], ["chatter 0", "chatter 1"], 10)
        await line.deliver(
            received("q", "I do", by=ann, reply_to=platform_id, **later),
            received("m", "@you ask Carol", by=bob, mentions_me=True, **later),
        )
        answered = await line.reply(sent.message_id, timeout=0)
        assert ([reply.text for reply in answered.replies], answered.others) == (["I do", "@you ask Carol"], [])
        from_bob = await line.reply(sent.message_id, timeout=0, sender="bob", limit=3)
        assert [reply.text for reply in from_bob.replies] == ["I do", "chatter 0", "chatter 1"]


async def test_one_wait_hears_all_accounts_and_edits_and_votes_where_they_are_wanted(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line:
        other = Line(line.app, await ready_sandbox(line.app, persona="human"))

        async def wait(**arguments: Any) -> NewMessages:
            return await waiting.wait_for_messages(line.app, ADMIN, WaitForMessages(timeout=0, **arguments))

        await line.deliver(received("1", "hello"))
        await other.deliver(received("1", "servus"))
        heard = await wait(cursor="0")
        assert [(one.instance_id, one.text) for one in heard.messages] == [(line.instance_id, "hello"), (other.instance_id, "servus")]
        poll = sending.SendPoll(instance_id=line.instance_id, to="ann", question="Tea?", options=["yes", "no"])
        asked = await sending.send_poll(line.app, ADMIN, poll)
        platform_id = one(database_url, "SELECT platform_id FROM messages WHERE id = %s", int(asked.message_id))
        await line.deliver(
            MessageEdited(chat_id="ann", message_id="1", text="hello again", at=datetime.now(UTC)),
            PollVoted(chat_id="ann", message_id=platform_id, sender_id="ann", options=("yes",), at=datetime.now(UTC)),
        )
        unasked = await wait(cursor=heard.cursor)
        assert [unasked.messages, unasked.edited, unasked.votes] == [[], [], []]
        woken = await wait(cursor=heard.cursor, also=["edits", "votes"])
        assert [(one.instance_id, one.text, one.edited) for one in woken.edited] == [(line.instance_id, "hello again", True)]
        assert [(one.instance_id, one.message_id, one.options) for one in woken.votes] == [(line.instance_id, asked.message_id, ["yes"])]
        with pytest.raises(InvalidInput, match="whose chat"):
            await wait(chat_id="ann")


async def test_a_cursor_that_a_restored_database_never_had_is_refused_wherever_one_is_taken(database_url: str, tmp_path: Path) -> None:
    """A restore sets the log back: who went on with the old cursor would miss what comes until the numbers are reached again."""
    async with line_of(database_url, tmp_path) as line:
        await line.deliver(received("before", "before"))
        cursor = str(await events.last(line.app.database))
        assert (await line.wait(cursor=cursor, timeout=0)).messages == []
        await set_webhook(
            line.app, ADMIN, SetWebhook.model_validate({"instance_id": line.instance_id, "url": "https://hooks.example.com/", "enabled": True})
        )
        async with (
            serving(line.app) as url,
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as client,
            anyio.create_task_group() as tasks,
        ):
            told: list[str] = []

            async def listen() -> None:
                async with client.stream("GET", "/api/v1/events/stream", params={"after": cursor}) as stream:
                    told.extend([text async for text in stream.aiter_lines()])

            tasks.start_soon(listen)
            await until(lambda: line.app.feed._waiting.get((None, None)))
            execute(database_url, "TRUNCATE events", "SELECT setval('event_numbers', 1, false)", "DELETE FROM deliveries")
            with anyio.fail_after(PATIENCE):
                await until(lambda: any("cursor_ahead" in text for text in told), PATIENCE)
            for path in ("/api/v1/events", "/api/v1/events/stream"):
                refused = await client.get(path, params={"after": cursor})
                assert (refused.status_code, refused.json()["code"]) == (409, "cursor_ahead")
            with pytest.raises(CursorAhead):
                await line.wait(cursor=cursor, timeout=60)
            with pytest.raises(CursorAhead):
                await replay_events(line.app, ADMIN, ReplayEvents(instance_id=line.instance_id, after=cursor))
            found: list[NewMessages] = []

            async def wait() -> None:
                found.append(await line.wait())

            tasks.start_soon(wait)
            await until(lambda: line.app.feed._waiting)
            await line.deliver(received("after", "after"))
            with anyio.fail_after(PATIENCE):
                await until(lambda: found)
            assert texts(found[0]) == ["after"]


HERSELF, BY_NUMBER, BY_ALIAS = (Chat(id=id, kind=ChatKind.PRIVATE) for id in ("ann", "15550100", "15550199"))


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_chat_that_gets_another_id_while_it_is_waited_for_is_waited_for_on(database_url: str, tmp_path: Path, is_known: bool) -> None:
    async with line_of(database_url, tmp_path) as line:
        if is_known:
            await line.deliver(received("0", "before", chat=BY_NUMBER))
        cursor = (await line.wait(timeout=0)).cursor
        answers: list[NewMessages] = []

        async def wait() -> None:
            answers.append(await line.wait(chat_id=BY_NUMBER.id, cursor=cursor, timeout=30))

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                watched = (UUID(line.instance_id), BY_NUMBER.id if is_known else None)
                await until(lambda: line.app.feed._waiting.get(watched))
                await line.deliver(received("1", "by her own id", chat=HERSELF.model_copy(update={"aliases": (BY_NUMBER.id,)})))
        assert [texts(answer) for answer in answers] == [["by her own id"]]


async def test_what_came_under_another_id_of_a_chat_is_waited_for_as_well(database_url: str, tmp_path: Path) -> None:
    async with line_of(database_url, tmp_path) as line:
        cursor = (await line.wait(timeout=0)).cursor
        answers: list[NewMessages] = []

        async def wait() -> None:
            answers.append(await line.wait(chat_id="ann", cursor=cursor, timeout=30))

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await until(lambda: line.app.feed._waiting.get((UUID(line.instance_id), "ann")))
                await line.deliver(received("1", "by number", chat=BY_NUMBER))
                await line.deliver(ChatMigrated(old_id="15550100", chat=HERSELF))
        assert [texts(answer) for answer in answers] == [["by number"]]
        await line.deliver(received("2", "by alias", chat=BY_ALIAS))
        await line.deliver(received("3", "and by its own", chat=Chat(id="ann", kind=ChatKind.PRIVATE, aliases=("15550199",))))
        assert texts(await line.wait(chat_id="ann", cursor=cursor, timeout=0)) == ["by number", "by alias", "and by its own"]
