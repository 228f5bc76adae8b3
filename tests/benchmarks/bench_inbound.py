"""A message in: from the provider's `deliver` until it is committed with its chat, contact, event and delivery."""

import itertools
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import anyio
from psycopg import AsyncConnection

from db import leases
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.operations.application import App
from providers.events import MessageReceived
from providers.models import Chat, ChatKind, Contact, Message
from tests.benchmarks.figures import Figure, at_least, interleaved
from tests.benchmarks.store import Store, fresh_store
from tests.running import running_app

ROUNDS = 3
CONNECTIONS = {1: 0.5, 8: 1.0, 32: 1.8}
"""How many write at once, and how many times the bare form's rate is aimed at."""
MESSAGES = 1600
BATCH = 100
CHATS = 50
TEXT = "good morning, is the order of last week on its way already? it should have come by now"

INSTANCE: LiteralString = """
    INSERT INTO message_instances (id, provider, desired, runtime) VALUES (%(id)s, 'sandbox', 'running', 'swarm')"""

BARE: LiteralString = """
    WITH inserted AS (
        INSERT INTO messages (instance_id, chat_id, platform_id, status, sender_id, sender_name, body, sent_at)
        VALUES (%(instance_id)s, %(chat_id)s, %(platform_id)s, 'received', %(chat_id)s, %(name)s, %(text)s, %(at)s)
        ON CONFLICT (instance_id, platform_id) WHERE platform_id IS NOT NULL DO NOTHING
        RETURNING id
    ), talked AS (
        INSERT INTO chats (instance_id, id, kind, title, unread, last_message_id, last_at, last_incoming_at)
        SELECT %(instance_id)s, %(chat_id)s, 'private', %(name)s, 1, id, %(at)s, %(at)s FROM inserted
        ON CONFLICT (instance_id, id) DO UPDATE SET title = excluded.title, unread = chats.unread + 1,
            last_message_id = excluded.last_message_id, last_at = excluded.last_at, last_incoming_at = excluded.last_incoming_at
    ), met AS (
        INSERT INTO contacts (instance_id, id, name) SELECT %(instance_id)s, %(chat_id)s, %(name)s FROM inserted
        ON CONFLICT (instance_id, id) DO UPDATE SET name = excluded.name WHERE contacts.name <> excluded.name
    ), logged AS (
        INSERT INTO events (id, instance_id, type, chat_id, message_id)
        SELECT nextval('event_numbers'), %(instance_id)s, 'message', %(chat_id)s, id FROM inserted
        RETURNING id
    ), due AS (
        INSERT INTO deliveries (event_id, instance_id, chat_id, target) SELECT id, %(instance_id)s, %(chat_id)s, 'webhook' FROM logged
    )
    SELECT pg_notify('mcp_messenger_events', id::text) FROM logged"""

BARE_SET: LiteralString = """
    WITH input AS (
        SELECT person || '@example' AS chat_id, 'Person ' || person AS name, platform_id
        FROM unnest(%(people)s::int[], %(ids)s::text[]) AS row (person, platform_id)
    ), inserted AS (
        INSERT INTO messages (instance_id, chat_id, platform_id, status, sender_id, sender_name, body, sent_at)
        SELECT %(instance_id)s, chat_id, platform_id, 'received', chat_id, name, %(text)s, %(at)s FROM input
        ON CONFLICT (instance_id, platform_id) WHERE platform_id IS NOT NULL DO NOTHING
        RETURNING id, chat_id, sender_name
    ), talked AS (
        INSERT INTO chats (instance_id, id, kind, title, unread, last_message_id, last_at, last_incoming_at)
        SELECT %(instance_id)s, chat_id, 'private', min(sender_name), count(*), max(id), %(at)s, %(at)s FROM inserted GROUP BY chat_id
        ON CONFLICT (instance_id, id) DO UPDATE SET title = excluded.title, unread = chats.unread + excluded.unread,
            last_message_id = excluded.last_message_id, last_at = excluded.last_at, last_incoming_at = excluded.last_incoming_at
    ), met AS (
        INSERT INTO contacts (instance_id, id, name) SELECT DISTINCT %(instance_id)s::uuid, chat_id, sender_name FROM inserted
        ON CONFLICT (instance_id, id) DO UPDATE SET name = excluded.name WHERE contacts.name <> excluded.name
    ), logged AS (
        INSERT INTO events (id, instance_id, type, chat_id, message_id)
        SELECT nextval('event_numbers'), %(instance_id)s, 'message', chat_id, id FROM inserted
        RETURNING id
    ), due AS (
        INSERT INTO deliveries (event_id, instance_id, chat_id, target) SELECT id, %(instance_id)s, NULL, 'webhook' FROM logged
    )
    SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged"""

numbers = itertools.count(1)


def received(number: int) -> MessageReceived:
    person = f"{number % CHATS}@example"
    name = f"Person {number % CHATS}"
    chat = Chat(id=person, kind=ChatKind.PRIVATE, title=name)
    message = Message(id=f"m{number}", chat_id=person, sender_id=person, sender_name=name, text=TEXT, at=datetime.now(UTC))
    return MessageReceived(message=message, chat=chat, sender=Contact(id=person, name=name))


async def in_parallel(many: int, work: Callable[[int], Coroutine[Any, Any, None]]) -> float:
    """Messages a second, when so many workers write one after the other."""
    begun = time.perf_counter()
    async with anyio.create_task_group() as workers:
        for worker in range(many):
            workers.start_soon(work, worker)
    return MESSAGES // many * many / (time.perf_counter() - begun)


async def product_one_by_one(app: App, source: Source, many: int) -> float:
    async def deliver(worker: int) -> None:
        for _ in range(MESSAGES // many):
            await app.inbound.deliver(source, [received(next(numbers))])

    return await in_parallel(many, deliver)


async def product_in_batches(app: App, source: Source) -> float:
    batches = [[received(next(numbers)) for _ in range(BATCH)] for _ in range(MESSAGES // BATCH)]
    begun = time.perf_counter()
    for batch in batches:
        await app.inbound.deliver(source, batch)
    return MESSAGES / (time.perf_counter() - begun)


async def bare_one_by_one(connections: list[AsyncConnection[Any]], instance_id: uuid.UUID, many: int) -> float:
    async def write(worker: int) -> None:
        connection = connections[worker]
        for _ in range(MESSAGES // many):
            number = next(numbers)
            person, name = f"{number % CHATS}@example", f"Person {number % CHATS}"
            params = {"instance_id": instance_id, "chat_id": person, "platform_id": f"m{number}", "name": name, "text": TEXT}
            await connection.execute(BARE, {**params, "at": datetime.now(UTC)}, prepare=True)

    return await in_parallel(many, write)


async def bare_in_batches(connection: AsyncConnection[Any], instance_id: uuid.UUID) -> float:
    begun = time.perf_counter()
    for _ in range(MESSAGES // BATCH):
        batch = [next(numbers) for _ in range(BATCH)]
        params = {"instance_id": instance_id, "people": [number % CHATS for number in batch], "ids": [f"m{number}" for number in batch]}
        await connection.execute(BARE_SET, {**params, "text": TEXT, "at": datetime.now(UTC)}, prepare=True)
    return MESSAGES / (time.perf_counter() - begun)


@asynccontextmanager
async def product(store: Store) -> AsyncGenerator[tuple[App, Source]]:
    with tempfile.TemporaryDirectory() as folder:
        async with running_app(store.url, Path(folder)) as app:
            # OwnedInstance by this process as the supervisor would hold it, though nothing polls: no supervisor here takes a swarm's.
            instance_id = uuid.uuid4()
            await app.database.execute(INSTANCE, {"id": instance_id})
            epochs = await leases.acquire(app.database, app.supervisor.owner, ["swarm"])
            yield app, Source(instance_id, epochs[instance_id])


async def measure() -> list[Figure]:
    async with fresh_store() as store:
        url = await store.another("bare")
        connections = [await AsyncConnection.connect(url, autocommit=True) for _ in range(max(CONNECTIONS))]
        instance_id = uuid.uuid4()
        async with product(store) as (app, source):
            forms: dict[str, Callable[[], Awaitable[float]]] = {
                "batch": lambda: product_in_batches(app, source),
                "bare batch": lambda: bare_in_batches(connections[0], instance_id),
            }
            for many in CONNECTIONS:
                forms[f"one {many}"] = lambda many=many: product_one_by_one(app, source, many)
                forms[f"bare {many}"] = lambda many=many: bare_one_by_one(connections, instance_id, many)
            await interleaved(1, forms)
            found = {name: statistics.median(rates) for name, rates in (await interleaved(ROUNDS, forms)).items()}
        for connection in connections:
            await connection.close()
    return [
        *(
            Figure(f"inbound: one by one, {many} at once", found[f"one {many}"], "/s", found[f"bare {many}"], at_least(aim))
            for many, aim in CONNECTIONS.items()
        ),
        Figure(f"inbound: {BATCH} in one deliver, against one statement", found["batch"], "/s", found["bare batch"], at_least(0.7)),
    ]
