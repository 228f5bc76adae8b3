"""Sends that a model asks for at once go out in the order in which it wrote them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from mcp_messenger.operations.application import App
from tests.mcp_clients import over_http, stdio_server
from tests.running import ready_sandbox
from tests.stored import rows

pytestmark = pytest.mark.anyio

ROUNDS = 20
TEXTS = ["one", "two", "three", "four", "five"]


def initialize(version: str = "2025-06-18") -> list[dict[str, Any]]:
    client = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    return [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": client},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
    ]


def call(number: int, tool: str, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


def sent_order(database_url: str) -> list[str]:
    return [body for (body,) in rows(database_url, "SELECT body FROM messages WHERE outgoing ORDER BY id")]


async def answers(process: anyio.abc.Process) -> AsyncIterator[dict[str, Any]]:
    assert process.stdout is not None
    rest = b""
    async for chunk in process.stdout:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield json.loads(line)


async def test_over_one_stdio_session(database_url: str, tmp_path: Path) -> None:
    server = stdio_server(tmp_path / "data", database_url)
    command = [server.command, *server.args]
    async with await anyio.open_process(command, cwd=server.cwd, env=server.env, stderr=None) as process:
        assert process.stdin is not None
        heard = answers(process)

        async def ask(*messages: dict[str, Any]) -> list[dict[str, Any]]:
            """Write them in one piece; the answers to those that have an id."""
            assert process.stdin is not None
            await process.stdin.send(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
            wanted = {message["id"] for message in messages if "id" in message}
            found: list[dict[str, Any]] = []
            with anyio.fail_after(60):
                while len(found) < len(wanted):
                    answer = await anext(heard)
                    if answer.get("id") in wanted:
                        found.append(answer["result"])
            return found

        await ask(*initialize())
        credentials = {"auto_scan": True, "page": False}
        (made,) = await ask(call(1, "create_instance", provider="sandbox", credentials=credentials))
        instance_id = made["structuredContent"]["instance_id"]
        for turn in range(ROUNDS):
            calls = [
                call(10 + number, "send_message", instance_id=instance_id, to="ann", message=f"{turn} {text}") for number, text in enumerate(TEXTS)
            ]
            for answer in await ask(*calls):
                assert not answer.get("isError"), answer
        await process.stdin.aclose()
        await process.wait()
    assert sent_order(database_url) == [f"{turn} {text}" for turn in range(ROUNDS) for text in TEXTS]


def request(address: tuple[str, int], session: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    headers = {
        "Host": f"{address[0]}:{address[1]}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Mcp-Session-Id": session,
        "Content-Length": str(len(content)),
        "Connection": "close",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + content


async def test_over_one_http_session(app: App, url: str, database_url: str) -> None:
    """Each call is a request on a connection of its own, written before the one before is answered."""
    instance_id = await ready_sandbox(app)
    accept = {"Accept": "application/json, text/event-stream"}
    async with httpx.AsyncClient(base_url=url, headers=accept, trust_env=False, timeout=60) as client:
        session = (await client.post("/mcp", json=initialize()[0])).headers["mcp-session-id"]
        await client.post("/mcp", json=initialize()[1], headers={"Mcp-Session-Id": session})
    address = urlsplit(url).hostname or "", urlsplit(url).port or 0
    for turn in range(ROUNDS):
        streams = [await anyio.connect_tcp(*address) for _ in TEXTS]
        for number, (stream, text) in enumerate(zip(streams, TEXTS, strict=True)):
            asked = call(number + 10, "send_message", instance_id=instance_id, to="ann", message=f"{turn} {text}")
            await stream.send(request(address, session, asked))
        for stream in streams:
            async with stream:
                answer = b"".join([chunk async for chunk in stream])
            assert b"200 OK" in answer
            assert b'"isError":true' not in answer
    assert sent_order(database_url) == [f"{turn} {text}" for turn in range(ROUNDS) for text in TEXTS]


async def test_a_stream_that_a_client_listens_to_keeps_no_send_back(app: App, url: str) -> None:
    instance_id = await ready_sandbox(app)
    async with over_http(f"{url}/mcp") as client, client.listen(resource_subscriptions=["messenger://instances"]):
        with anyio.fail_after(20):
            answer = await client.call_tool("send_message", {"instance_id": instance_id, "to": "ann", "message": "hello"})
            assert not answer.is_error


async def test_a_call_that_fails_lets_the_next_one_come(app: App, url: str) -> None:
    instance_id = await ready_sandbox(app)
    async with over_http(f"{url}/mcp") as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "send_message", {"instance_id": instance_id, "to": "blocked", "message": "no"})
        tasks.start_soon(client.call_tool, "send_message", {"instance_id": instance_id, "to": "blocked"})
        with anyio.fail_after(20):
            answer = await client.call_tool("send_message", {"instance_id": instance_id, "to": "ann", "message": "hello"})
            assert not answer.is_error
