"""Clients are told when a resource changed, in the way of their era, and only of what is theirs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
from mcp import Client, MCPDeprecationWarning
from mcp.shared.exceptions import MCPError
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp.shared.subscriptions import ResourceUpdated
from mcp.types import INVALID_PARAMS, JSONRPCRequest, ResourceUpdatedNotification
from pydantic import SecretStr

from db.events import EventRow
from mcp_messenger.api.mcp.full_server import whole_server
from mcp_messenger.api.mcp.resources import ROOT
from mcp_messenger.api.mcp.subscriptions import addresses
from mcp_messenger.config.timing import Timing
from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.security.caller import ADMIN, Caller
from tests.mcp_clients import call, in_memory, over_http
from tests.running import ready_sandbox, running_app, serving, until_status
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio


class Heard:
    """The addresses that an older client was told of; give `take` as its message handler."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self._more = anyio.Event()

    async def take(self, message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.addresses.append(message.params.uri)
            self._more.set()
            self._more = anyio.Event()

    async def of(self, *addresses: str) -> None:
        """Until each of them was heard of."""
        with anyio.fail_after(PATIENCE):
            while not set(addresses) <= set(self.addresses):
                await self._more.wait()


async def subscribe(client: Client, *addresses: str) -> None:
    for address in addresses:
        with pytest.warns(MCPDeprecationWarning):
            await client.subscribe_resource(address)  # pyright: ignore[reportDeprecated] - the older era has nothing else


async def events_of(subscription: Any, *addresses: str) -> None:
    """Until each of them was heard of."""
    missing = set(addresses)
    with anyio.fail_after(PATIENCE):
        while missing:
            event = await anext(subscription)
            assert isinstance(event, ResourceUpdated)
            missing.discard(event.uri)


def watched(instance: str) -> tuple[str, ...]:
    own = f"{ROOT}/{instance}"
    return f"{own}/chats", f"{own}/chats/ann/messages"


def of_state(instance: str) -> tuple[str, ...]:
    own = f"{ROOT}/{instance}"
    return ROOT, own, f"{own}/status", f"{own}/qr"


@pytest.fixture(params=["in memory", "http", "stdio"])
def way(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_a_newer_client_listens(app: App, connect: Any) -> None:
    instance = await ready_sandbox(app)
    async with connect("auto") as client:
        async with client.listen(resource_subscriptions=watched(instance)) as subscription:
            await call(client, "send_message", instance_id=instance, to="ann", message="Hello.")
            await events_of(subscription, *watched(instance))
        async with client.listen(resource_subscriptions=of_state(instance)) as subscription:
            await call(client, "stop_instance", instance_id=instance)
            await events_of(subscription, *of_state(instance))


async def test_an_older_client_subscribes(app: App, connect: Any) -> None:
    instance = await ready_sandbox(app)
    heard = Heard()
    async with connect("legacy", message_handler=heard.take) as client:
        assert client.server_capabilities.resources is not None
        assert client.server_capabilities.resources.subscribe
        await subscribe(client, *watched(instance), *of_state(instance))
        await call(client, "send_message", instance_id=instance, to="ann", message="Hello.")
        await heard.of(*watched(instance))
        assert not set(of_state(instance)) & set(heard.addresses)
        await call(client, "stop_instance", instance_id=instance)
        await heard.of(*of_state(instance))


async def test_an_older_client_unsubscribes(app: App) -> None:
    instance = await ready_sandbox(app)
    chats, messages = watched(instance)
    heard = Heard()
    async with in_memory(app, "legacy", message_handler=heard.take) as client:
        await subscribe(client, chats, messages)
        with pytest.warns(MCPDeprecationWarning):
            await client.unsubscribe_resource(chats)  # pyright: ignore[reportDeprecated]
        sent = await call(client, "send_message", instance_id=instance, to="ann", message="Hello.")
        await call(client, "wait_for_reply", instance_id=instance, message_id=sent["message_id"], timeout=20)
        await heard.of(messages)
    assert set(heard.addresses) == {messages}


@pytest.mark.parametrize("timing", [Timing(push=0.05)], ids=["short"])
async def test_a_client_that_stops_reading_keeps_nobody_waiting(app: App) -> None:
    instance = await ready_sandbox(app)
    heard = Heard()

    async def authenticate(context: Any) -> Caller:
        return ADMIN

    server, changes = whole_server(app, authenticate)
    async with create_client_server_memory_streams() as ((received, sent), (served, answered)), anyio.create_task_group() as tasks:
        tasks.start_soon(changes.run)
        tasks.start_soon(server.low.run, served, answered, server.low.create_initialization_options())
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "asleep", "version": "1"}}
        for number, (method, params) in enumerate(
            [("initialize", hello), *(("resources/subscribe", {"uri": address}) for address in watched(instance))], start=1
        ):
            await sent.send(SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=number, method=method, params=params)))
            await received.receive()
        async with Client(server, mode="legacy", message_handler=heard.take) as eager:
            await subscribe(eager, *watched(instance))
            for number in range(3):
                heard.addresses.clear()
                await call(eager, "send_message", instance_id=instance, to="ann", message=f"Hello {number}.")
                await heard.of(*watched(instance))
        tasks.cancel_scope.cancel()


def test_an_address_holds_a_chats_id_as_it_is_and_escaped() -> None:
    row = EventRow(id=1, instance_id=uuid4(), at=datetime.now(UTC), type="message", chat_id="49170@c.us", message_id=1, data={})
    own = f"{ROOT}/{row.instance_id}"
    assert addresses(row) == [f"{own}/chats", f"{own}/chats/49170%40c.us/messages", f"{own}/chats/49170@c.us/messages"]


@pytest.mark.parametrize("below", ["", "/status", "/chats", "/chats/ann/messages"])
async def test_nobody_hears_of_anothers_instance(app: App, era: str, below: str) -> None:
    mine, other = await ready_sandbox(app, Caller(user_id="ann")), await ready_sandbox(app, Caller(user_id="bob"))
    async with in_memory(app, era, caller=Caller(user_id="ann")) as client:
        for instance in (other, other.upper(), f"/{other}", "nonsense"):
            address = f"{ROOT}/{instance}{below}"
            with pytest.raises(MCPError) as refusal:
                await ask(client, era, address)
            assert refusal.value.error.code == INVALID_PARAMS
            assert refusal.value.error.message.startswith("instance_not_found: ")
            assert refusal.value.error.data == {"uri": address}
        await ask(client, era, f"{ROOT}/{mine}{below}")


async def ask(client: Client, era: str, address: str) -> None:
    if era == "legacy":
        await subscribe(client, address)
    else:
        async with client.listen(resource_subscriptions=[address]):
            pass


async def test_the_list_of_instances_changes_for_those_who_see_the_instance(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path, admin_token=SecretStr("admin-token-of-the-tests")) as app, serving(app) as url:
        mine, other = await ready_sandbox(app, Caller(user_id="ann")), await ready_sandbox(app, Caller(user_id="bob"))
        chats = f"{ROOT}/{mine}/chats"
        token = (await create_user_token(app, ADMIN, CreateToken(user_id="ann"))).token
        heard = Heard()
        async with (
            over_http(f"{url}/mcp", "auto", token=token) as newer,
            over_http(f"{url}/mcp", "legacy", token=token, message_handler=heard.take) as older,
            newer.listen(resource_subscriptions=[ROOT, chats]) as subscription,
            over_http(f"{url}/mcp", token="admin-token-of-the-tests") as admin,
        ):
            await subscribe(older, ROOT, chats)
            await call(admin, "stop_instance", instance_id=other)
            await until_status(app, other, "stopped")
            await call(admin, "send_message", instance_id=mine, to="ann", message="Hello.")
            assert await anext(aiter(subscription)) == ResourceUpdated(uri=chats)
            await heard.of(chats)
            assert ROOT not in heard.addresses
            await call(admin, "stop_instance", instance_id=mine)
            await events_of(subscription, ROOT)
            await heard.of(ROOT)
