"""What platforms post to us, end to end: the stand-in of Telegram brings updates to the address that it was given."""

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import psycopg
import pytest

from mcp_messenger.operations.application import App
from tests.running import ready_sandbox, running_app, serving, until_status
from tests.standins.telegram_bot_api import StandInBot, TelegramStandIn
from tests.waiting import PATIENCE, until_answer

pytestmark = pytest.mark.anyio

SOMEBODY_WAITS = "SELECT 1 FROM pg_locks WHERE relation = 'messages'::regclass AND NOT granted"
SECRET = "X-Telegram-Bot-Api-Secret-Token"


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    async with TelegramStandIn() as telegram:
        yield telegram


@pytest.fixture
def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@pytest.fixture
async def app(database_url: str, tmp_path: Path, listener: socket.socket) -> AsyncIterator[App]:
    async with running_app(database_url, tmp_path, public_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as app:
        yield app


@pytest.fixture
async def client(app: App, listener: socket.socket) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(app, listener) as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def bot(telegram: TelegramStandIn) -> StandInBot:
    return telegram.add_bot("123456:FAKE-TOKEN")


@pytest.fixture
async def instance_id(app: App, client: httpx.AsyncClient, telegram: TelegramStandIn, bot: StandInBot) -> str:
    """An instance whose updates Telegram brings."""
    settings = {"base_url": telegram.url, "mode": "webhook"}
    made = await client.post("/api/v1/instances", json={"provider": "telegram", "token": bot.token, "credentials": settings})
    instance_id = made.raise_for_status().json()["instance_id"]
    await until_status(app, instance_id, "ready")
    return instance_id


async def texts(client: httpx.AsyncClient, instance_id: str) -> list[str]:
    found = await client.get(f"/api/v1/instances/{instance_id}/recent-messages")
    return [message["text"] for message in found.json()["messages"]]


async def test_telegram_brings_what_people_write(client: httpx.AsyncClient, telegram: TelegramStandIn, bot: StandInBot, instance_id: str) -> None:
    assert bot.webhook is not None
    assert bot.webhook.url == str(client.base_url.join(f"/webhooks/telegram/{instance_id}"))
    ann = bot.person("Ann")
    bot.user_writes(ann, "hello through the webhook")
    with anyio.fail_after(PATIENCE):
        await telegram.until(lambda: not bot.pending)
    assert await texts(client, instance_id) == ["hello through the webhook"]


def update(bot: StandInBot, number: int, text: str) -> dict[str, Any]:
    ann = bot.person("Ann")
    return {"update_id": number, "message": bot.compose(ann, text=text, **{"from": bot.users[ann]})}


async def test_a_wrong_secret_is_refused(client: httpx.AsyncClient, bot: StandInBot, instance_id: str) -> None:
    for headers in ({}, {SECRET: "wrong"}, {SECRET: bot.token}):
        answer = await client.post(f"/webhooks/telegram/{instance_id}", json=update(bot, 1, "forged"), headers=headers)
        assert answer.status_code == 401
    assert await texts(client, instance_id) == []


async def test_what_is_no_update_is_refused(client: httpx.AsyncClient, bot: StandInBot, instance_id: str) -> None:
    assert bot.webhook is not None
    for body in (b"", b"no JSON", b"[]", b"{}"):
        answer = await client.post(f"/webhooks/telegram/{instance_id}", content=body, headers={SECRET: bot.webhook.secret or ""})
        assert answer.status_code == 400


async def test_it_is_stored_before_it_is_answered(client: httpx.AsyncClient, bot: StandInBot, instance_id: str, database_url: str) -> None:
    assert bot.webhook is not None
    answers: list[int] = []

    async def post() -> None:
        headers = {SECRET: bot.webhook.secret or ""} if bot.webhook else {}
        answers.append((await client.post(f"/webhooks/telegram/{instance_id}", json=update(bot, 7, "stored first"), headers=headers)).status_code)

    async with await psycopg.AsyncConnection.connect(database_url) as locked, await psycopg.AsyncConnection.connect(database_url) as watch:
        await watch.set_autocommit(True)
        await locked.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(post)
                await until_answer(lambda: watch.execute(SOMEBODY_WAITS), lambda waiting: waiting.rowcount > 0)
                assert answers == []
                await locked.rollback()
    assert answers == [200]
    assert await texts(client, instance_id) == ["stored first"]


async def test_an_update_that_is_brought_twice_is_kept_once(client: httpx.AsyncClient, bot: StandInBot, instance_id: str) -> None:
    assert bot.webhook is not None
    body = json.dumps(update(bot, 9, "once"))
    for _ in range(2):
        answer = await client.post(f"/webhooks/telegram/{instance_id}", content=body, headers={SECRET: bot.webhook.secret or ""})
        assert answer.status_code == 200
    assert await texts(client, instance_id) == ["once"]


async def test_nobody_takes_what_is_for_an_instance_that_does_not_run(app: App, client: httpx.AsyncClient, instance_id: str) -> None:
    sandbox = await ready_sandbox(app)
    await client.post(f"/api/v1/instances/{instance_id}/stop")
    for path, status in (
        (f"telegram/{instance_id}", 409),
        (f"telegram/{sandbox}", 409),
        ("telegram/00000000-0000-0000-0000-000000000000", 409),
        ("telegram/x", 404),
        (f"sandbox/{instance_id}", 409),
    ):
        answer = await client.post(f"/webhooks/{path}", json={"update_id": 1})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
