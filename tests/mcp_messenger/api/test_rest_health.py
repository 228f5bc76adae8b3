"""/health tells whether this process can work; without the store nothing works, and everybody is told so."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.app import running
from mcp_messenger.config import Config
from mcp_messenger.config.timing import Timing
from mcp_messenger.operations.application import App
from mcp_messenger.version import __version__
from tests.postgres import execute
from tests.running import ready_sandbox, serving
from tests.system_postgres import free_port
from tests.waiting import until_answer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        yield client


async def test_what_it_says(app: App, client: httpx.AsyncClient) -> None:
    await ready_sandbox(app)
    answer = await client.get("/health")
    health = answer.json()
    assert answer.status_code == 200
    assert health.keys() == {"status", "timestamp", "uptime", "environment", "version", "checks"}
    assert abs(datetime.fromisoformat(health["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert (health["status"], health["environment"], health["version"]) == ("healthy", "development", __version__)
    assert health["uptime"] > 0
    assert (health["checks"]["database"], health["checks"]["queue"]) == ("ok", {"depth": 0, "oldest_seconds": 0.0})


async def test_a_store_that_cannot_be_reached(tmp_path: Path) -> None:
    url = f"postgresql://nobody:FAKE-PASSWORD@127.0.0.1:{free_port()}/nothing"
    config = Config(data_dir=tmp_path, database_url=SecretStr(url))
    async with running(config) as app, serving(app) as address, httpx.AsyncClient(base_url=address, trust_env=False, timeout=60) as client:
        await _says_unhealthy(client, "FAKE-PASSWORD")


@pytest.mark.parametrize("timing", [Timing(connection=1)], ids=["impatient"])
async def test_a_store_that_dies_and_comes_back(app: App, client: httpx.AsyncClient, database_url: str) -> None:
    instance_id = await ready_sandbox(app)
    name = urlsplit(database_url).path.lstrip("/")
    maintenance = urlsplit(database_url)._replace(path="/postgres").geturl()
    execute(
        maintenance,
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )
    await _says_unhealthy(client, instance_id)
    execute(maintenance, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await until_answer(lambda: client.get("/health"), lambda answer: answer.status_code == 200)
    assert (await client.get(f"/api/v1/instances/{instance_id}")).status_code == 200


async def _says_unhealthy(client: httpx.AsyncClient, unsaid: str) -> None:
    answers: dict[str, httpx.Response] = {}

    async def get(path: str) -> None:
        answers[path] = await client.get(path)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(get, "/health")
        tasks.start_soon(get, "/api/v1/instances")
    health, refused = answers["/health"], answers["/api/v1/instances"]
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert health.json()["checks"]["database"] != "ok"
    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert refused.json()["hint"]
    assert unsaid not in health.text + refused.text
