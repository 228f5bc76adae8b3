import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from db.filelock import exclusive

pytest_plugins = ("tests.postgres", "tests.system_postgres", "tests.docker_engine", "tests.breaking")

TURN_SECONDS = 1800.0


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: many tests wait for another process or for a time limit."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run tests of the mark `in_turn` one at a time among all workers: two browsers at once starve each other. Waiting costs no test its time."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None or item.get_closest_marker("in_turn") is None:
        return (yield)
    with exclusive(Path(tempfile.gettempdir()) / f"mcp-messenger-{run}.lock", TURN_SECONDS):
        return (yield)
