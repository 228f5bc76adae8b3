"""Who may call MCP over HTTP, and what each sees."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.shared.exceptions import MCPError
from pydantic import SecretStr

from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.security.caller import ADMIN, Caller
from tests.mcp_clients import call, over_http, refused
from tests.running import running_app, serving, until_status

pytestmark = pytest.mark.anyio

ADMIN_TOKEN = "admin-token-of-the-tests"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@dataclass(frozen=True)
class Tenant:
    token: str
    instance: str
    key: str


async def tenant(app: App, user: str, *types: str) -> Tenant:
    """A user with a token and one instance, which is ready."""
    arguments = {"provider": "sandbox", "credentials": {"auto_scan": True, "page": False}, "type_instance": types or ("api",)}
    made = await create_instance(app, Caller(user_id=user), CreateInstance.model_validate(arguments))
    assert made.api_key is not None
    await until_status(app, made.instance_id, "ready")
    return Tenant((await create_user_token(app, ADMIN, CreateToken(user_id=user))).token, made.instance_id, made.api_key)


@pytest.fixture
async def secured(database_url: str, tmp_path: Path) -> Any:
    async with running_app(database_url, tmp_path, admin_token=SecretStr(ADMIN_TOKEN)) as app:
        yield app


@pytest.mark.parametrize("token", [None, "wrong", "mm_" + "x" * 43])
async def test_nobody_comes_in_without_a_token(secured: App, token: str | None) -> None:
    ann = await tenant(secured, "ann", "mcp")
    headers = {**ACCEPT, **({"Authorization": f"Bearer {token}"} if token else {})}
    async with serving(secured) as url, httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as http:
        for path in ("/mcp", f"/api/v1/instances/{ann.instance}/mcp"):
            for answer in (await http.post(path, json=INITIALIZE), await http.get(path), await http.delete(path)):
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["code"] == "unauthenticated"


SAMPLES = {"phone": "+15550100", "at": "in 2h", "options": ["yes", "no"], "language": "en", "name": "Mum", "invite_link": "https://x.example/y"}
"""Values of arguments that a schema does not lead to."""


def sample(schema: dict[str, Any]) -> Any:
    """Return what a schema takes, with its required parts."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            parts = schema.get("properties", {})
            return {name: SAMPLES.get(name) or sample(parts[name]) for name in schema.get("required", ())}
        case "array":
            return [sample(schema["items"])]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case _:
            return "text"


async def test_a_user_sees_what_is_theirs_in_every_tool_and_resource(secured: App, era: str) -> None:
    ann, bob = await tenant(secured, "ann"), await tenant(secured, "bob")
    async with serving(secured) as url:
        async with over_http(f"{url}/mcp", era, token=ann.token) as client:
            assert [one["id"] for one in (await call(client, "list_instances"))["instances"]] == [ann.instance]
            assert (await call(client, "get_auth_status", instance_id=ann.instance))["state"] == "ready"
            for tool in (await client.list_tools()).tools:
                if "instance_id" in tool.input_schema["properties"]:
                    needed = sample(tool.input_schema) | ({"emoji": "x"} if tool.name == "react" else {})
                    text = await refused(client, tool.name, **{**needed, "instance_id": bob.instance})
                    assert text.startswith("instance_not_found: "), (tool.name, text)
            for below in ("", "/status", "/qr", "/capabilities", "/chats", "/chats/ann/messages"):
                with pytest.raises(MCPError, match="instance_not_found"):
                    await client.read_resource(f"messenger://instances/{bob.instance}{below}")
            (listed,) = (await client.read_resource("messenger://instances")).contents
            assert bob.instance not in listed.model_dump_json()
        async with over_http(f"{url}/mcp", era, token=ADMIN_TOKEN) as client:
            assert {one["id"] for one in (await call(client, "list_instances"))["instances"]} == {ann.instance, bob.instance}


async def test_the_key_of_an_instance_sees_that_instance_alone(secured: App, era: str) -> None:
    ann = await tenant(secured, "ann")
    other = await tenant(secured, "ann")
    async with serving(secured) as url, over_http(f"{url}/mcp", era, token=ann.key) as client:
        assert [one["id"] for one in (await call(client, "list_instances"))["instances"]] == [ann.instance]
        assert (await refused(client, "get_instance", instance_id=other.instance)).startswith("instance_not_found: ")
        assert (await refused(client, "create_instance", provider="sandbox")).startswith("forbidden: ")
        assert (await refused(client, "delete_instance", instance_id=ann.instance)).startswith("forbidden: ")


async def test_an_instance_serves_its_own_mcp(secured: App, era: str) -> None:
    ann = await tenant(secured, "ann", "api", "mcp")
    async with serving(secured) as url, over_http(f"{url}/api/v1/instances/{ann.instance}/mcp", era, token=ann.key) as client:
        tools = (await client.list_tools()).tools
        assert {"send_message", "wait_for_reply", "get_messages", "get_instance"} <= {tool.name for tool in tools}
        assert not {"list_instances", "create_instance"} & {tool.name for tool in tools}
        assert not [tool.name for tool in tools if "instance_id" in tool.input_schema["properties"]]
        assert "list_instances" not in (client.instructions or "")
        assert (await call(client, "get_instance"))["instance_id"] == ann.instance
        sent = await call(client, "send_message", to="ann", message="Hello.")
        (reply,) = (await call(client, "wait_for_reply", message_id=sent["message_id"], timeout=20))["replies"]
        assert reply["text"] == "echo: Hello."
        assert (await refused(client, "get_instance", instance_id=ann.instance)).startswith("invalid_input: ")
        with pytest.raises(MCPError, match="There is no tool 'list_instances'"):
            await client.call_tool("list_instances", {})


async def test_an_instance_is_not_served_to_others(secured: App) -> None:
    ann, bob = await tenant(secured, "ann", "api", "mcp"), await tenant(secured, "bob", "api", "mcp")
    plain = await tenant(secured, "ann", "api")

    async def answer(instance: str, token: str) -> tuple[int, str]:
        response = await http.post(f"/api/v1/instances/{instance}/mcp", json=INITIALIZE, headers={"Authorization": f"Bearer {token}"})
        return response.status_code, response.json().get("code") or "ok"

    async with serving(secured) as url, httpx.AsyncClient(base_url=url, headers=ACCEPT, trust_env=False) as http:
        for token in (bob.key, bob.token, plain.key):
            assert await answer(ann.instance, token) == (404, "instance_not_found")
        assert await answer("nonsense", ann.key) == (404, "instance_not_found")
        assert await answer(plain.instance, plain.key) == (501, "not_available")


async def test_a_session_answers_only_to_who_opened_it(secured: App) -> None:
    ann, bob = await tenant(secured, "ann"), await tenant(secured, "bob")
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    async with serving(secured) as url, httpx.AsyncClient(base_url=url, headers=ACCEPT, trust_env=False) as http:
        opened = await http.post("/mcp", json=INITIALIZE, headers={"Authorization": f"Bearer {ann.token}"})
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        for token, status in ((bob.token, 404), (ADMIN_TOKEN, 404), (ann.key, 404), (ann.token, 200)):
            headers = {**session, "Authorization": f"Bearer {token}"}
            assert (await http.post("/mcp", json=ping, headers=headers)).status_code == status


async def test_a_quick_call_is_answered_as_json_and_one_that_may_report_progress_as_a_stream(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app, serving(app) as url, httpx.AsyncClient(headers=ACCEPT, trust_env=False) as http:
        ann = await tenant(app, "local")

        async def kind_of_answer(headers: dict[str, str], name: str, meta: dict[str, Any], **arguments: Any) -> str:
            body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": name, "arguments": arguments, "_meta": meta}}
            answer = await http.post(f"{url}/mcp", headers={**headers, "Mcp-Method": "tools/call", "Mcp-Name": name}, json=body)
            assert '"isError":true' not in answer.text
            assert ann.instance in answer.text or "message_id" in answer.text
            return answer.headers["content-type"].partition(";")[0]

        opened = await http.post(f"{url}/mcp", json=INITIALIZE)
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
        await http.post(f"{url}/mcp", headers=session, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        modern = {"MCP-Protocol-Version": "2026-07-28"}
        envelope = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
        sent = {"instance_id": ann.instance, "to": "ann", "message": "hello"}
        assert await kind_of_answer(session, "list_instances", {}) == "application/json"
        assert await kind_of_answer(session, "list_instances", {"progressToken": 1}) == "text/event-stream"
        assert await kind_of_answer(session, "send_message", {}, **sent) == "text/event-stream"
        assert await kind_of_answer(modern, "list_instances", envelope) == "application/json"
