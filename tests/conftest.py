import os

import pytest

pytest_plugins = ("tests.postgres", "tests.system_postgres", "tests.docker_engine", "tests.breaking")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: many tests wait for another process or for a time limit."""
    return (os.cpu_count() or 1) + 1
