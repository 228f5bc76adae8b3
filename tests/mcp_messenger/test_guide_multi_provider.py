"""The testing guide's two jest suites: the same requests, the same expectations."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_messenger.operations.application import App
from tests.running import running_app, serving, until_status
from tests.standins.discord_api import DiscordStandIn
from tests.standins.telegram_bot_api import TelegramStandIn

pytestmark = pytest.mark.anyio


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    """It knows no bot, so it refuses 'test-token' as the real one does."""
    async with TelegramStandIn() as telegram:
        yield telegram


@pytest.fixture
async def discord() -> AsyncIterator[DiscordStandIn]:
    """It knows no bot either."""
    async with DiscordStandIn() as discord:
        yield discord


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    async with running_app(database_url, tmp_path) as app:
        yield app


@pytest.fixture
async def client(app: App) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield client


def telegram_config(telegram: TelegramStandIn) -> dict[str, Any]:
    return {"provider": "telegram", "config": {"botToken": "test-token", "authStrategy": "none", "dockerContainer": False, "base_url": telegram.url}}


def discord_config(discord: DiscordStandIn) -> dict[str, Any]:
    config = {"botToken": "test-token", "clientId": "test-client-id", "authStrategy": "none", "dockerContainer": False}
    return {"provider": "discord", "config": {**config, "base_url": discord.base_url}}


async def test_multi_provider_instance_creation(app: App, client: httpx.AsyncClient, telegram: TelegramStandIn, discord: DiscordStandIn) -> None:
    base, created = "/api/v1/multi-provider", list[str]()
    response = await client.post(f"{base}/instances", json=telegram_config(telegram))
    assert response.status_code == 201
    assert response.json()["provider"] == "telegram"
    assert response.json()["instanceId"]
    created.append(response.json()["instanceId"])
    # A wrong token does not refuse the creation; the instance says it in the platform's words.
    await until_status(app, created[0], "error")
    shown = (await client.get(f"/api/v1/instances/{created[0]}")).json()
    assert "Telegram does not know this token: Not Found" in shown["instance"]["status_reason"]
    assert shown["instance"]["needs"] == "token"

    response = await client.post(f"{base}/instances", json=discord_config(discord))
    assert response.status_code == 201
    assert response.json()["provider"] == "discord"
    assert response.json()["instanceId"]
    created.append(response.json()["instanceId"])
    await until_status(app, created[1], "error")
    shown = (await client.get(f"/api/v1/instances/{created[1]}")).json()
    assert "Discord does not know this token: 401: Unauthorized" in shown["instance"]["status_reason"]
    assert shown["instance"]["needs"] == "token"

    response = await client.get(f"{base}/instances")
    assert response.status_code == 200
    assert len(response.json()["instances"]) >= 2

    response = await client.get(f"{base}/active-providers")
    assert response.status_code == 200
    assert "telegram" in response.json()["providers"]

    for instance_id in created:
        response = await client.delete(f"{base}/instances/{instance_id}")
        assert (response.status_code, response.content) == (204, b"")
        assert (await client.get(f"/api/v1/instances/{instance_id}")).status_code == 404


async def test_manager_to_telegram_flow(client: httpx.AsyncClient, telegram: TelegramStandIn) -> None:
    created = await client.post(
        "/api/v1/instances",
        json={
            "user_id": "test-tg-1",
            "provider": "telegram",
            "type_instance": ["api"],
            "token": "test-token",
            "credentials": {"base_url": telegram.url},
        },
    )
    assert created.status_code == 201
    instance_id = created.json()["instance_id"]
    assert (await client.get(f"/api/v1/instances/{instance_id}")).json()["instance"]["provider"] == "telegram"
    assert (await client.get(f"/api/v1/instances/{instance_id}/memory")).json()["data"] is not None
    assert (await client.delete(f"/api/v1/instances/{instance_id}")).is_success


async def test_several_instances_at_once(client: httpx.AsyncClient, telegram: TelegramStandIn) -> None:
    """The guide's third suite; the sandbox stands where it has whatsappweb, and needs no token either."""
    instances: list[str] = []
    for number in range(3):
        token = {"token": "test-token", "credentials": {"base_url": telegram.url}} if number % 2 else {"token": None}
        provider = "telegram" if number % 2 else "sandbox"
        body = {"user_id": f"test-multi-{number}", "provider": provider, "type_instance": ["api"], **token}
        instances.append((await client.post("/api/v1/instances", json=body)).json()["instance_id"])
    listed = (await client.get("/api/v1/instances")).json()["instances"]
    assert {row["id"] for row in listed} == set(instances)
    for instance_id in instances:
        assert (await client.delete(f"/api/v1/instances/{instance_id}")).is_success


async def test_a_container_is_refused_where_there_are_none(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/multi-provider/instances", json={"provider": "sandbox", "config": {"dockerContainer": True}})
    assert (answer.status_code, answer.json()["code"]) == (501, "not_available")


async def test_the_provider_in_the_path_must_be_the_instances(client: httpx.AsyncClient) -> None:
    made = (await client.post("/api/v1/multi-provider/instances", json={"provider": "sandbox"})).json()
    path = f"/api/v1/multi-provider/instances/telegram/{made['instanceId']}/send-message"
    answer = await client.post(path, json={"to": "ann", "message": "hello"}, headers={"Authorization": f"Bearer {made['api_key']}"})
    assert (answer.status_code, answer.json()["detail"]) == (422, "provider: this instance is of sandbox.")
