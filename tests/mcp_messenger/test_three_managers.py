"""Three managers on one database, killed at any moment while messages flow both ways: everything is counted in the end."""

import os
import random
import signal
import sys
from pathlib import Path

import pytest

from tests.managers import Managers, managers
from tests.stored import one
from tests.traffic import Traffic, traffic

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")]

SEED = int(os.environ.get("MCP_MESSENGER_TEST_SEED", "1"))
EACH_WAY = int(os.environ.get("MCP_MESSENGER_TEST_MESSAGES", "1000")) // 2
LEASE = 3.0
"""Seconds; with the ten of every day, most of the time would be waiting."""
KILL_EVERY = 40
"""Messages, about."""


class Executioner:
    """Kills one of them whenever so many sends have come to their end."""

    def __init__(self, cluster: Managers, traffic: Traffic, seed: int) -> None:
        self._cluster = cluster
        self._traffic = traffic
        self._random = random.Random(seed)
        self._next = self._interval()

    def _interval(self) -> int:
        return self._random.randint(KILL_EVERY // 2, KILL_EVERY * 3 // 2)

    def __call__(self) -> None:
        if len(self._traffic.told) >= self._next:
            self._next += self._interval()
            self._random.choice(self._cluster.members).signal(signal.SIGKILL)


async def besieged(database_url: str, served_url: str, folder: Path, *, seed: int) -> dict[str, int]:
    """What was counted."""
    async with traffic(database_url, seed=seed) as flowing:
        async with managers(served_url, folder, lease=LEASE, seed=seed) as cluster:
            await flowing.open(cluster.members[0])
            cluster.dooming = True
            flowing.progress = Executioner(cluster, flowing, seed)
            await flowing.flow(cluster, EACH_WAY)
            cluster.dooming = False
            await flowing.until_quiet()
        counted = flowing.count()
        assert one(database_url, "SELECT count(*) FROM leases WHERE expires_at > now()") == 0
        assert one(database_url, "SELECT count(*) FROM deliveries WHERE lease_until > now()") == 0
        assert cluster.complaints() == []
        assert cluster.deaths.total() > 0
        return {**counted, **cluster.deaths}


@pytest.mark.parametrize("way", ["direct", "through a pooler"])
async def test_whoever_dies_nothing_is_lost_and_nothing_doubled(way: str, request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> None:
    served_url = database_url if way == "direct" else request.getfixturevalue("pgbouncer")
    counted = await besieged(database_url, served_url, tmp_path, seed=SEED)
    print(f"seed {SEED}: {counted}")  # noqa: T201 - shown when it fails, with the seed to try again
