"""Three servers on one database, one of them killed: how soon its instances receive and send again. With the leases of every day."""

import signal
import statistics
import tempfile
import time
from pathlib import Path

import anyio
import httpx

from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.store import fresh_store
from tests.managers import Managers, managers
from tests.stored import rows
from tests.traffic import Traffic, traffic
from tests.waiting import until

BOTS = 30
ROUNDS = 4
SHARES = """
    SELECT count(*) FROM leases JOIN message_instances i ON i.id = instance_id WHERE expires_at > now() AND i.status = 'ready'
    GROUP BY owner ORDER BY 1"""
RECEIVED = "SELECT count(*) FROM messages WHERE NOT outgoing AND body = %s"


async def measure() -> list[Figure]:
    async with fresh_store() as store:
        with tempfile.TemporaryDirectory() as folder:
            async with traffic(store.url, seed=1, telegrams=BOTS, slacks=0, chats=1) as flowing, managers(store.url, Path(folder)) as cluster:
                began = time.monotonic()
                await flowing.open(cluster.members[0])
                shared = await _until_shared(store.url, began)
                found: list[tuple[float, float]] = []
                for number in range(ROUNDS):
                    found.append(await _kill_one(store.url, flowing, cluster, number))
                    await _until_shared(store.url, time.monotonic())
    received, sent = [max(column) for column in zip(*found, strict=True)]
    usual = statistics.median(max(both) for both in found)
    return [
        Figure(f"take-over: {BOTS} bots shared by three servers, from their making", shared, "s"),
        Figure("take-over: from kill -9 to the first message received by each of its bots, at worst", received, "s", target=at_most(15)),
        Figure("take-over: from kill -9 to the first message sent by each of its bots, at worst", sent, "s", target=at_most(15)),
        Figure("take-over: the same, both, as a rule", usual, "s"),
    ]


async def _until_shared(url: str, began: float) -> float:
    await until(lambda: rows(url, SHARES) == [(BOTS // 3,)] * 3, within=90)
    return time.monotonic() - began


async def _kill_one(url: str, flowing: Traffic, cluster: Managers, number: int) -> tuple[float, float]:
    """Seconds until every bot has received what was written to it, and sent what was asked for, in that moment."""
    victim = cluster.members[number % 3]
    asked = cluster.members[(number + 1) % 3]
    text = f"round {number}"
    victim.signal(signal.SIGKILL)
    began = time.monotonic()
    seconds: dict[str, float] = {}

    async def receive() -> None:
        await until(lambda: rows(url, RECEIVED, text)[0][0] == BOTS, within=60)
        seconds["received"] = time.monotonic() - began

    async with httpx.AsyncClient(base_url=asked.url, timeout=60, trust_env=False) as client, anyio.create_task_group() as tasks:
        for account in flowing.accounts:
            account.writes(account.chats[0], text)
            body = {"to": account.chats[0], "message": text, "idempotency_key": text}
            tasks.start_soon(lambda account, body: client.post(f"/api/v1/instances/{account.instance_id}/send", json=body), account, body)
        tasks.start_soon(receive)
        await until(lambda: all(account.seen()[text] == 1 for account in flowing.accounts), within=60)
        seconds["sent"] = time.monotonic() - began
    return seconds["received"], seconds["sent"]
