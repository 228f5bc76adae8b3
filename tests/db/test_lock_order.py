"""Every statement that changes messages has the log's lock before it waits for a row, so no two of them wait for one another."""

from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID, uuid4

import anyio
import psycopg
import pytest

from db import advisory_locks, changes, chat_addresses, instances, outbox
from db.database import Database
from db.errors import StoreUnavailable
from db.json import jsonb
from tests.stored import NOON, held_instance, opened, rows
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio

WAITS = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event <> 'advisory' AND datname = current_database()"
HOLDS_LOG = "SELECT granted FROM pg_locks WHERE locktype = 'advisory' AND pid = %s"

OF_MESSAGE: dict[str, Any] = {
    "epoch": None,
    "type": "test",
    "message_id": "echo",
    "chat_id": "ann",
    "at": NOON,
    "text": "changed",
    "content": jsonb({}),
}


def action(name: str, database: Database, instance_id: UUID, queued: int) -> Callable[[], Coroutine[Any, Any, object]]:
    of_message = {**OF_MESSAGE, "instance_id": instance_id}
    of_chat = {**of_message, "old_id": "ann", "chat_id": "new", "kind": "private", "title": "", "username": None, "phone": None}
    receipt = {**of_message, "status": "read", "error": None}
    actions: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "sent": lambda: outbox.sent(database, instance_id, queued, platform_id="new", sent_at=NOON, content={}),
        "merged": lambda: outbox.sent(database, instance_id, queued, platform_id="echo", sent_at=NOON, content={}),
        "ended": lambda: outbox.ended(database, queued, "failed", {}),
        "claimed": lambda: outbox.claim(database, instance_id, epoch=1, in_flight=()),
        "edited": lambda: changes.change(database, changes.EDIT, {**of_message, "content": jsonb({})}),
        "deleted": lambda: changes.change(database, changes.DELETE, of_message),
        "receipt": lambda: changes.change(database, changes.RECEIPT, receipt),
        "moved": lambda: chat_addresses.migrate_chat(database, of_chat),
        "purged": lambda: instances.delete(database, instance_id, purge=True),
    }
    return actions[name]


@pytest.mark.parametrize("name", ["sent", "merged", "ended", "claimed", "edited", "deleted", "receipt", "moved", "purged"])
async def test_the_log_s_lock_comes_first(database: Database, database_url: str, name: str) -> None:
    instance_id, _ = await held_instance(database, uuid4())
    queued = (
        await outbox.queue(
            database,
            instance_id=instance_id,
            chat_id="ann",
            kind="text",
            body="hi",
            reply_to=None,
            content={},
            idempotency_key=None,
            draft={},
            upload=None,
        )
    ).id
    for statement in (
        "INSERT INTO messages (instance_id, chat_id, platform_id, outgoing, status) VALUES (%(id)s, 'ann', 'echo', true, 'sent')",
        "INSERT INTO chats (instance_id, id, last_message_id) SELECT %(id)s, 'ann', id FROM messages WHERE platform_id = 'echo'",
    ):
        await database.execute(statement, {"id": instance_id})
    with psycopg.connect(database_url) as somebody:
        # A merge must first find out that it is one.
        for table in ("chats",) if name == "merged" else ("messages", "chats", "outbox"):
            somebody.execute(f"SELECT FROM {table} FOR UPDATE".encode())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(action(name, database, instance_id, queued))
            pid = (await until(lambda: rows(database_url, WAITS)))[0][0]
            assert rows(database_url, HOLDS_LOG, pid) == [(True,)]
            somebody.rollback()


async def test_a_requeued_message_too(database: Database, database_url: str) -> None:
    instance_id, epoch = await held_instance(database, uuid4())
    await database.execute(
        "INSERT INTO outbox (message_id, instance_id, chat_id, draft, claimed_epoch) VALUES (1, %(id)s, 'ann', %(draft)s, %(epoch)s)",
        {"id": instance_id, "draft": jsonb({}), "epoch": epoch},
    )

    async def requeue() -> None:
        await outbox.requeue(database, 1, epoch=epoch, delay=0, tried=True, error={})

    with psycopg.connect(database_url) as somebody:
        somebody.execute("SELECT FROM outbox FOR UPDATE")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(requeue)
            pid = (await until(lambda: rows(database_url, WAITS)))[0][0]
            assert rows(database_url, HOLDS_LOG, pid) == [(True,)]
            somebody.rollback()


async def test_who_is_frozen_between_two_statements_does_not_keep_the_log_s_lock(database: Database, database_url: str) -> None:
    async with opened(database_url) as frozen:

        async def hold_it_until_another_has_it() -> None:
            async with frozen.transaction() as connection:
                await advisory_locks.hold_log(connection)
                with anyio.fail_after(PATIENCE):
                    async with database.transaction() as another:
                        await advisory_locks.hold_log(another)

        with pytest.raises(StoreUnavailable):
            await hold_it_until_another_has_it()
        assert await frozen.value("SHOW idle_in_transaction_session_timeout") == await database.value("SHOW idle_in_transaction_session_timeout")
