"""Users by themselves: their tokens, their keys, their usage, and nothing of another user's."""

import argparse
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.commands.tokens import tokens
from mcp_messenger.commands.usage import usage
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import TOKENS_MAX, CreateToken, create_user_token
from mcp_messenger.security.caller import ADMIN, Caller
from tests.running import ready_sandbox, running_app, serving
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio
ADMIN_TOKEN = "a-fake-admin-token-for-tests"


class Town:
    """Ann and Bob, each with an instance and a token that the administrator made."""

    def __init__(self, app: App, url: str, client: httpx.AsyncClient, tokens: dict[str, str], instances: dict[str, str]) -> None:
        self.app, self.url, self.client, self.tokens, self.instances = app, url, client, tokens, instances

    async def ask(self, token: str, method: str, path: str, body: Any = None, **query: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return await self.client.request(method, f"/api/v1{path}", headers=headers, json=body, params=query)


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with running_app(database_url, tmp_path, admin_token=SecretStr(ADMIN_TOKEN)) as app, serving(app) as url:
        users = ("ann", "bob")
        made = {user: (await create_user_token(app, ADMIN, CreateToken(user_id=user))).token for user in users}
        instances = {user: await ready_sandbox(app, Caller(user_id=user)) for user in users}
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as client:
            yield Town(app, url, client, made, instances)


async def test_a_user_makes_lists_and_revokes_their_own_tokens_and_keys(town: Town) -> None:
    ann = town.tokens["ann"]
    second = (await town.ask(ann, "POST", "/tokens", {})).json()
    assert second["user_id"] == "ann"
    assert (await town.ask(second["token"], "GET", "/instances")).json()["instances"][0]["id"] == town.instances["ann"]
    key = (await town.ask(second["token"], "POST", "/keys", {"name": "reports", "scopes": ["read"], "expires_in_days": 1})).json()
    listed = (await town.ask(ann, "GET", "/keys")).json()["keys"]
    assert {(one["kind"], one["user_id"]) for one in listed} == {("token", "ann"), ("key", "ann")}
    assert {second["id"], key["id"]} < {one["id"] for one in listed}
    assert second["token"] not in str(listed)

    assert (await town.ask(key["key"], "POST", "/tokens", {})).json()["code"] == "missing_scope"
    stands_in = (await town.ask(ann, "POST", "/keys", {"name": "half", "scopes": ["keys", "read"]})).json()["key"]
    assert (await town.ask(stands_in, "POST", "/tokens", {})).json()["code"] == "missing_scope", "nobody gets more than they have"
    own_key = (await town.ask(ann, "GET", f"/instances/{town.instances['ann']}/current-api-key")).json()["api_key"]
    assert (await town.ask(own_key, "POST", "/tokens", {})).json()["code"] == "forbidden"

    assert (await town.ask(ann, "DELETE", f"/keys/{second['id']}")).is_success
    assert (await town.ask(second["token"], "GET", "/instances")).status_code == 401
    assert (await town.ask(ann, "GET", "/instances")).is_success
    assert (await town.ask(ann, "DELETE", "/tokens/ann")).json() == {"cleared": 1}
    assert (await town.ask(ann, "GET", "/instances")).status_code == 401
    assert (await town.ask(town.tokens["bob"], "GET", "/instances")).is_success
    assert TOKENS_MAX < 100


async def test_with_another_users_token_nothing_of_it_works(town: Town) -> None:
    ann, bob, anns = town.tokens["ann"], town.tokens["bob"], f"/instances/{town.instances['ann']}"
    hook = (await town.ask(ann, "POST", f"{anns}/webhooks", {"url": "https://example.com/hook"})).json()["webhook_id"]
    await town.ask(ann, "POST", f"{anns}/send", {"to": "ann", "message": "counted"})
    calls = [
        ("GET", f"{anns}/webhooks", None),
        ("POST", f"{anns}/webhooks", {"url": "https://example.org/mine"}),
        ("PUT", f"{anns}/webhooks/{hook}", {"enabled": True, "url": "https://example.org/mine"}),
        ("DELETE", f"{anns}/webhooks/{hook}", None),
        ("POST", f"{anns}/webhook/rotate-secret", {"webhook_id": hook}),
        ("POST", f"{anns}/webhook/test", {"webhook_id": hook}),
        ("POST", f"{anns}/webhook/replay", {"webhook_id": hook, "after": "0"}),
    ]
    for method, path, body in calls:
        assert (await town.ask(bob, method, path, body)).json()["code"] == "instance_not_found", (method, path)
    assert (await town.ask(bob, "POST", "/tokens", {"user_id": "ann"})).json()["code"] == "forbidden"
    assert (await town.ask(bob, "DELETE", "/tokens/ann")).json()["code"] == "forbidden"
    token_of_ann = next(one["id"] for one in (await town.ask(ann, "GET", "/keys")).json()["keys"] if one["kind"] == "token")
    assert (await town.ask(bob, "DELETE", f"/keys/{token_of_ann}")).json()["code"] == "key_not_found"
    asked = (await town.ask(bob, "GET", "/usage", user_id="ann")).json()
    assert (asked["user_id"], sum(day["messages_out"] for day in asked["messages"])) == ("bob", 0)
    assert [one["url"] for one in (await town.ask(ann, "GET", f"{anns}/webhooks")).json()["webhooks"]] == ["https://example.com/hook"]


async def test_a_user_sees_their_usage_and_the_administrator_anybodys(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    ann = town.tokens["ann"]
    await town.ask(ann, "POST", f"/instances/{town.instances['ann']}/send", {"to": "ann", "message": "counted"})
    mine = (await town.ask(ann, "GET", "/usage")).json()
    assert mine["instances"] == {"ready": 1}
    assert sum(day["messages_out"] for day in mine["messages"]) == 1
    assert mine["quotas"]["instances"]["used"] == 1
    assert (await town.ask(ADMIN_TOKEN, "GET", "/usage", user_id="ann")).json()["instances"] == {"ready": 1}
    some = (await town.ask(ann, "POST", "/keys", {"name": "n", "scopes": ["read"], "instance_ids": [town.instances["ann"]]})).json()["key"]
    assert (await town.ask(some, "GET", "/usage")).json()["code"] == "forbidden"

    config = replace(town.app.config, admin_token=None, token=SecretStr(ann))
    await usage(config, argparse.Namespace(url=town.url, user=None, json=False))
    assert "instances  1 ready" in capsys.readouterr().out

    async def said(act: str, id: str | None = None) -> str:
        await tokens(config, argparse.Namespace(url=town.url, user=None, json=False, act=act, id=id))
        return capsys.readouterr().out

    made = (await said("create")).split()[0]
    (line,) = [line for line in (await said("list")).splitlines() if made.startswith(line.split()[2].removesuffix("…"))]
    assert await said("revoke", line.split()[0]) == "Revoked.\n"
    with pytest.raises(InvalidInput, match="No valid token"):
        await said("revoke", line.split()[0])
    assert (await town.ask(made, "GET", "/instances")).status_code == 401
