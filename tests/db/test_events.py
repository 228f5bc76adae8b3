"""The event log by cursor: every event, once, in order, however many write."""

import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import psycopg
import pytest

from db import events
from db.advisory_locks import EVENT_LOG
from db.database import Database
from db.events import EventRow
from db.inbound import APPEND_MESSAGES, append_messages
from db.json import jsonb
from tests.db.event_writer import WRITERS, message, write_all
from tests.stored import new_instance, one, opened, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
COUNT = 25
WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"


async def read(database: Database, instance_ids: list[UUID] | None, until: int, *, limit: int) -> list[EventRow]:
    """By cursor, as fast as it goes."""
    seen: list[EventRow] = []
    while len(seen) < until:
        seen += await events.after(database, seen[-1].id if seen else 0, instance_ids=instance_ids, limit=limit)
    return seen


async def test_a_reader_sees_every_event_of_many_processes_once_and_in_order(database: Database, database_url: str) -> None:
    instance_id, other = await new_instance(database), await new_instance(database)
    command = [sys.executable, "-m", "tests.db.event_writer", database_url]
    total = 4 * COUNT * WRITERS
    seen: list[EventRow] = []
    seen_of_one: list[EventRow] = []
    async with opened(database_url, connections=2) as readers:
        with subprocess.Popen([*command, str(instance_id), "child", str(COUNT)], cwd=ROOT) as child:
            with anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(write_all, database_url, other, "here", COUNT)

                    async def all_of_them() -> None:
                        seen.extend(await read(readers, None, 2 * total, limit=7))

                    async def of_one() -> None:
                        seen_of_one.extend(await read(readers, [other], total, limit=3))

                    tasks.start_soon(all_of_them)
                    tasks.start_soon(of_one)
            assert child.wait(20) == 0
    numbers = [event.id for event in seen]
    assert numbers == sorted(set(numbers))
    assert numbers == [number for (number,) in rows(database_url, "SELECT id FROM events ORDER BY id")]
    assert [event.id for event in seen_of_one] == [event.id for event in seen if event.instance_id == other]


async def test_what_commits_late_has_a_number_that_no_reader_has_passed(database: Database, database_url: str) -> None:
    """A transaction that wrote its event first and commits last: a cursor must not have gone past it meanwhile."""
    instance_id = await new_instance(database)

    async def another() -> None:
        await append_messages(database, [message(instance_id, "second", 0)])

    async with anyio.create_task_group() as tasks, database.transaction() as slow:
        await slow.execute(APPEND_MESSAGES, {"rows": jsonb([message(instance_id, "first", 0)]), "event_log": EVENT_LOG})
        tasks.start_soon(another)
        await until(lambda: rows(database_url, WAITING))
        assert await events.after(database, 0, instance_ids=None, limit=10) == []
    first, second = await events.after(database, 0, instance_ids=None, limit=10)
    assert first.id < second.id
    assert one(database_url, "SELECT platform_id FROM messages WHERE id = %s", first.message_id) == "first"


async def test_the_filters(database: Database, database_url: str) -> None:
    instance_id, other = await new_instance(database), await new_instance(database)
    assert await events.last(database) == 0
    with psycopg.connect(database_url) as somebody:
        for number, (owner, type, chat_id) in enumerate(
            [(instance_id, "message", "ann"), (other, "message", "ann"), (instance_id, "state", None), (instance_id, "message", "bob")], 1
        ):
            statement = "INSERT INTO events (id, instance_id, type, chat_id) VALUES (%s, %s, %s, %s)"
            somebody.execute(statement, [number, owner, type, chat_id])

    async def found(after: int = 0, instance_ids: list[UUID] | None = None, chat_id: str | None = None, types: list[str] | None = None) -> list[int]:
        page = await events.after(database, after, instance_ids=instance_ids, chat_id=chat_id, types=types, limit=10)
        return [event.id for event in page]

    assert await found() == [1, 2, 3, 4]
    assert await found(2) == [3, 4]
    assert await found(instance_ids=[instance_id]) == [1, 3, 4]
    assert await found(instance_ids=[]) == []
    assert await found(instance_ids=[uuid4()]) == []
    assert await found(chat_id="ann") == [1, 2]
    assert await found(types=["state"]) == [3]
    assert await events.last(database) == 4
