"""The store at work for tests, an instance that somebody holds, and what platforms tell."""

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from db import leases, outbox
from db.database import Database
from db.pool import open_pool
from providers.events import MessageReceived, ReceiptChanged, ReceiptStatus
from providers.models import Chat, ChatKind, Contact, Message

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ANN = Chat(id="ann", kind=ChatKind.PRIVATE, title="Ann Lee", username="ann", phone="+15550100")
ANN_LEE = Contact(id="ann", name="Ann Lee", username="ann", phone="+15550100")


@asynccontextmanager
async def opened(url: str, *, connections: int = 4) -> AsyncGenerator[Database]:
    database = Database()
    async with await open_pool(url, min_size=1, max_size=connections) as pool:
        database.ready(pool)
        yield database


INSTANCE = "INSERT INTO message_instances (id, user_id, provider, desired) VALUES (%s, 'local', 'sandbox', 'running')"


async def new_instance(database: Database) -> UUID:
    """An instance that should run."""
    instance_id = uuid4()
    async with database.transaction() as connection:
        await connection.execute(INSTANCE, [instance_id])
    return instance_id


async def held_instance(database: Database, owner: UUID) -> tuple[UUID, int]:
    """A new instance whose lease is `owner`'s, and the epoch."""
    instance_id = await new_instance(database)
    return instance_id, (await leases.acquire(database, owner, ["process"]))[instance_id]


_kept = threading.local()


def _connection(url: str) -> "psycopg.Connection[Any]":
    """A connection that is kept for the next look, since most tests look many times into one database."""
    kept: tuple[str, psycopg.Connection[Any]] | None = getattr(_kept, "connection", None)
    if kept is not None:
        if kept[0] == url and not kept[1].closed:
            return kept[1]
        kept[1].close()
        del _kept.connection
    # Nothing is prepared: tables change between two looks.
    connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)
    _kept.connection = (url, connection)
    return connection


def rows(url: str, statement: str, *params: object) -> list[tuple[Any, ...]]:
    """What another program sees."""
    connection = _connection(url)
    try:
        cursor = connection.execute(statement.encode(), params)
    except psycopg.OperationalError:
        if not connection.closed:
            raise
        # The server has ended it since the last look: that statement did nothing.
        cursor = _connection(url).execute(statement.encode(), params)
    return cursor.fetchall() if cursor.description else []


def one(url: str, statement: str, *params: object) -> Any:
    return rows(url, statement, *params)[0][0]


def received(
    id: str, text: str = "hello", *, chat: Chat = ANN, minute: int = 0, outgoing: bool = False, by: Contact = ANN_LEE, **fields: Any
) -> MessageReceived:
    """A message from Ann or `by` (or from us), so many minutes after noon. `fields` are of the event, or else of the message."""
    of_event = {name: fields.pop(name) for name in ("client_id", "backfill") if name in fields}
    sender = None if outgoing else by
    message = Message(
        id=id, chat_id=chat.id, at=NOON + timedelta(minutes=minute), text=text, outgoing=outgoing, sender_id=sender and sender.id, **fields
    )
    return MessageReceived(message=message, chat=chat, sender=sender, **of_event)


def receipt(message_id: str, status: str, detail: str | None = None) -> ReceiptChanged:
    return ReceiptChanged(chat_id="ann", message_id=message_id, status=ReceiptStatus(status), at=NOON, detail=detail)


async def queued(database: Database, instance_id: UUID, text: str = "hello", *, chat_id: str = "ann", key: str | None = None) -> int:
    """A text of ours that waits to be sent."""
    row = await outbox.queue(
        database,
        instance_id=instance_id,
        chat_id=chat_id,
        kind="text",
        body=text,
        reply_to=None,
        content={"fingerprint": text} if key else {},
        idempotency_key=key,
        draft={"chat_id": chat_id, "text": text, "chat_kind": "private"},
        upload=None,
    )
    return row.id
