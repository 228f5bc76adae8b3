"""MCP over HTTP: lists from the store, against a bare server's small tool, in both eras of the protocol."""

import json
import statistics
import uuid
from typing import Any

import httpx

from tests.benchmarks.figures import Figure, at_least, interleaved
from tests.benchmarks.load import NUMBER, Load, Request, load
from tests.benchmarks.servers import product, served
from tests.benchmarks.store import fresh_store
from tests.postgres import execute

ROUNDS = 3
SECONDS = 3
CONNECTIONS = 32
HANDSHAKE, MODERN = "2025-11-25", "2026-07-28"
INSTANCE = str(uuid.UUID(int=1))
ROWS = (
    f"INSERT INTO message_instances (id, user_id, provider) VALUES ('{INSTANCE}', 'local', 'sandbox')",
    f"""INSERT INTO chats (instance_id, id, kind, title, last_at)
        SELECT '{INSTANCE}', n || '@example', 'private', 'Person ' || n, now() - make_interval(mins => n) FROM generate_series(1, 500) n""",
    "ANALYZE",
)
CHATS = 20
"""A page as it is by default."""


def headers(version: str, **more: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": version, **more}


def told(method: str) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": method})


def asked(method: str, params: dict[str, Any]) -> str:
    """With the number of the request as its id: a session knows its answers by it."""
    return f'{{"jsonrpc": "2.0", "id": {NUMBER}, "method": "{method}", "params": {json.dumps(params)}}}'


async def session(client: httpx.AsyncClient, url: str) -> str:
    """Shake hands; the id of the session."""
    about = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
    answer = await client.post(url, headers=headers(HANDSHAKE), content=asked("initialize", about).replace(NUMBER, "0"))
    id = answer.raise_for_status().headers["mcp-session-id"]
    ready = await client.post(url, headers=headers(HANDSHAKE, **{"Mcp-Session-Id": id}), content=told("notifications/initialized"))
    ready.raise_for_status()
    return id


async def requests(url: str, tool: str, **arguments: str) -> dict[str, Request]:
    """A call of the tool in each era: by as many clients as there are connections, each with its session, and without sessions."""
    async with httpx.AsyncClient() as client:
        sessions = [await session(client, url) for _ in range(CONNECTIONS)]
    call: dict[str, Any] = {"name": tool, "arguments": arguments}
    meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
    modern = headers(MODERN, **{"Mcp-Method": "tools/call", "Mcp-Name": tool})
    return {
        "session": Request(url, "POST", headers(HANDSHAKE), {"Mcp-Session-Id": sessions}, asked("tools/call", call)),
        "modern": Request(url, "POST", modern, body=asked("tools/call", {**call, "_meta": meta})),
    }


async def answer_size(request: Request) -> int:
    """Bytes; raises RuntimeError when the tool refused."""
    names, body = request.number(1)
    async with httpx.AsyncClient() as client:
        answer = await client.post(request.url, headers=names, content=body)
    if '"isError":true' in answer.text or not answer.is_success:
        raise RuntimeError(answer.text)
    return len(answer.content)


def rate(loads: list[Load]) -> float:
    return statistics.median(one.rate for one in loads)


async def measure() -> list[Figure]:
    async with fresh_store() as store:
        execute(store.url, *ROWS)
        with product(store.url) as ours, served(["tests.benchmarks.bare_mcp", "--http"]) as bare:
            calls = {
                **{f"instances {era}": request for era, request in (await requests(f"{ours.url}/mcp", "list_instances")).items()},
                **{f"chats {era}": request for era, request in (await requests(f"{ours.url}/mcp", "list_chats", instance_id=INSTANCE)).items()},
                **{f"bare {era}": request for era, request in (await requests(f"{bare.url}/mcp", "tool_0", instance_id=INSTANCE)).items()},
            }
            sizes = {name: await answer_size(request) for name, request in calls.items()}
            forms: dict[str, Any] = {
                name: lambda request=request: load(request, connections=CONNECTIONS, seconds=SECONDS) for name, request in calls.items()
            }
            for request in calls.values():
                await load(request, connections=8, seconds=1)
            found = {name: rate(loads) for name, loads in (await interleaved(ROUNDS, forms)).items()}
    figures: list[Figure] = []
    for era in ("session", "modern"):
        figures += [
            Figure(f"MCP over HTTP, {era}: list_instances", found[f"instances {era}"], "/s", found[f"bare {era}"], at_least(0.7)),
            Figure(f"MCP over HTTP, {era}: list_chats of {CHATS}", found[f"chats {era}"], "/s", found[f"bare {era}"]),
            Figure(f"MCP over HTTP, {era}: size of that answer", sizes[f"chats {era}"], "B", sizes[f"bare {era}"]),
        ]
    return figures
