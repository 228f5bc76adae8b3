"""Keys that may do only some things, at some instances, for some time; a revoked one ends what it holds open."""

import argparse
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.commands.keys import keys
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.operations.operation import Transport
from mcp_messenger.operations.table import OPERATIONS
from mcp_messenger.security.caller import ADMIN, Caller, Scope
from tests.mcp_clients import over_http
from tests.postgres import execute
from tests.running import ready_sandbox, running_app, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio

ADMIN_TOKEN = "a-fake-admin-token-for-tests"
ANN = Caller(user_id="ann")


class House:
    def __init__(self, app: App, url: str, client: httpx.AsyncClient, token: str, instances: list[str]) -> None:
        self.app, self.url, self.client, self.token, self.instances = app, url, client, token, instances

    async def ask(self, key: str, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self.client.request(method, f"/api/v1{path}", headers={"Authorization": f"Bearer {key}"}, json=body)

    async def key(self, *scopes: str, **more: Any) -> dict[str, Any]:
        made = await self.ask(self.token, "POST", "/keys", {"name": "of a test", "scopes": scopes, **more})
        return made.raise_for_status().json()


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with running_app(database_url, tmp_path, admin_token=SecretStr(ADMIN_TOKEN), toolsets=("all",)) as app, serving(app) as url:
        token = (await create_user_token(app, ADMIN, CreateToken(user_id="ann"))).token
        instances = [await ready_sandbox(app, ANN, type_instance=("api", "mcp")) for _ in range(3)]
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
            yield House(app, url, client, token, instances)


def filled(path: str, instance_id: str) -> str:
    return path.replace("{instance_id}", instance_id).replace("{", "").replace("}", "")


async def test_a_key_does_what_its_scopes_say_and_is_told_the_one_it_lacks(house: House) -> None:
    made = {scope: (await house.key(scope))["key"] for scope in Scope}
    rows = [row for row in OPERATIONS if Transport.REST in row.transports]
    all_but = {scope: (await house.key(*(other for other in Scope if other is not scope)))["key"] for scope in Scope}
    for row in rows:
        body = {} if row.method in {"POST", "PUT", "PATCH"} else None
        refused = await house.ask(all_but[row.scope], row.method, filled(row.path, house.instances[0]), body)
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope"), row.name
        assert f"lacks the scope {row.scope.value!r};" in refused.json()["detail"]
    own = f"/instances/{house.instances[0]}"
    assert (await house.ask(made[Scope.READ], "GET", f"{own}/chats")).status_code == 200
    assert (await house.ask(made[Scope.SEND], "POST", f"{own}/send", {"to": "ann", "message": "hello"})).json()["message_id"]
    async with over_http(f"{house.url}/mcp", token=made[Scope.READ]) as client:
        shown = {tool.name for tool in (await client.list_tools()).tools}
        assert shown == {row.name for row in OPERATIONS if Transport.MCP in row.transports and row.scope is Scope.READ}
        refused = await client.call_tool("send_message", {"instance_id": house.instances[0], "to": "ann", "message": "hello"})
        assert refused.is_error
        assert "missing_scope" in str(refused.content)


async def test_a_key_of_some_instances_sees_no_other(house: House) -> None:
    first, second, third = house.instances
    key = (await house.key("read", "send", "manage", "delete", instance_ids=[first, second]))["key"]
    listed = (await house.ask(key, "GET", "/instances")).json()["instances"]
    assert {one["id"] for one in listed} == {first, second}
    for row in OPERATIONS:
        if Transport.REST in row.transports and "{instance_id}" in row.path and row.scope is not Scope.KEYS and row.method == "GET":
            assert (await house.ask(key, "GET", filled(row.path, third))).status_code in {404, 422}, row.name
    events = (await house.ask(key, "GET", "/events?after=0&limit=500")).json()["events"]
    assert third not in {event["instance_id"] for event in events}
    for path in ("/people", "/multi-provider/stats", "/multi-provider/active-providers"):
        assert (await house.ask(key, "GET", path)).status_code == 403
    assert (await house.ask(key, "POST", "/instances", {"provider": "sandbox"})).status_code == 403
    caught = (await house.ask(key, "GET", "/catch-up")).text
    assert third not in caught


async def test_a_key_gives_no_more_than_it_has(house: House) -> None:
    partial = (await house.key("read", "keys"))["key"]
    assert (await house.ask(partial, "POST", "/keys", {"name": "n", "scopes": ["read"]})).status_code == 201
    assert (await house.ask(partial, "POST", "/keys", {"name": "n", "scopes": ["send"]})).json()["code"] == "forbidden"
    assert (await house.ask(partial, "POST", "/keys", {"name": "n", "scopes": ["read"], "user_id": "bob"})).json()["code"] == "forbidden"
    of_bob = await ready_sandbox(house.app, Caller(user_id="bob"))
    refused = await house.ask(house.token, "POST", "/keys", {"name": "n", "scopes": ["read"], "instance_ids": [of_bob]})
    assert refused.json()["code"] == "instance_not_found"
    bobs = (await create_user_token(house.app, ADMIN, CreateToken(user_id="bob"))).token
    shown = (await house.ask(house.token, "GET", "/keys")).json()["keys"]
    assert {key["user_id"] for key in shown} == {"ann"}
    assert (await house.ask(bobs, "DELETE", f"/keys/{shown[0]['id']}")).json()["code"] == "key_not_found"
    assert partial not in (await house.ask(house.token, "GET", "/keys")).text
    assert next(key for key in shown if key["kind"] == "key" and "keys" in key["scopes"])["last_used_at"]


async def test_a_key_that_is_revoked_or_expires_ends_what_it_holds_open(house: House, database_url: str) -> None:
    own = f"/instances/{house.instances[0]}"
    ended: list[tuple[str, float]] = []

    async def wait(key: str) -> None:
        answer = await house.ask(key, "GET", f"{own}/wait?timeout=60")
        ended.append((answer.json()["code"], anyio.current_time()))

    async def stream(key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        async with house.client.stream("GET", "/api/v1/events/stream", headers=headers) as answer:
            async for _ in answer.aiter_lines():
                pass
        ended.append(("stream", anyio.current_time()))

    made = await house.key("read")
    tokens = (await house.ask(house.token, "GET", "/keys")).json()["keys"]
    of_token = next(key for key in tokens if key["kind"] == "token")
    short = (await house.key("read", expires_in_days=0.5 / 86_400))["key"]
    assert (await house.ask(short, "GET", f"{own}/wait?timeout=60")).json()["code"] == "unauthenticated"
    began = 0.0
    async with anyio.create_task_group() as tasks:
        for key in (made["key"], house.token):
            tasks.start_soon(wait, key)
            tasks.start_soon(stream, key)
        await until(lambda: len(house.app.held) == 4)
        began = anyio.current_time()
        for table, key_id in (("access_keys", made["id"]), ("user_tokens", of_token["id"])):
            # As another server does it.
            execute(
                database_url, f"UPDATE {table} SET revoked_at = now() WHERE id = '{key_id}'", f"SELECT pg_notify('mcp_messenger_keys', '{key_id}')"
            )
    assert sorted(code for code, _ in ended) == ["stream", "stream", "unauthenticated", "unauthenticated"]
    assert max(at for _, at in ended) - began < 1.0


async def test_the_command_line_makes_lists_and_revokes_keys(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(house.app.config, admin_token=SecretStr(ADMIN_TOKEN))

    async def said(act: str, what: str | None = None, scopes: str = "read") -> str:
        given = {"url": house.url, "act": act, "what": what, "scopes": scopes, "instance": [house.instances[0][:8]], "days": 1.0, "user": None}
        given["policy"] = '{"outbound": {"links": "deny"}}'
        await keys(config, argparse.Namespace(json=False, **given))
        return capsys.readouterr().out

    made = await said("create", "for the shop")
    key, key_id = made.split()[0], made.split(" is ")[1].split(".")[0]
    assert "for the shop" in await said("list")
    assert key not in await said("list")
    assert (await house.ask(key, "GET", "/instances")).status_code == 200
    await said("revoke", key_id)
    assert (await house.ask(key, "GET", "/instances")).json()["code"] == "unauthenticated"
    assert "for the shop" not in await said("list")
    for nobody in ("zzz", key_id):
        with pytest.raises(InvalidInput) as refused:
            await said("revoke", nobody)
        assert "mcp-messenger keys list" in str(refused.value.hint)
    with pytest.raises(InvalidInput, match="no scope 'foo'") as unknown:
        await said("create", "n", "read,foo")
    assert "read, send, manage, delete, keys" in str(unknown.value.hint)


async def test_nobody_gets_a_key_that_may_more_than_theirs(house: House) -> None:
    own = f"/instances/{house.instances[0]}"
    limited = (await house.key("keys", "read"))["key"]
    for method, path in (("POST", f"{own}/api-key/rotate"), ("GET", f"{own}/current-api-key")):
        refused = await house.ask(limited, method, path)
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
        assert "mm_" not in refused.text


async def test_what_a_key_asked_for_is_its_own_and_ends_with_it(house: House) -> None:
    own = f"/instances/{house.instances[0]}"
    await house.ask(house.token, "PUT", f"{own}/policy", {"outbound": {"send_to": "nobody"}})
    made, other = await house.key("send", "read"), (await house.key("send", "read"))["key"]
    asked = await house.ask(made["key"], "POST", f"{own}/send", {"to": "eve", "message": "after the end"})
    assert asked.json()["code"] == "approval_required", asked.text
    (waiting,) = (await house.ask(made["key"], "GET", "/approvals")).json()["approvals"]
    id = waiting["approval_id"]
    assert (await house.ask(other, "GET", "/approvals")).json()["approvals"] == []
    assert (await house.ask(other, "DELETE", f"/approvals/{id}")).status_code == 404

    assert (await house.ask(house.token, "DELETE", f"/keys/{made['id']}")).is_success
    approved = (await house.ask(house.token, "POST", f"/approvals/{id}/approve")).json()["approval"]
    assert approved["status"] == "failed"
    sent = await house.app.database.value("SELECT count(*) FROM public.messages WHERE body = 'after the end'")
    assert sent == 0


async def test_a_key_narrows_the_policy_of_its_instance_and_never_widens_it(house: House) -> None:
    first, second, _ = house.instances
    policy = f"/instances/{first}/policy"
    narrow = (await house.key("read", "send", policy={"outbound": {"send_to": "list", "allow": ["ann"], "otherwise": "deny", "links": "ask"}}))["key"]
    reader = (await house.key("read", "send", policy={"preset": "read only"}))["key"]
    free = (await house.key("read", "send", policy={"preset": "no limits"}))["key"]

    async def sent(key: str, to: str = "ann", message: str = "hello", instance: str = first) -> tuple[int, str]:
        answer = await house.ask(key, "POST", f"/instances/{instance}/send", {"to": to, "message": message})
        return answer.status_code, answer.json().get("code", "")

    assert await sent(narrow) == (200, "")
    assert await sent(narrow, "bob") == (403, "policy_denied")
    assert await sent(narrow, message="see https://shop.example") == (403, "approval_required")
    # Neither the owner's trust nor another instance widens a list of the key.
    await house.ask(house.token, "PUT", policy, {"trust": ["bob"]})
    assert await sent(narrow, "bob") == (403, "policy_denied")
    assert await sent(narrow, "bob", instance=second) == (403, "policy_denied")
    assert await sent(reader) == (403, "policy_denied")
    assert await sent(free, "bob") == (200, "")
    # What the instance forbids, no key allows.
    await house.ask(house.token, "PUT", policy, {"preset": "read only"})
    assert [await sent(key) for key in (free, narrow)] == [(403, "policy_denied")] * 2
    shown = (await house.ask(narrow, "GET", policy)).json()
    assert (shown["policy"]["read_only"], shown["of_key"]["outbound"]["allow"]) == (True, ["ann"])
    for refused in ({"preset": "all"}, {"owner": {"chat_id": "ann"}}, {"outbound": {"send_too": "ann"}}, {"taint": "never"}):
        answer = await house.ask(house.token, "POST", "/keys", {"name": "x", "scopes": ["send"], "policy": refused})
        assert (answer.status_code, answer.json()["detail"].startswith("policy: ")) == (422, True), answer.text
    stands_in = {"name": "x", "scopes": ["keys"], "policy": {"read_only": True}}
    assert (await house.ask(house.token, "POST", "/keys", stands_in)).status_code == 403
