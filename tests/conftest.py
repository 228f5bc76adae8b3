import pytest

pytest_plugins = ("tests.postgres", "tests.system_postgres")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
