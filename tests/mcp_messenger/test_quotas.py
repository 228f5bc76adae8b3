"""What all users share, no user has alone: limits by user, shown to each and raised by the administrator."""

import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest
from mcp.shared.exceptions import MCPError
from pydantic import SecretStr

from mcp_messenger.config.environment import from_environment
from mcp_messenger.config.quotas import DEFAULTS, Quota, parse_quotas, shown_most
from mcp_messenger.errors import InvalidInput, QuotaExceeded
from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.operations.lifecycle import require_memory
from mcp_messenger.security.caller import ADMIN, Caller
from tests.mcp_clients import over_http
from tests.running import ready_sandbox, running_app, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio

ADMIN_TOKEN = "a-fake-admin-token-for-tests"
ANN = Caller(user_id="ann")
LIMITS = {Quota.INSTANCES: 2, Quota.MEMORY: 3 * 2**30, Quota.MEDIA: 10, Quota.SUBSCRIPTIONS: 2, Quota.WAITS: 1}


class Desk:
    def __init__(self, app: App, client: httpx.AsyncClient, url: str, token: str) -> None:
        self.app, self.client, self.url, self.token = app, client, url, token

    async def ask(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return await self.client.request(method, f"/api/v1{path}", headers=headers, json=body)


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    config: dict[str, Any] = {"admin_token": SecretStr(ADMIN_TOKEN), "quotas": LIMITS}
    async with running_app(database_url, tmp_path, **config) as app, serving(app) as url:
        token = (await create_user_token(app, ADMIN, CreateToken(user_id="ann"))).token
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
            yield Desk(app, client, url, token)


def refusal(answer: httpx.Response) -> str:
    assert (answer.status_code, answer.json()["code"]) == (403, "quota_exceeded"), answer.text
    assert "ask the administrator, who raises the limit with PUT /api/v1/users/{user_id}/quotas" in answer.json()["hint"]
    return answer.json()["detail"]


async def test_a_user_has_as_many_instances_as_allowed_and_the_administrator_raises_it(desk: Desk) -> None:
    wanted = {"provider": "sandbox"}
    statuses: list[int] = []

    async def create() -> None:
        statuses.append((await desk.ask("POST", "/instances", wanted)).status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(create)
    assert sorted(statuses) == [201, 201, 403, 403, 403]
    assert refusal(await desk.ask("POST", "/instances", wanted)) == "The user 'ann' has 2 of instances in use, and at most 2 are allowed."
    shown = (await desk.ask("GET", "/quotas")).json()
    assert (shown["user_id"], shown["quotas"]["instances"]) == ("ann", {"most": "2", "used": 2, "is_own": False})
    assert (await desk.ask("PUT", "/users/ann/quotas", {"limits": {"instances": "3"}})).status_code == 403
    raised = await desk.ask("PUT", "/users/ann/quotas", {"limits": {"instances": "3", "memory": "any"}}, token=ADMIN_TOKEN)
    assert raised.json()["quotas"]["instances"] == {"most": "3", "used": 2, "is_own": True}
    assert (await desk.ask("POST", "/instances", wanted)).status_code == 201
    assert (await desk.ask("POST", "/instances", {**wanted, "user_id": "ann"}, token=ADMIN_TOKEN)).status_code == 201
    again = await desk.ask("PUT", "/users/ann/quotas", {"limits": {"instances": ""}}, token=ADMIN_TOKEN)
    assert again.json()["quotas"]["instances"] == {"most": "2", "used": 4, "is_own": False}
    assert (await desk.ask("PUT", "/users/ann/quotas", {"limits": {"instances": "many"}}, token=ADMIN_TOKEN)).status_code == 422


async def test_containers_take_no_more_memory_than_a_user_may_have(desk: Desk) -> None:
    ids = [await ready_sandbox(desk.app, ANN) for _ in range(2)]
    execute = "UPDATE message_instances SET runtime = 'docker' WHERE id = %(id)s::uuid"
    for id in ids:
        await desk.app.database.execute(execute, {"id": id})
    await require_memory(desk.app, ANN, "ann")
    await desk.ask("PUT", "/users/ann/quotas", {"limits": {"memory": "2g"}}, token=ADMIN_TOKEN)
    with pytest.raises(QuotaExceeded, match=r"has 2,048 MB of memory in use, and at most 2g"):
        await require_memory(desk.app, ANN, "ann")
    await require_memory(desk.app, ADMIN, "ann")


async def test_downloads_waits_and_subscriptions_are_bounded(desk: Desk) -> None:
    id = await ready_sandbox(desk.app, ANN)
    folder = desk.app.downloads_dir(UUID(id)) / "1"
    folder.mkdir(parents=True)
    (folder / "0-file.txt").write_text("0123456789")
    refused = await desk.ask("POST", f"/instances/{id}/message/1/download")
    assert "of media in use" in refusal(refused)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.ask, "GET", f"/instances/{id}/wait?timeout=30")
        await until(lambda: desk.app.quotas.held("ann", Quota.WAITS) == 1)
        assert "has 1 of waits in use" in refusal(await desk.ask("GET", f"/instances/{id}/wait?timeout=1"))
        stream = await desk.ask("GET", "/events/stream")
        assert "quota_exceeded" in stream.text
        assert (await desk.ask("GET", "/quotas")).json()["quotas"]["waits"]["used"] == 1
        tasks.cancel_scope.cancel()
    await until(lambda: desk.app.quotas.held("ann", Quota.WAITS) == 0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        await _subscribe(desk, id)
    await until(lambda: desk.app.quotas.held("ann", Quota.SUBSCRIPTIONS) == 0)


async def _subscribe(desk: Desk, id: str) -> None:
    address = f"messenger://instances/{id}"
    async with over_http(f"{desk.url}/mcp", "legacy", token=desk.token) as client:
        for path in ("", "/status"):
            await client.subscribe_resource(f"{address}{path}")  # pyright: ignore[reportDeprecated] - the older era has nothing else
        with pytest.raises(MCPError, match="quota_exceeded"):
            await client.subscribe_resource(f"{address}/chats")  # pyright: ignore[reportDeprecated] - the older era has nothing else
        await client.unsubscribe_resource(f"{address}/status")  # pyright: ignore[reportDeprecated] - the older era has nothing else
        await client.subscribe_resource(f"{address}/chats")  # pyright: ignore[reportDeprecated] - the older era has nothing else


def test_limits_are_read_as_they_are_written() -> None:
    limits = parse_quotas("instances=50, memory=512m, media=any")
    assert limits == {**DEFAULTS, Quota.INSTANCES: 50, Quota.MEMORY: 512 * 2**20, Quota.MEDIA: None}
    assert [shown_most(kind, most) for kind, most in limits.items()] == ["50", "512m", "any", "1000", "100"]
    assert shown_most(Quota.MEMORY, 3 * 2**30) == "3g"
    for wrong in ("instances", "instances=few", "rooms=3", "waits=1g"):
        with pytest.raises(InvalidInput, match="MCP_MESSENGER_QUOTAS"):
            from_environment({"MCP_MESSENGER_QUOTAS": wrong})
