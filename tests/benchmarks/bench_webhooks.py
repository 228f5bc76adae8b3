"""Webhooks: from the event to the receiver at 200 messages a second, over the bare POST; and a backlog that is drained.

The receiver is a process of its own; its clock is the machine's, as ours.
"""

import itertools
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import httpx

from mcp_messenger.delivery.inbound import Source
from mcp_messenger.operations import webhooks
from mcp_messenger.operations.application import App
from mcp_messenger.security.caller import ADMIN
from providers.events import MessageReceived
from providers.models import Chat, ChatKind, Contact, Message
from tests.benchmarks.figures import Figure, at_least, at_most, interleaved, percentile
from tests.benchmarks.servers import served
from tests.benchmarks.store import fresh_store
from tests.postgres import execute
from tests.running import running_app

ROUNDS = 3
RATE = 200
SECONDS = 4
CHATS = 500
BACKLOG = 8000
TEXT = "good morning, is the order of last week on its way already? it should have come by now"
INSTANCE = "INSERT INTO message_instances (id, provider, desired) VALUES ('{}', 'sandbox', 'stopped')"

numbers = itertools.count(1)


def received(number: int) -> MessageReceived:
    person = f"{number % CHATS}@example"
    chat = Chat(id=person, kind=ChatKind.PRIVATE, title=person)
    message = Message(id=f"m{number}", chat_id=person, sender_id=person, text=TEXT, at=datetime.now(UTC))
    return MessageReceived(message=message, chat=chat, sender=Contact(id=person, name=person))


class Bench:
    def __init__(self, app: App, instance_id: str, receiver: str) -> None:
        self.app = app
        self.instance_id = instance_id
        self.receiver = receiver
        self.source = Source(uuid.UUID(instance_id), None)

    async def set(self, enabled: bool) -> None:
        given = {"instance_id": self.instance_id, "enabled": enabled, "url": f"{self.receiver}/hook"}
        await webhooks.set_webhook(self.app, ADMIN, webhooks.SetWebhook.model_validate(given))

    async def came(self, count: int) -> dict[str, float]:
        """When each id came, as soon as so many have."""
        found: dict[str, float] = {}
        async with httpx.AsyncClient(trust_env=False) as client:
            with anyio.fail_after(120):
                while len(found) < count:
                    await anyio.sleep(0.2)
                    found |= (await client.get(self.receiver)).json()
        return found

    async def latencies(self) -> list[float]:
        """Milliseconds from the provider's `deliver` to the receiver."""
        begun: dict[str, float] = {}

        async def deliver(number: int) -> None:
            begun[f"m{number}"] = time.monotonic()
            await self.app.inbound.deliver(self.source, [received(number)])

        await at_rate(deliver)
        came = await self.came(RATE * SECONDS)
        named = await self.app.database.rows("SELECT e.id, m.platform_id FROM events e JOIN messages m ON m.id = e.message_id")
        events = {str(event): platform_id for event, platform_id in named}
        return [(at - begun[events[id.rpartition("_")[2]]]) * 1000 for id, at in came.items()]

    async def bare(self) -> list[float]:
        """The same POSTs with nothing around them."""
        begun: dict[str, float] = {}
        body = b"x" * 700
        async with aiohttp.ClientSession() as session:

            async def send(number: int) -> None:
                begun[str(number)] = time.monotonic()
                headers = {"Content-Type": "application/json", "webhook-id": str(number)}
                async with session.post(f"{self.receiver}/hook", headers=headers, data=body) as response:
                    await response.read()

            await at_rate(send)
        return [(at - begun[id]) * 1000 for id, at in (await self.came(RATE * SECONDS)).items()]

    async def drained(self) -> float:
        """Deliveries a second from a backlog."""
        await self.set(enabled=False)
        after = str(await self.app.database.value("SELECT coalesce(max(id), 0) FROM events"))
        for _ in range(BACKLOG // 200):
            await self.app.inbound.deliver(self.source, [received(next(numbers)) for _ in range(200)])
        await self.set(enabled=True)
        begun = time.monotonic()
        await webhooks.replay_events(self.app, ADMIN, webhooks.ReplayEvents(instance_id=self.instance_id, after=after, limit=BACKLOG))
        return BACKLOG / (max((await self.came(BACKLOG)).values()) - begun)


async def at_rate(act: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    start = time.monotonic()
    async with anyio.create_task_group() as tasks:
        for position in range(RATE * SECONDS):
            await anyio.sleep(max(0.0, start + position / RATE - time.monotonic()))
            tasks.start_soon(act, next(numbers))


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, served(["tests.benchmarks.bare_receiver"]) as receiver:
        async with (
            fresh_store() as store,
            running_app(store.url, Path(folder), allowed_networks=(IPv4Network("127.0.0.0/8"),)) as app,
        ):
            instance_id = str(uuid.uuid4())
            execute(store.url, INSTANCE.format(instance_id))
            bench = Bench(app, instance_id, receiver.url)
            await bench.set(enabled=True)
            found = await interleaved(ROUNDS, {"product": bench.latencies, "bare": bench.bare})
            rate = statistics.median([await bench.drained() for _ in range(ROUNDS)])
    p50, p99 = ({name: statistics.median(percentile(one, part) for one in rounds) for name, rounds in found.items()} for part in (50, 99))
    return [
        Figure(f"webhooks: event to receiver over the bare POST, {RATE}/s, median", p50["product"] - p50["bare"], "ms", p50["bare"], at_most(5)),
        Figure("webhooks: the same, p99", p99["product"] - p99["bare"], "ms", p99["bare"], at_most(20)),
        Figure(f"webhooks: a backlog of {BACKLOG} drained", rate, "/s", None, at_least(4000, "value")),
    ]
