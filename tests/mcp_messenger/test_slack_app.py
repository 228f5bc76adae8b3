"""Slack through the whole application: stored once, sent once, whatever breaks in between."""

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.operations.application import App
from tests.running import running_app, serving, until_status
from tests.standins.slack_api import SlackStandIn
from tests.waiting import PATIENCE, until_answer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def slack() -> AsyncIterator[SlackStandIn]:
    async with SlackStandIn() as slack:
        yield slack


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    async with running_app(database_url, tmp_path) as app:
        yield app


@asynccontextmanager
async def connected(app: App) -> AsyncGenerator[httpx.AsyncClient]:
    async with serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
async def client(app: App) -> AsyncIterator[httpx.AsyncClient]:
    async with connected(app) as client:
        yield client


async def make(app: App, client: httpx.AsyncClient, slack: SlackStandIn, **credentials: str) -> str:
    body = {"provider": "slack", "bot_token": slack.bot_token, "credentials": {"base_url": slack.api, **credentials}}
    made = await client.post("/api/v1/instances", json=body)
    instance_id = made.raise_for_status().json()["instance_id"]
    await until_status(app, instance_id, "ready")
    return instance_id


async def recent(client: httpx.AsyncClient, instance_id: str) -> list[dict[str, Any]]:
    return (await client.get(f"/api/v1/instances/{instance_id}/recent-messages")).raise_for_status().json()["messages"]


async def until_recent(client: httpx.AsyncClient, instance_id: str, texts: list[str]) -> list[dict[str, Any]]:
    """The messages, newest first, when these are there."""
    return await until_answer(lambda: recent(client, instance_id), lambda found: [message["text"] for message in found] == texts)


async def test_a_conversation_over_socket_mode(app: App, client: httpx.AsyncClient, slack: SlackStandIn) -> None:
    ann = slack.person("Ann")
    instance_id = await make(app, client, slack, app_token=slack.app_token)
    question = slack.user_writes(slack.direct(ann), "*Who* are you?", by=ann)
    asked = await until_recent(client, instance_id, ["**Who** are you?"])
    await slack.until(lambda: not slack.sockets.unacknowledged)
    answer = await client.post(f"/api/v1/instances/{instance_id}/send", json={"to": slack.direct(ann), "message": "Robo", "reply_to": asked[0]["id"]})
    assert answer.json()["status"] == "sent", answer.text
    await slack.until(lambda: not slack.sockets.unacknowledged)
    found = await until_recent(client, instance_id, ["Robo", "**Who** are you?"])
    assert [(message["own"], message["from"]) for message in found] == [(True, None), (False, "Ann")]
    assert slack.channels[slack.direct(ann)].messages[-1]["thread_ts"] == question["ts"]


async def test_a_send_of_unknown_fate_is_settled_by_its_echo(app: App, client: httpx.AsyncClient, slack: SlackStandIn) -> None:
    ann = slack.person("Ann")
    instance_id = await make(app, client, slack, app_token=slack.app_token)
    slack.drop_next("chat.postMessage", "after")
    slack.fail_next("conversations.history", 500)
    await client.post(f"/api/v1/instances/{instance_id}/send", json={"to": slack.direct(ann), "message": "once"})
    await slack.until(lambda: not slack.sockets.unacknowledged)
    await until_recent(client, instance_id, ["once"])
    await until_answer(lambda: recent(client, instance_id), lambda found: found[0]["status"] == "sent")
    assert len(slack.calls_of("chat.postMessage")) == 1


async def test_events_come_over_http_signed(app: App, client: httpx.AsyncClient, slack: SlackStandIn) -> None:
    ann = slack.person("Ann")
    instance_id = await make(app, client, slack, signing_secret=slack.signing_secret)
    path = f"/webhooks/slack/{instance_id}"
    challenge = slack.signed({"type": "url_verification", "challenge": "abc"})
    answer = await client.post(path, content=challenge.body, headers=dict(challenge.headers))
    assert (answer.status_code, answer.json()) == (200, {"challenge": "abc"})
    slack.user_writes(slack.direct(ann), "hello", by=ann)
    request = slack.signed(slack.events[-1])
    for _ in range(2):
        assert (await client.post(path, content=request.body, headers=dict(request.headers))).status_code == 200
    assert (await client.post(path, content=request.body, headers={"content-type": "application/json"})).status_code == 401
    assert (await client.post(path, content=json.dumps(json.loads(request.body), indent=1), headers=dict(request.headers))).status_code == 401
    assert [message["text"] for message in await recent(client, instance_id)] == ["hello"]


async def test_a_restart_reads_back_what_was_missed_and_stores_nothing_twice(app: App, client: httpx.AsyncClient, slack: SlackStandIn) -> None:
    ann = slack.person("Ann")
    instance_id = await make(app, client, slack, app_token=slack.app_token)
    slack.user_writes(slack.direct(ann), "before", by=ann)
    await until_recent(client, instance_id, ["before"])
    await client.post(f"/api/v1/instances/{instance_id}/stop")
    await until_status(app, instance_id, "stopped")
    slack.user_writes(slack.direct(ann), "meanwhile", by=ann)
    await client.post(f"/api/v1/instances/{instance_id}/start")
    await until_recent(client, instance_id, ["meanwhile", "before"])


async def test_another_machine_reads_back_what_was_missed(database_url: str, tmp_path: Path, slack: SlackStandIn) -> None:
    ann = slack.person("Ann")
    key = SecretStr(os.urandom(32).hex())
    async with running_app(database_url, tmp_path / "one", secret_key=key) as app, connected(app) as client:
        instance_id = await make(app, client, slack, app_token=slack.app_token)
        slack.user_writes(slack.direct(ann), "before", by=ann)
        await until_recent(client, instance_id, ["before"])
    slack.user_writes(slack.direct(ann), "meanwhile", by=ann)
    async with running_app(database_url, tmp_path / "another", secret_key=key) as app, connected(app) as client:
        await until_recent(client, instance_id, ["meanwhile", "before"])


async def test_no_secret_is_shown(app: App, client: httpx.AsyncClient, slack: SlackStandIn) -> None:
    instance_id = await make(app, client, slack, app_token=slack.app_token, signing_secret=slack.signing_secret)
    shown = (await client.get(f"/api/v1/instances/{instance_id}")).text + (await client.get("/api/v1/instances")).text
    for secret in (slack.bot_token, slack.app_token, slack.signing_secret):
        assert secret not in shown
