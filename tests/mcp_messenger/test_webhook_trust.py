"""The secrets of a webhook are for the host that its owner named, and an instance's key cannot name another."""

from collections.abc import AsyncIterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.security.caller import ADMIN
from tests.mcp_clients import in_memory
from tests.mcp_clients import refused as refused_tool
from tests.receiver import Receiver, receiver
from tests.running import ready_sandbox, running_app, serving

pytestmark = pytest.mark.anyio

LOOPBACK = (IPv4Network("127.0.0.0/8"),)
ADMIN_TOKEN = "a-fake-admin-token-for-tests"
HEADER = {"Authorization": "Basic ZmFrZTpwYXNzd29yZA=="}


class Desk:
    def __init__(self, app: App, client: httpx.AsyncClient, instance_id: str, owner: str, key: str) -> None:
        self.app, self.instance_id, self.owner, self.key = app, instance_id, owner, key
        self._client = client

    async def ask(self, token: str, method: str, path: str, **body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return await self._client.request(method, f"/api/v1/instances/{self.instance_id}{path}", headers=headers, json=body or None)

    async def set(self, token: str, **config: Any) -> httpx.Response:
        return await self.ask(token, "PUT", "/webhook", **{"enabled": True, **config})

    async def key_with(self, *scopes: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.owner}"}
        return (await self._client.post("/api/v1/keys", headers=headers, json={"name": "of a test", "scopes": scopes})).json()

    async def test(self) -> None:
        (await self.ask(self.owner, "POST", "/webhook/test")).raise_for_status()

    async def stored(self) -> str:
        sql = "SELECT api_webhook_schema::text FROM message_instances WHERE id = %(id)s"
        return str(await self.app.database.value(sql, {"id": UUID(self.instance_id)}))


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    token = SecretStr(ADMIN_TOKEN)
    async with running_app(database_url, tmp_path, allowed_networks=LOOPBACK, admin_token=token, toolsets=("all",)) as app, serving(app) as url:
        owner = (await create_user_token(app, ADMIN, CreateToken(user_id="local"))).token
        instance_id = await ready_sandbox(app)
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            desk = Desk(app, client, instance_id, owner, "")
            desk.key = (await desk.ask(owner, "GET", "/current-api-key")).json()["api_key"]
            yield desk


@pytest.fixture
async def first() -> AsyncIterator[Receiver]:
    async with receiver() as first:
        yield first


@pytest.fixture
async def second() -> AsyncIterator[Receiver]:
    async with receiver() as second:
        yield second


async def test_secrets_do_not_follow_the_address_to_another_origin(desk: Desk, first: Receiver, second: Receiver) -> None:
    made = (await desk.set(desk.owner, url=first.url, headers=HEADER)).json()["secret"]
    await desk.test()
    assert first.posted[0].headers["authorization"] == HEADER["Authorization"]
    first.posted[0].verify(made)
    assert (await desk.set(desk.owner, url=first.url + "/elsewhere")).json()["headers"] == ["Authorization"], "the same host keeps them"
    await desk.set(desk.owner, enabled=False)
    moved = (await desk.set(desk.owner, url=second.url)).json()
    assert moved["headers"] == []
    assert moved["secret"] not in {None, made}
    await desk.test()
    assert "authorization" not in second.posted[0].headers
    second.posted[0].verify(moved["secret"])


async def test_a_key_of_the_instance_neither_moves_a_webhook_nor_sets_its_secrets(desk: Desk, first: Receiver, second: Receiver) -> None:
    assert (await desk.set(desk.key, url=first.url)).json()["secret"], "the first address is nobody's yet"
    before = await desk.stored()
    for change in ({"url": second.url}, {"url": first.url, "secret": "s" * 20}, {"url": first.url, "headers": {"X-Own": "mine"}}):
        refused = await desk.set(desk.key, **change)
        assert refused.json()["code"] == "forbidden", change
    another = await desk.ask(desk.key, "POST", "/webhooks", url=second.url)
    assert another.json()["code"] == "forbidden", "another webhook would have all that the first one has"
    assert (await desk.ask(desk.owner, "POST", "/webhooks", url=first.url)).json()["webhook_id"] == "2"
    assert (await desk.ask(desk.key, "PUT", "/webhooks/2", enabled=True, url=second.url)).json()["code"] == "forbidden"
    assert (await desk.ask(desk.key, "PUT", "/webhooks/2", enabled=True, url=first.url, events=["notice"])).json()["events"] == ["notice"]
    assert (await desk.ask(desk.key, "PATCH", "", api_webhook_schema={"enabled": True, "url": second.url})).json()["code"] == "forbidden"
    manager = (await desk.key_with("read", "manage"))["key"]
    assert (await desk.set(manager, url=second.url)).json()["code"] == "forbidden"
    moved = {"api_webhook_schema": {"enabled": True, "url": second.url}, "credentials": {"auto_scan": False}}
    assert (await desk.ask(manager, "PATCH", "", **moved)).json()["code"] == "forbidden"
    async with in_memory(desk.app) as agent:
        said = await refused_tool(agent, "update_instance", instance_id=desk.instance_id, **moved)
    assert said.startswith("forbidden: An agent cannot move the webhook")
    # Nor in two steps.
    for number in ("1", "2"):
        assert (await desk.ask(desk.key, "DELETE", f"/webhooks/{number}")).json()["code"] == "forbidden"
    assert await desk.stored() == before
    assert (await desk.ask(desk.key, "PUT", "/webhook", enabled=False)).is_success
    assert (await desk.set(desk.key, url=second.url)).json()["code"] == "forbidden"
    assert (await desk.ask(manager, "PATCH", "", api_webhook_schema={"enabled": True, "url": first.url})).is_success
    changed = await desk.set(desk.key, url=first.url, events=["message"])
    assert changed.json()["events"] == ["message"]


async def test_secrets_in_an_address_are_sealed_and_masked(desk: Desk, first: Receiver) -> None:
    secret, in_path = "a-fake-query-secret", "T0FAKE/B0FAKE/XfakeFAKEfake1234567890"
    url = f"{first.url}/{in_path}?token={secret}&plain"
    shown = (await desk.set(desk.owner, url=url)).json()["url"]
    assert shown == f"{first.url}/T0FAKE/B0FAKE/Xfak***7890?token=***&plain"
    answers = [await desk.ask(desk.key, "GET", path) for path in ("", "/webhook", "/credentials", "/logs", "/deliveries")]
    for text in (await desk.stored(), *(answer.text for answer in answers)):
        assert secret not in text
        assert "XfakeFAKE" not in text
    assert (await desk.set(desk.key, url=shown, events=["message"])).json()["url"] == shown, "given back as it was shown, it stays"
    await desk.test()
    assert first.posted[0].path == url.removeprefix(f"http://127.0.0.1:{first.port}")
