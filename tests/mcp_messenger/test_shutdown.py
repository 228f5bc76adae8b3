import sys
from pathlib import Path
from uuid import UUID

import anyio
import anyio.to_thread
import httpx
import pytest
from starlette.types import Receive, Scope, Send

from db.errors import StoreUnavailable
from mcp_messenger.api.middleware import CutOffAnswer
from tests.mcp_clients import over_http
from tests.program import PATIENCE, environment, program
from tests.running import ready_sandbox, running_app, serving_addresses, serving_asgi
from tests.stored import one, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_the_application_ends_though_its_store_is_gone(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        await ready_sandbox(app)
        assert app.supervisor.owned
        app.database.failed(StoreUnavailable("It was switched off."))
        began = anyio.current_time()
    assert not app.supervisor.owned
    assert anyio.current_time() - began < 20


@pytest.mark.skipif(sys.platform == "win32", reason="there a process is ended without being asked")
async def test_a_client_that_listens_is_told_that_its_stream_is_over(database_url: str, tmp_path: Path) -> None:
    with program(["serve", "--port", "0"], environment(tmp_path / "data", database_url)) as served:
        async with over_http(f"{served.url}/mcp") as client, client.listen(resource_subscriptions=["messenger://instances"]) as listening:
            served.process.terminate()
            with anyio.fail_after(PATIENCE):
                # Raises where the stream was cut off.
                assert [change async for change in listening] == []
        assert await anyio.to_thread.run_sync(served.process.wait, PATIENCE) == 0


async def test_what_is_cut_off_is_answered_as_unavailable_for_now(anyio_backend: str) -> None:
    arrived = anyio.Event()

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            arrived.set()
            await anyio.sleep_forever()

    answers: list[httpx.Response] = []

    async def ask(url: str) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            answers.append(await client.post(url))

    async with anyio.create_task_group() as tasks, serving_asgi(CutOffAnswer(never), lifespan="off") as url:
        tasks.start_soon(ask, url)
        await arrived.wait()
    (answer,) = answers
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "shutting_down", "5")


async def test_a_send_that_still_waits_is_answered_with_its_number(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        instance_id = await ready_sandbox(app, persona="human")
        answers: list[httpx.Response] = []

        async def send(url: str) -> None:
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
                body = {"to": "unreachable", "message": "hello"}
                answers.append(await client.post(f"{url}/api/v1/instances/{instance_id}/send", json=body))

        async with anyio.create_task_group() as tasks, serving_addresses(app) as url:
            tasks.start_soon(send, url)
            await until(lambda: rows(database_url, "SELECT id FROM messages WHERE outgoing"))
        number = one(database_url, "SELECT id FROM messages WHERE outgoing")
        assert (answers[0].json()["message_id"], answers[0].json()["status"]) == (str(number), "queued")


async def test_a_wait_is_not_answered_as_if_nothing_had_come(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        instance_id = await ready_sandbox(app, persona="human")
        answers: list[httpx.Response] = []

        async def wait(url: str) -> None:
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
                answers.append(await client.get(f"{url}/api/v1/instances/{instance_id}/wait?timeout=300"))

        began = anyio.current_time()
        async with anyio.create_task_group() as tasks, serving_addresses(app) as url:
            tasks.start_soon(wait, url)
            await until(lambda: app.feed._waiting.get((UUID(instance_id), None)))
        assert (answers[0].status_code, answers[0].json()["code"]) == (503, "shutting_down")
        assert anyio.current_time() - began < 4


@pytest.mark.skipif(sys.platform == "win32", reason="there a process is ended without being asked")
def test_a_signal_right_after_the_welcome_ends_it_in_order(database_url: str, tmp_path: Path) -> None:
    for number in range(3):
        with program(["serve", "--port", "0"], environment(tmp_path / f"data{number}", database_url)) as served:
            assert served.stop() == 0
