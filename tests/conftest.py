import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from db.filelock import exclusive
from tests.program import ROOT

pytest_plugins = ("tests.postgres", "tests.system_postgres", "tests.docker_engine", "tests.breaking")

TURN_SECONDS = 1800.0
MEMORY = Path("/dev/shm")
ENOUGH = 8 * 2**30
"""Bytes of memory, and of the file system in it, that a run may need for its folders."""
MANY = 1000
"""Tests from which on a run is one of the whole suite."""
are_building = False


def _has_memory() -> bool:
    """Return whether folders of tests fit into memory: a database there is made in an eighth of the time."""
    try:
        available = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
        return min(shutil.disk_usage(MEMORY).free, int(available.split()[1]) * 1024) > ENOUGH and os.access(MEMORY, os.W_OK | os.X_OK)
    except (OSError, StopIteration):
        return False


# Programs that tests start, and the workers themselves, need not compile every module again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
if _has_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two workers more than there are cores: many tests wait for another process or for a time limit."""
    return (os.cpu_count() or 1) + 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: object, ids: Sequence[str]) -> None:
    """Have the images built while the tests run that need none: who needs one waits otherwise for minutes."""
    global are_building
    if not are_building and len(ids) > MANY:
        are_building = True
        subprocess.Popen([sys.executable, "-m", "tests.docker_engine"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run tests of the mark `in_turn` one at a time among all workers: two browsers at once starve each other. Waiting costs no test its time."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None or item.get_closest_marker("in_turn") is None:
        return (yield)
    with exclusive(Path(tempfile.gettempdir()) / f"mcp-messenger-{run}.lock", TURN_SECONDS):
        return (yield)
