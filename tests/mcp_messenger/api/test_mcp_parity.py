"""What is called over MCP and over REST is the same thing."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from mcp import Client
from mcp.types import CallToolResult

from mcp_messenger.api.http import HttpApi
from mcp_messenger.api.mcp.server import selected
from mcp_messenger.api.problem import STATUS
from mcp_messenger.config import Config
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Transport
from mcp_messenger.operations.table import BY_NAME, OPERATIONS
from tests.mcp_clients import call, over_http, text_of
from tests.running import ready_sandbox, until_status

pytestmark = pytest.mark.anyio


@dataclass
class BothFaces:
    """The same calls over MCP and over REST."""

    client: Client
    http: httpx.AsyncClient

    async def over_rest(self, name: str, arguments: dict[str, Any]) -> httpx.Response:
        row = BY_NAME[name]
        inside = {key: value for key, value in arguments.items() if f"{{{key}}}" in row.path}
        rest = {key: value for key, value in arguments.items() if key not in inside}
        with_body = row.method in {"POST", "PUT", "PATCH"}
        return await self.http.request(
            row.method, f"/api/v1{row.path.format(**inside)}", json=rest if with_body else None, params=None if with_body else rest
        )

    async def same(self, name: str, **arguments: Any) -> dict[str, Any]:
        """The answer of both."""
        response = await self.over_rest(name, arguments)
        assert response.is_success, response.text
        told = await call(self.client, name, **arguments)
        assert settled(told) == settled(BY_NAME[name].output.model_validate(response.json()).shown())
        return told

    async def same_refusal(self, code: str, name: str, **arguments: Any) -> None:
        response = await self.over_rest(name, arguments)
        problem = response.json()
        answer: CallToolResult = await self.client.call_tool(name, arguments)
        assert answer.is_error
        assert (problem["code"], problem["status"], response.status_code) == (code, STATUS[code], STATUS[code])
        text = text_of(answer)
        assert text.startswith(f"{code}: {problem['detail']}")
        assert len(text) > len(f"{code}: ")
        assert "hint" not in problem or text.endswith(problem["hint"]) or code == "invalid_input"


def settled(answer: Any, *without: str) -> Any:
    """Without what may change between two looks."""
    if isinstance(answer, list):
        return [settled(one, *without) for one in answer]
    if not isinstance(answer, dict):
        return answer
    return {key: settled(value, *without) for key, value in answer.items() if key not in {"last_activity", "updated_at", *without}}


@asynccontextmanager
async def both_faces(url: str) -> AsyncGenerator[BothFaces]:
    async with over_http(f"{url}/mcp") as client, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        yield BothFaces(client, http)


def rest_names(api: FastAPI) -> set[str]:
    return {
        route["operationId"]
        for methods in api.openapi()["paths"].values()
        for route in methods.values()
        if "operationId" in route and "__" not in route["operationId"]
    }


async def test_the_table_and_both_faces_have_the_same_names(app: App) -> None:
    routes = rest_names(HttpApi(app).api)
    in_table = {face: {row.name for row in OPERATIONS if face in row.transports} for face in Transport}
    assert in_table[Transport.REST] <= routes
    assert in_table[Transport.REST] == {row.name for row in OPERATIONS}
    tools = {row.name for row in selected(Config(data_dir=app.config.data_dir, toolsets=("all",)))}
    assert tools == in_table[Transport.MCP]


async def test_the_same_call_gets_the_same_answer(app: App, url: str) -> None:
    instance = await ready_sandbox(app)
    async with both_faces(url) as both:
        hello = {"instance_id": instance, "to": "ann", "message": "Hello.", "idempotency_key": "one"}
        sent = await call(both.client, "send_message", **hello)
        await call(both.client, "wait_for_reply", instance_id=instance, message_id=sent["message_id"], timeout=20)
        assert (await both.same("send_message", **hello))["message_id"] == sent["message_id"]
        (reply,) = (await both.same("wait_for_reply", instance_id=instance, message_id=sent["message_id"]))["replies"]
        for name in ("get_instance", "get_auth_status", "list_chats", "list_contacts", "catch_up"):
            await both.same(name, instance_id=instance)
        await both.same("list_instances")
        await both.same("get_messages", instance_id=instance, chat_id="ann", limit=1)
        await both.same("get_message", instance_id=instance, message_id=reply["id"])
        await both.same("search_messages", instance_id=instance, query="hello")
        await both.same("wait_for_messages", instance_id=instance, cursor="0")
        await both.same("check_send", instance_id=instance, to="ann", message="x" * 5000)
        await both.same("react", instance_id=instance, message_id=reply["id"], emoji="👍")
        await both.same("edit_message", instance_id=instance, message_id=sent["message_id"], message="Good day.")
        await both.same("mark_read", instance_id=instance, chat_id="ann")


async def test_what_makes_something_makes_the_same(app: App, url: str) -> None:
    async with both_faces(url) as both:
        arguments = {"provider": "sandbox", "credentials": {"auto_scan": True, "page": False}}
        response = await both.over_rest("create_instance", arguments)
        told = await call(both.client, "create_instance", **arguments)
        assert (response.status_code, response.json()["api_key"][:3]) == (201, "mm_")
        made = BY_NAME["create_instance"].output.model_validate(response.json()).shown()
        assert settled(made, "id", "instance_id", "created_at") == settled(told, "id", "instance_id", "created_at")
        for one in (made, told):
            await until_status(app, one["instance_id"], "ready")
        instances = (await both.same("list_instances"))["instances"]
        assert {one["id"] for one in instances} == {made["instance_id"], told["instance_id"]}
        for one in instances:
            assert await call(both.client, "delete_instance", instance_id=one["id"]) == {}
        assert await both.same("list_instances") == {"instances": []}


async def test_the_same_wrong_call_gets_the_same_refusal(app: App, url: str) -> None:
    instance = await ready_sandbox(app)
    async with both_faces(url) as both:
        await both.same_refusal("instance_not_found", "get_instance", instance_id="nonsense")
        await both.same_refusal("chat_not_found", "get_messages", instance_id=instance, chat_id="nobody")
        await both.same_refusal("message_not_found", "get_message", instance_id=instance, message_id="999")
        await both.same_refusal("not_ready", "get_qr", instance_id=instance)
        await both.same_refusal("not_found", "send_message", instance_id=instance, to="nobody", message="x")
        await both.same_refusal("forbidden", "send_message", instance_id=instance, to="blocked", message="x")
        await both.same_refusal("window_closed", "send_message", instance_id=instance, to="window-closed", message="x")
        await both.same_refusal("invalid_request", "send_message", instance_id=instance, to="ann", message="x" * 5000)
        await both.same_refusal("fetch_refused", "send_media", instance_id=instance, to="ann", source="http://127.0.0.1:9/x.png")
        await both.same_refusal("not_available", "create_instance", provider="sandbox", runtime="swarm")
        await both.same_refusal("invalid_input", "create_instance", provider="pigeon")
        await both.same_refusal("invalid_input", "list_chats", instance_id=instance, cursor="nonsense")
        await call(both.client, "send_message", instance_id=instance, to="ann", message="x", idempotency_key="one")
        await both.same_refusal("idempotency_conflict", "send_message", instance_id=instance, to="ann", message="y", idempotency_key="one")
