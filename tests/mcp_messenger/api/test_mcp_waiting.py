"""Calls that take long: they tell that they are alive, and end when nobody waits for them any more."""

from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from mcp_messenger.app import build
from mcp_messenger.config import Config
from mcp_messenger.config.timing import Timing
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.security.caller import ADMIN, parse_instance_id
from tests.mcp_clients import call, in_memory
from tests.program import PATIENCE
from tests.running import ready_sandbox, running_app, until_status
from tests.standins.website import Page, website
from tests.waiting import until

pytestmark = pytest.mark.anyio


def waiters(app: App, instance: str) -> int:
    id = parse_instance_id(instance)
    return sum(len(waiting) for key, waiting in app.feed._waiting.items() if key[0] == id)


@pytest.mark.parametrize("timing", [Timing(progress=0.01)], ids=["short"])
async def test_progress_is_told_until_the_message_comes(app: App, connect: Any, era: str) -> None:
    instance = await ready_sandbox(app)
    told: list[float] = []
    heard: list[str] = []

    async with connect(era) as client, anyio.create_task_group() as tasks:

        async def wait() -> None:
            answer = await client.call_tool("wait_for_messages", {"instance_id": instance, "timeout": 20}, progress_callback=on_progress)
            heard.extend(message["text"] for message in (answer.structured_content or {})["messages"])

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            assert message is not None
            assert message.startswith("still waiting after")
            told.append(progress)
            if len(told) == 3:
                tasks.start_soon(client.call_tool, "send_message", {"instance_id": instance, "to": "ann", "message": "Are you there?"})

        tasks.start_soon(wait)
    assert told == sorted(told)
    assert heard == ["echo: Are you there?"]


async def test_progress_says_what_a_call_does(database_url: str, tmp_path: Path, era: str) -> None:
    """A login that waits for a person, a file that comes slowly and a store that is still starting, to a client that asked for it."""
    said: dict[str, list[tuple[float, str]]] = {}

    async def told(client: Client, tool: str, words: str, **arguments: Any) -> None:
        """Call a tool until it has been said what it does."""
        said[tool] = []
        heard = anyio.Event()

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            said[tool].append((progress, message or ""))
            if words in (message or ""):
                heard.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(client.call_tool, tool, arguments, progress_callback=on_progress))
            with anyio.fail_after(PATIENCE):
                await heard.wait()
            tasks.cancel_scope.cancel()

    config: dict[str, Any] = {"timing": Timing(progress=0.01), "allowed_networks": (ip_network("127.0.0.0/8"),)}
    async with running_app(database_url, tmp_path, **config) as app, in_memory(app, era) as client, website({"/slow": Page(silent=True)}) as site:
        waits = await create_instance(app, ADMIN, CreateInstance(provider="sandbox", credentials={"auto_scan": False, "page": True}))
        await until_status(app, waits.instance_id, "qr_ready")
        await told(client, "login", "The account is qr_ready", instance_id=waits.instance_id, wait=300)
        await told(client, "send_media", "The file is fetched: 0.0 MB", instance_id=await ready_sandbox(app), to="ann", source=site.url("/slow"))
    starting = build(Config(data_dir=tmp_path, **config))
    starting.database.stage = "Migration 3 of 9 is applied: 002_product."
    async with in_memory(starting, era) as client:
        await told(client, "wait_for_messages", "Migration 3 of 9 is applied: 002_product. (")
    for reports in said.values():
        seconds = [at for at, _ in reports]
        assert seconds == sorted(set(seconds)), "each is more than the one before"


async def test_a_call_that_is_given_up_ends_on_the_server(app: App, connect: Any, era: str) -> None:
    instance = await ready_sandbox(app)
    async with connect(era) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "wait_for_messages", {"instance_id": instance, "timeout": 300})
            await until(lambda: waiters(app, instance) == 1)
            tasks.cancel_scope.cancel()
        await until(lambda: waiters(app, instance) == 0)
        assert (await call(client, "get_auth_status", instance_id=instance))["state"] == "ready"


async def test_the_cursor_of_a_wait_misses_nothing_and_repeats_nothing(app: App, era: str) -> None:
    instance = await ready_sandbox(app)
    async with in_memory(app, era) as client:
        cursor = (await call(client, "wait_for_messages", instance_id=instance, timeout=0))["cursor"]
        for text in ("one", "two", "three"):
            await call(client, "send_message", instance_id=instance, to="ann", message=text)
        heard: list[str] = []
        while len(heard) < 3:
            answer = await call(client, "wait_for_messages", instance_id=instance, cursor=cursor, timeout=20, limit=1)
            cursor = answer["cursor"]
            heard += [message["text"] for message in answer["messages"]]
        assert heard == ["echo: one", "echo: two", "echo: three"]
        assert (await call(client, "wait_for_messages", instance_id=instance, cursor=cursor, timeout=0))["messages"] == []
