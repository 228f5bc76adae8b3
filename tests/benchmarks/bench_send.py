"""What one send through MCP over HTTP costs the server's processor, against the bare provider call to the same stand-in."""

import asyncio
import itertools
import statistics
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio.to_thread
import httpx
from mcp import Client

from tests.benchmarks.figures import Figure, at_most, interleaved
from tests.benchmarks.servers import Server, product
from tests.benchmarks.store import Store, fresh_store
from tests.mcp_clients import call, over_http

ROUNDS = 3
SENDS = 150
WARM_UP = 10
numbers = itertools.count(1)
"""In the texts: what an agent sends twice within two minutes goes out once."""


@dataclass(frozen=True)
class StandIn:
    url: str
    token: str
    chats: list[str]


@asynccontextmanager
async def stand_in() -> AsyncGenerator[StandIn]:
    command = [sys.executable, "-m", "tests.standins.telegram_bot_api", "--bots", "1"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        url, token = [(await process.stdout.readline()).decode().strip() for _ in range(2)]
        async with httpx.AsyncClient(base_url=url, trust_env=False) as hand:
            chats = [str((await hand.post(f"/stand-in/bots/{token}/people", json={})).json()) for _ in range(SENDS)]
        yield StandIn(url, token, chats)
    finally:
        process.terminate()
        await process.wait()


def bare(telegram: StandIn) -> tuple[float, float]:
    """The same of the bare call, which has no store."""
    command = [sys.executable, "-m", "tests.benchmarks.bare_send", telegram.url, telegram.token, *telegram.chats]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout), 0.0


async def through_mcp(client: Client, server: Server, store: Store, instance_id: str, chats: list[str]) -> tuple[float, float]:
    """CPU milliseconds of one send: of the server, and of PostgreSQL."""
    begun, store_begun = server.cpu_seconds(), store.cpu_seconds()
    for chat in chats:
        sent = await call(client, "send_message", instance_id=instance_id, to=chat, message=f"hello {next(numbers)}")
        assert sent["status"] == "sent", sent
    return (server.cpu_seconds() - begun) / len(chats) * 1000, (store.cpu_seconds() - store_begun) / len(chats) * 1000


async def ready_instance(client: Client, telegram: StandIn) -> str:
    made = await call(client, "create_instance", provider="telegram", credentials={"token": telegram.token, "base_url": telegram.url})
    assert (await call(client, "login", instance_id=made["instance_id"]))["state"] == "ready"
    return made["instance_id"]


async def measure() -> list[Figure]:
    async with fresh_store() as store, stand_in() as telegram:
        with product(store.url) as server:
            async with over_http(f"{server.url}/mcp") as client:
                instance_id = await ready_instance(client, telegram)
                await through_mcp(client, server, store, instance_id, telegram.chats[:WARM_UP])
                measured = await interleaved(
                    ROUNDS,
                    {
                        "mcp": lambda: through_mcp(client, server, store, instance_id, telegram.chats),
                        "bare": lambda: anyio.to_thread.run_sync(bare, telegram),
                    },
                )
    ours = statistics.median(cpu for cpu, _ in measured["mcp"])
    plain = statistics.median(cpu for cpu, _ in measured["bare"])
    return [
        Figure("one send through MCP over HTTP: CPU over the bare provider call", ours - plain, "ms", target=at_most(3)),
        Figure("the same, whole", ours, "ms", plain),
        Figure("the same, PostgreSQL", statistics.median(cpu for _, cpu in measured["mcp"]), "ms"),
    ]
