"""Requests that take too long, over real sockets: given up with the next step. Those that wait on purpose are not."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import httpx
import psycopg
import pytest

from mcp_messenger.api.http import SMALL_BODY
from mcp_messenger.config.timing import Timing
from mcp_messenger.operations.application import App
from tests.mcp_clients import in_memory, refused
from tests.running import ready_sandbox, running_app, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> Any:
    async with running_app(database_url, tmp_path, timing=Timing(operation=0.3)) as app:
        yield app


async def test_an_operation_that_takes_too_long_is_given_up(app: App, database_url: str) -> None:
    instance_id = await ready_sandbox(app)
    async with serving(app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, timeout=20) as client, in_memory(app) as model:
        with psycopg.connect(database_url) as other:
            other.execute("LOCK TABLE instance_errors")
            read = await client.get(f"/instances/{instance_id}/errors")
            change = await client.post(f"/instances/{instance_id}/clear-errors")
            assert [answer.status_code for answer in (read, change)] == [504, 504]
            assert read.json()["code"] == "took_too_long"
            assert "get_errors was given up after 0.3 s" in read.json()["detail"]
            assert read.json()["hint"].startswith("Try again")
            assert "may have taken effect" in change.json()["hint"]
            other.rollback()
        assert (await client.get(f"/instances/{instance_id}/errors")).status_code == 200
        with psycopg.connect(database_url) as other:
            other.execute("LOCK TABLE message_instances")
            assert (await refused(model, "get_instance", instance_id=instance_id)).startswith("took_too_long: get_instance was given up")


async def test_who_waits_on_purpose_waits_as_long_as_they_said(app: App) -> None:
    instance_id = await ready_sandbox(app)
    async with serving(app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, timeout=20) as client:
        began = anyio.current_time()
        answer = await client.get(f"/instances/{instance_id}/wait", params={"timeout": 1})
        assert answer.status_code == 200
        assert answer.json()["messages"] == []
        assert anyio.current_time() - began >= 1


async def test_a_larger_body_is_taken_where_a_file_comes(app: App) -> None:
    instance_id = await ready_sandbox(app)
    large = b'{"to": "ann", "message": "' + b"x" * SMALL_BODY + b'"}'

    async def pieces() -> AsyncGenerator[bytes]:
        for begin in range(0, len(large), 1 << 20):
            yield large[begin : begin + (1 << 20)]

    json = {"Content-Type": "application/json"}
    async with serving(app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, timeout=20, headers=json) as client:
        for content in (large, pieces()):
            assert (await client.post(f"/instances/{instance_id}/send/media", content=content)).status_code == 422
        for content in (large, pieces()):
            answer = await client.post("/instances", content=content)
            assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
