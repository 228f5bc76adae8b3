"""One message to many clients of the event stream over REST: processor of the server and of PostgreSQL, over the same without clients."""

import statistics
from contextlib import AsyncExitStack

import anyio
import httpx

from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.servers import Server, product
from tests.benchmarks.store import Store, fresh_store

CLIENTS = 100
MESSAGES = 5
WITHIN = 120.0


class Listeners:
    """Clients that count the events of messages."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/v1/events/stream"
        self.heard = [0] * CLIENTS
        self.opened = 0

    async def listen(self, client: httpx.AsyncClient, number: int) -> None:
        async with client.stream("GET", self._url, timeout=None) as stream:
            stream.raise_for_status()
            self.opened += 1
            async for line in stream.aiter_lines():
                self.heard[number] += line.startswith("event: message")


async def costs(server: Server, store: Store, hand: httpx.AsyncClient, path: str, listeners: Listeners | None) -> tuple[float, float]:
    """Milliseconds of one message: of the server, and of PostgreSQL."""
    before, postgres = server.cpu_seconds(), store.cpu_seconds()
    for number in range(1, MESSAGES + 1):
        (await hand.post(path, json={"to": "ann", "message": f"number {number}"})).raise_for_status()
        while listeners is not None and min(listeners.heard) < number:  # noqa: ASYNC110 - nothing tells of it
            await anyio.sleep(0.002)
    return (server.cpu_seconds() - before) / MESSAGES * 1000, (store.cpu_seconds() - postgres) / MESSAGES * 1000


async def measure() -> list[Figure]:
    async with fresh_store() as store, AsyncExitStack() as opened:
        server = opened.enter_context(product(store.url))
        hand = await opened.enter_async_context(httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=30))
        made = (await hand.post("/api/v1/instances", json={"provider": "sandbox", "credentials": {"auto_scan": True, "persona": "human"}})).json()
        path = f"/api/v1/instances/{made['instance_id']}/send"
        together = list[tuple[float, float]]()
        with anyio.fail_after(WITHIN):
            alone = [await costs(server, store, hand, path, None) for _ in range(2)][-1]
            async with anyio.create_task_group() as tasks:
                many = await opened.enter_async_context(httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=CLIENTS)))
                listeners = Listeners(server.url)
                for number in range(CLIENTS):
                    tasks.start_soon(listeners.listen, many, number)
                while listeners.opened < CLIENTS:  # noqa: ASYNC110 - nothing tells of it
                    await anyio.sleep(0.05)
                for _ in range(3):
                    listeners.heard = [0] * CLIENTS
                    together.append(await costs(server, store, hand, path, listeners))
                tasks.cancel_scope.cancel()
    ours, stores = (statistics.median(one[position] for one in together) for position in (0, 1))
    return [
        Figure(f"streams: one message to {CLIENTS} clients, processor of the server over none", ours - alone[0], "ms", target=at_most(5)),
        Figure("streams: the same, PostgreSQL", stores - alone[1], "ms", target=at_most(1)),
    ]
