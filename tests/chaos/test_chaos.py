"""Troubles that no other test brings about, in an order that the seed decides. All of them for hours: python -m tests.chaos"""

import os
import sys
from pathlib import Path

import pytest

from tests.chaos.driver import besieged

ONCE = (
    "a manager killed",
    "the store killed",
    "the store frozen",
    "the disk full",
    "writes refused (read-only)",
    "a standby answers, then takes over",
    "the pooler restarted",
    "the database's clock jumps",
    "the managers' clock jumps",
)

SEED = int(os.environ.get("MCP_MESSENGER_TEST_SEED", "1"))
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.chaos,
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform == "win32", reason="needs signals"),
]


async def test_whatever_goes_wrong_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    found = await besieged(tmp_path, seconds=0, seed=SEED, count=2, only=ONCE)
    print(found.table())
    assert set(found.rounds) | set(found.lacking) == set(ONCE)
