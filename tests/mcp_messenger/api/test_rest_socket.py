"""The event log over a WebSocket: the same events, cursors, keys and limits as the stream beside it."""

import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from pydantic import SecretStr

from mcp_messenger.config.quotas import Quota
from mcp_messenger.config.timing import Timing
from mcp_messenger.operations.access_keys import CreateKey, OfKey, create_key, revoke_key
from mcp_messenger.operations.application import App
from mcp_messenger.operations.removal import DeleteInstance, delete_instance
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN, Caller
from tests.postgres import execute
from tests.running import ready_sandbox, running_app
from tests.stored import rows
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio
ADMIN_TOKEN = "a-fake-admin-token-for-tests"
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg=="}
MANY = 600
"""Events of 20 kB: more than the buffers of two sockets take."""


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    async with running_app(database_url, tmp_path, admin_token=SecretStr(ADMIN_TOKEN), timing=Timing(socket_send=2.0)) as app:
        yield app


@pytest.fixture
async def session(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(url, trust_env=False) as session:
        yield session


def opened(session: aiohttp.ClientSession, token: str = ADMIN_TOKEN, **query: str) -> Any:
    return session.ws_connect("/api/v1/events/socket", params=query, headers={"Authorization": f"Bearer {token}"})


async def send(app: App, instance_id: str, text: str) -> None:
    await send_message(app, ADMIN, SendMessage.model_validate({"instance_id": instance_id, "to": "ann", "message": text}))


async def key_of(app: App, user_id: str) -> tuple[str, str]:
    made = await create_key(app, Caller(user_id=user_id), CreateKey.model_validate({"name": "of a test", "scopes": ["read"]}))
    return made.id, made.key


async def test_it_gives_what_the_log_has_from_a_cursor_on_and_goes_on_there(app: App, session: aiohttp.ClientSession) -> None:
    instance_id = await ready_sandbox(app)
    await send(app, instance_id, "one")
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    logged = (await (await session.get("/api/v1/events?limit=500", headers=headers)).json())["events"]
    async with opened(session) as events:
        got = [await events.receive_json(timeout=PATIENCE) for _ in logged]
        assert [event["id"] for event in got] == [event["id"] for event in logged]
        await send(app, instance_id, "two")
        while "two" not in str((await events.receive_json(timeout=PATIENCE)).get("message", {}).get("text")):
            pass
    async with opened(session, after=logged[1]["id"], instance_id=instance_id) as events:
        assert (await events.receive_json(timeout=PATIENCE))["id"] == logged[2]["id"]
        # It takes nothing from a client.
        await events.send_str("hello")
        while (message := await events.receive(timeout=PATIENCE)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)


@pytest.mark.parametrize(
    ("token", "query", "status", "code"),
    [
        ("a-fake-token-of-nobody", {}, 401, "unauthenticated"),
        (ADMIN_TOKEN, {"after": "999999999"}, 409, "cursor_ahead"),
        (ADMIN_TOKEN, {"after": "x"}, 422, "invalid_input"),
        (ADMIN_TOKEN, {"unheard": "of"}, 422, "invalid_input"),
        (ADMIN_TOKEN, {"instance_id": "00000000-0000-0000-0000-000000000000"}, 404, "instance_not_found"),
    ],
)
async def test_a_client_that_may_not_gets_the_problem(
    app: App, session: aiohttp.ClientSession, token: str, query: dict[str, str], status: int, code: str
) -> None:
    async with session.get("/api/v1/events/socket", params=query, headers={"Authorization": f"Bearer {token}", **UPGRADE}) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (status, code)
        assert answer.content_type == "application/problem+json"


async def test_a_page_of_another_site_cannot_open_it(app: App, session: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await session.ws_connect("/api/v1/events/socket", headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Origin": "https://evil.example"})
    assert refused.value.status == 403


async def test_a_user_sees_their_own_events_and_none_after_the_key_is_revoked(app: App, session: aiohttp.ClientSession, database_url: str) -> None:
    mine = await ready_sandbox(app, Caller(user_id="ann"))
    others = await ready_sandbox(app, Caller(user_id="bob"))
    key_id, key = await key_of(app, "ann")
    async with opened(session, key) as events:
        await send(app, others, "for bob alone")
        await send(app, mine, "for ann alone")
        seen: set[str] = set()
        while "for ann alone" not in str(seen):
            event = await events.receive_json(timeout=PATIENCE)
            seen |= {event["instance_id"], str(event.get("message", {}).get("text"))}
        assert others not in seen
        assert "for bob alone" not in seen
        began = time.monotonic()
        await revoke_key(app, ADMIN, OfKey(key_id=key_id))
        while (message := await events.receive(timeout=PATIENCE)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)
        assert time.monotonic() - began < PATIENCE
        assert "revoked" in message.extra
    assert rows(database_url, "SELECT 1 FROM access_keys WHERE revoked_at IS NULL") == []


async def test_it_ends_with_its_instance(app: App, session: aiohttp.ClientSession) -> None:
    mine, other = await ready_sandbox(app), await ready_sandbox(app)
    async with opened(session, instance_id=mine) as events:
        await events.receive_json(timeout=PATIENCE)
        await delete_instance(app, ADMIN, DeleteInstance(instance_id=mine))
        await send(app, other, "wakes the stream")
        while (message := await events.receive(timeout=PATIENCE)).type is aiohttp.WSMsgType.TEXT:
            assert "wakes the stream" not in message.data
        assert message.type is aiohttp.WSMsgType.CLOSE


async def test_of_a_client_that_reads_nothing_little_is_held_and_nobody_else_waits(app: App, url: str, database_url: str) -> None:
    instance_id = await ready_sandbox(app, Caller(user_id="ann"))
    execute(
        database_url,
        "INSERT INTO events (id, instance_id, type, data) SELECT nextval('event_numbers'), "
        f"'{instance_id}', 'notice', jsonb_build_object('text', repeat('x', 20000)) FROM generate_series(1, {MANY})",
    )
    _, key = await key_of(app, "ann")
    address = url.removeprefix("http://")
    host, _, port = address.partition(":")
    lines = ["GET /api/v1/events/socket HTTP/1.1", f"Host: {address}", *(f"{name}: {value}" for name, value in UPGRADE.items())]
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect((host, int(port)))
        lazy.sendall("\r\n".join([*lines, f"Authorization: Bearer {key}", "", ""]).encode())
        await until(lambda: app.quotas.held("ann", Quota.WAITS) == 1)
        async with aiohttp.ClientSession(url, trust_env=False) as session, opened(session) as events:
            with anyio.fail_after(PATIENCE):
                for _ in range(MANY):
                    await events.receive_json()
        # It has not taken what it was sent, and has lost its place.
        await until(lambda: app.quotas.held("ann", Quota.WAITS) == 0)
