"""Three managers on one database, killed at any moment while messages flow both ways: everything is counted in the end."""

import os
import random
import signal
import sys
from pathlib import Path

import anyio
import httpx
import pytest

from db.embedded import EmbeddedPostgres, open_embedded
from db.migrate import migrate
from tests.managers import Manager, Managers, managers
from tests.stored import one, rows
from tests.traffic import PATIENCE, Traffic, traffic
from tests.waiting import until

SEED = int(os.environ.get("MCP_MESSENGER_TEST_SEED", "1"))
EACH_WAY = int(os.environ.get("MCP_MESSENGER_TEST_MESSAGES", "1000")) // 2
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL"),
    pytest.mark.timeout(300 + EACH_WAY // 2),
]
LEASE = 3.0
"""Seconds; with the ten of every day, most of the time would be waiting."""
KILL_EVERY = 60
"""Messages, about."""
FREEZE = 0.3
"""The part of them that are frozen rather than killed."""


def say(what: object) -> None:
    """Shown when the test fails."""
    sys.stdout.write(f"{what}\n")


class Executioner:
    """Kills one of them, or freezes it until the next time, whenever so many sends have come to their end."""

    def __init__(self, cluster: Managers, traffic: Traffic, seed: int) -> None:
        self._cluster = cluster
        self._traffic = traffic
        self._random = random.Random(seed)
        self._next = self._interval()
        self._frozen: Manager | None = None
        self.freezes = 0

    def _interval(self) -> int:
        return self._random.randint(KILL_EVERY // 2, KILL_EVERY * 3 // 2)

    def __call__(self) -> None:
        if len(self._traffic.told) >= self._next:
            self._next += self._interval()
            self.thaw()
            victim = self._random.choice(self._cluster.members)
            if self._random.random() < FREEZE:
                self._frozen = victim
                self.freezes += 1
                victim.signal(signal.SIGSTOP)
            else:
                victim.signal(signal.SIGKILL)

    def thaw(self) -> None:
        if self._frozen is not None:
            self._frozen.signal(signal.SIGCONT)
            self._frozen = None


async def besieged(database_url: str, served_url: str, folder: Path, *, seed: int) -> dict[str, int]:
    """What was counted."""
    async with traffic(database_url, seed=seed) as flowing:
        async with managers(served_url, folder, lease=LEASE, seed=seed) as cluster:
            await flowing.open(cluster.members[0])
            cluster.dooming = True
            executioner = Executioner(cluster, flowing, seed)
            flowing.progress = executioner
            await flowing.flow(cluster, EACH_WAY)
            executioner.thaw()
            cluster.dooming = False
            await flowing.until_quiet()
            # Who was killed at last is not up again yet.
            await cluster.until_up()
            await until_audited(cluster, EACH_WAY)
        counted = flowing.count()
        # What a call took that was cut short by the stop has to end by itself.
        await until(lambda: one(database_url, "SELECT count(*) FROM leases WHERE expires_at > now()") == 0)
        assert one(database_url, "SELECT count(*) FROM deliveries WHERE lease_until > now()") == 0
        assert cluster.complaints() == []
        assert cluster.deaths.total() > 0
        return {**counted, "frozen": executioner.freezes, **cluster.deaths}


async def until_audited(cluster: Managers, sends: int) -> None:
    """The audit log of all who lived and died is one chain without a fault, with a row for each send."""
    async with httpx.AsyncClient(base_url=cluster.members[0].url, trust_env=False, timeout=PATIENCE) as client:
        found = (await client.get("/api/v1/audit/verify")).raise_for_status().json()
    assert (found["ok"], found["faults"], found["rows"] >= sends) == (True, [], True), found


@pytest.mark.parametrize("way", ["direct", "through a pooler"])
async def test_whoever_dies_nothing_is_lost_and_nothing_doubled(way: str, request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> None:
    say(f"seed {SEED}")
    served_url = database_url if way == "direct" else request.getfixturevalue("pgbouncer")
    say(await besieged(database_url, served_url, tmp_path, seed=SEED))


async def crashes(server: EmbeddedPostgres, data_dir: Path, flowing: Traffic) -> None:
    """Kill PostgreSQL three times on the way, and start it again."""
    for times in range(1, 4):
        await until(lambda times=times: len(flowing.told) > EACH_WAY * times // 5, PATIENCE)
        postmaster = int(next(data_dir.glob("pg*/postmaster.pid")).read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        await server.ensure()


async def test_a_store_that_crashes_loses_nothing_and_makes_nothing_double(tmp_path: Path) -> None:
    say(f"seed {SEED}")
    data_dir = tmp_path / "postgres"
    server = open_embedded(data_dir)
    try:
        await migrate(server.url)
        async with traffic(server.url, seed=SEED) as flowing:
            async with managers(server.url, tmp_path) as cluster:
                await flowing.open(cluster.members[0])
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(crashes, server, data_dir, flowing)
                    await flowing.flow(cluster, EACH_WAY)
                await flowing.until_quiet()
            say(flowing.count())
            assert cluster.complaints() == []
    finally:
        server.close()


SHARES = """
    SELECT count(*) FROM leases JOIN message_instances i ON i.id = instance_id WHERE expires_at > now() AND i.status = 'ready'
    GROUP BY owner ORDER BY 1"""


async def test_the_instances_are_shared_out_and_again_when_one_dies_or_comes_back(database_url: str, tmp_path: Path) -> None:
    def shares() -> list[int]:
        return [count for (count,) in rows(database_url, SHARES)]

    async with managers(database_url, tmp_path, lease=LEASE) as cluster:
        async with httpx.AsyncClient(base_url=cluster.members[0].url, trust_env=False) as client:
            for _ in range(12):
                settings = {"auto_scan": True, "page": False}
                made = await client.post("/api/v1/instances", json={"provider": "sandbox", "credentials": settings})
                assert made.is_success, made.text
        await until(lambda: shares() == [4, 4, 4])
        cluster.members[1].signal(signal.SIGSTOP)
        await until(lambda: shares() == [6, 6])
        cluster.members[1].signal(signal.SIGKILL)
        await until(lambda: shares() == [4, 4, 4])
        assert cluster.complaints() == []
