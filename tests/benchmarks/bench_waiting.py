"""Waiting for messages over MCP: how soon it ends when one is stored by another process, and what a thousand who wait cost."""

import itertools
import random
import statistics
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import anyio
from anyio.abc import TaskGroup

from mcp_messenger.delivery.feed import Feed
from mcp_messenger.delivery.inbound import Inbound, Source
from mcp_messenger.observability.metrics import Metrics
from mcp_messenger.observability.workers import Workers
from providers.events import MessageReceived
from providers.models import Chat, ChatKind, Contact, Message
from tests.benchmarks.bench_mcp_http import MODERN, asked, headers
from tests.benchmarks.figures import Figure, at_most, percentile
from tests.benchmarks.load import NUMBER
from tests.benchmarks.servers import Server, product
from tests.benchmarks.store import Store, fresh_store
from tests.postgres import execute
from tests.stored import opened, rows

ROUNDS = 100
WAITERS = 1000
INSTANCES = 50
IDLE = 20.0
"""Seconds over which processor time is taken."""
TOOL = "wait_for_messages"
INSTANCE = "INSERT INTO message_instances (id, user_id, provider, desired) VALUES ('{}', 'local', 'sandbox', 'stopped')"

numbers = itertools.count(1)


class Waiters:
    """Clients of one server, each of whom waits for the messages of one chat."""

    def __init__(self, server: Server, session: aiohttp.ClientSession, instances: list[str]) -> None:
        self._url = f"{server.url}/mcp"
        self._session = session
        self._instances = instances

    def chat(self, waiter: int) -> tuple[str, str]:
        return self._instances[waiter % len(self._instances)], f"person-{waiter}"

    async def wait(self, waiter: int, seconds: float) -> float:
        """When the answer was there."""
        instance_id, chat_id = self.chat(waiter)
        meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
        arguments: dict[str, Any] = {"instance_id": instance_id, "chat_id": chat_id, "timeout": seconds}
        body = asked("tools/call", {"name": TOOL, "arguments": arguments, "_meta": meta}).replace(NUMBER, str(next(numbers)))
        modern = headers(MODERN, **{"Mcp-Method": "tools/call", "Mcp-Name": TOOL})
        async with self._session.post(self._url, headers=modern, data=body) as answer:
            text = await answer.text()
        if answer.status != 200 or '"cursor"' not in text:
            raise RuntimeError(text)
        return time.monotonic()

    async def begin(self, tasks: TaskGroup, waiters: range, seconds: float) -> None:
        for waiter in waiters:
            tasks.start_soon(self.wait, waiter, seconds)
            await anyio.sleep(0.005)
        await anyio.sleep(3)


@asynccontextmanager
async def writing(store: Store) -> AsyncGenerator[Inbound]:
    """A process that stores messages, and is not the one that is waited in: this one."""
    async with opened(store.url) as database, anyio.create_task_group() as tasks:
        inbound = Inbound(database, Feed(database), Metrics(), Workers())
        tasks.start_soon(inbound.run)
        yield inbound
        tasks.cancel_scope.cancel()


async def written(inbound: Inbound, instance_id: str, person: str) -> float:
    """When it was committed."""
    chat = Chat(id=person, kind=ChatKind.PRIVATE, title=person)
    message = Message(id=f"m{next(numbers)}", chat_id=person, sender_id=person, text="good morning", at=datetime.now(UTC))
    event = MessageReceived(message=message, chat=chat, sender=Contact(id=person, name=person))
    await inbound.deliver(Source(uuid.UUID(instance_id), None), [event])
    return time.monotonic()


async def latencies(waiters: Waiters, inbound: Inbound, rounds: int) -> list[float]:
    """Milliseconds from the commit to the answer."""
    found: list[float] = []

    async def write(waiter: int) -> None:
        # Long enough for the call to be waiting.
        await anyio.sleep(0.06)
        committed.append(await written(inbound, *waiters.chat(waiter)))

    for _ in range(rounds):
        waiter, committed, ended = random.randrange(WAITERS, 2 * WAITERS), list[float](), list[float]()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, waiter)
            ended.append(await waiters.wait(waiter, 30))
        # The answer may be there before this process is told that its own commit is done.
        found.append(max(0.0, ended[0] - committed[0]) * 1000)
    return found


async def processor(server: Server) -> float:
    """The part of a core that the server takes while nothing happens."""
    begun, at = server.cpu_seconds(), time.monotonic()
    await anyio.sleep(IDLE)
    return (server.cpu_seconds() - begun) / (time.monotonic() - at) * 100


def memory(server: Server) -> float:
    return server.process.memory_info().rss / 1e6


def transactions(store: Store) -> int:
    """Of all processes, so far; PostgreSQL counts them a little later."""
    execute(store.url, "SELECT pg_stat_force_next_flush()")
    return rows(store.url, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")[0][0]


async def statements(waiters: Waiters, inbound: Inbound, store: Store) -> float:
    """Transactions that one message costs all processes together, over those of the same seconds without it."""
    took: list[int] = []
    for messages in (0, 200):
        begun = transactions(store)
        for _ in range(messages):
            await written(inbound, waiters.chat(0)[0], "nobody waits for this one")
        await anyio.sleep(12)
        took.append(transactions(store) - begun)
    return (took[1] - took[0]) / 200


async def measure() -> list[Figure]:
    async with fresh_store() as store, writing(store) as inbound, AsyncExitStack() as crowded:
        instances = [str(uuid.UUID(int=number + 1)) for number in range(INSTANCES)]
        execute(store.url, *(INSTANCE.format(instance_id) for instance_id in instances))
        with product(store.url) as server:
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
                waiters = Waiters(server, session, instances)
                await latencies(waiters, inbound, 10)
                alone = await latencies(waiters, inbound, ROUNDS)
                idle, empty = await processor(server), memory(server)
                tasks = await crowded.enter_async_context(anyio.create_task_group())
                crowded.callback(tasks.cancel_scope.cancel)
                await waiters.begin(tasks, range(WAITERS), 290)
                crowd, full = await processor(server), memory(server)
                among = await latencies(waiters, inbound, ROUNDS)
                each = await statements(waiters, inbound, store)
                await crowded.aclose()
    return [
        Figure("waiting: from the commit in another process to the answer over MCP, p95", percentile(alone, 95), "ms", target=at_most(50)),
        Figure("waiting: the same, median", statistics.median(alone), "ms"),
        Figure(f"waiting: the same p95 among {WAITERS} who wait", percentile(among, 95), "ms", target=at_most(50)),
        Figure(f"waiting: {WAITERS} idle waiters, of a core", crowd - idle, "%", idle, at_most(5)),
        Figure("waiting: memory of one waiter", (full - empty) / WAITERS * 1000, "kB"),
        Figure(f"waiting: transactions for a message that none of {WAITERS} waits for", each, "", target=at_most(8)),
    ]
