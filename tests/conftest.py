import pytest

pytest_plugins = ("tests.postgres", "tests.system_postgres", "tests.docker_engine", "tests.breaking")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
