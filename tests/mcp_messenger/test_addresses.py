"""Instances' own addresses: a port each, on which the server answers for that instance and nothing else."""

import random
import secrets
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import anyio.to_thread
import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.app import running
from mcp_messenger.config import Config
from mcp_messenger.instances.addresses import REMEMBER
from mcp_messenger.net.server import listening_socket
from mcp_messenger.operations import instance_answers, instances, removal, resources
from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import CreateToken, create_user_token, get_current_api_key
from mcp_messenger.operations.operation import Input, OfInstance
from mcp_messenger.security.caller import ADMIN
from tests.mcp_clients import call, over_http
from tests.program import PATIENCE, environment, program
from tests.running import listened_for, ready_sandbox, running_app, serving, serving_addresses, until_status
from tests.waiting import until

pytestmark = pytest.mark.anyio

KEY = secrets.token_hex(32)
ADMIN_TOKEN = "fake-admin-token-of-a-test"


def free_range(count: int) -> range:
    """Ports in a row that nobody uses."""
    while True:
        ports = range(begin := random.randrange(20000, 30000), begin + count)
        with suppress(OSError):
            for port in ports:
                listening_socket("127.0.0.1", port).close()
            return ports


@asynccontextmanager
async def site(database_url: str, tmp_path: Path, ports: range | None = None, **config: Any) -> AsyncGenerator[App]:
    """A server with these ports for addresses."""
    async with running_app(database_url, tmp_path, ports=ports or free_range(10), **config) as app, serving_addresses(app):
        yield app


def of(instance_id: str) -> OfInstance:
    return OfInstance(instance_id=instance_id)


async def view(app: App, instance_id: str) -> instance_answers.InstanceAnswer:
    return await instances.get_instance(app, ADMIN, of(instance_id))


async def key_of(app: App, instance_id: str) -> str:
    return (await get_current_api_key(app, ADMIN, of(instance_id))).api_key


def http(address: str, token: str | None = None) -> httpx.AsyncClient:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=address, headers=headers, trust_env=False, timeout=20)


async def test_an_address_answers_as_the_servers_own_port_does_for_that_instance(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, tmp_path) as app:
        instance_id, other = await ready_sandbox(app), await ready_sandbox(app)
        address = await listened_for(app, instance_id)
        assert (await view(app, instance_id)).address == address
        assert (await view(app, instance_id)).instance.port == httpx.URL(address).port
        async with http(address) as client:
            sent = (await client.post("/api/v1/send", json={"to": "ann", "message": "over its own address"})).json()
            assert sent["status"] in {"sent", "delivered", "read"}
            listed = (await client.get("/api/v1/messages/ann")).json()["messages"]
            assert "over its own address" in [one["text"] for one in listed]
            for path in ("/health", "/api/v1/health"):
                health = (await client.get(path)).json()
                assert (health["instance_id"], health["state"], health["running_here"]) == (instance_id, "ready", True)
        async with http(await listened_for(app, other)) as client:
            assert (await client.get("/health")).json()["instance_id"] == other
            assert "over its own address" not in (await client.get("/api/v1/messages/ann")).text


async def test_nothing_but_the_instance_is_reached_at_its_address(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, tmp_path) as app:
        instance_id, other = await ready_sandbox(app), await ready_sandbox(app, account_name="The Other One")
        async with http(await listened_for(app, instance_id)) as client:
            for path in (
                *("/api/v1/instances", f"/api/v1/instances/{other}", f"/api/v1/instances/{other}/chats", f"/api/v1/../instances/{other}/chats"),
                *("/api/v1/events", "/api/v1/tokens", "/api/v1/resources", "/metrics", "/chats", f"/webhooks/sandbox/{other}"),
                *(f"/api/v1/instances/{other}/mcp", "/api/v1", f"/api/v1/%2e%2e/{other}/chats", f"/api/v1/..%2f{other}%2fchats"),
            ):
                refused = await client.get(path)
                assert refused.status_code == 404, path
                assert refused.headers["content-type"] == "application/problem+json"
                assert refused.json()["code"] == "route_not_found"
                assert instance_id not in refused.text
                assert "the server's own address" in refused.json()["hint"]


async def test_a_new_instance_is_answered_with_its_address(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, tmp_path) as app, serving(app) as url, http(url) as client:
        created = (await client.post("/api/v1/instances", json={"provider": "sandbox"})).json()
        async with http(created["address"]) as at_address:
            assert (await at_address.get("/health")).json()["instance_id"] == created["instance_id"]


async def test_the_docs_of_an_address_are_of_its_own_calls(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, tmp_path) as app, http(await listened_for(app, await ready_sandbox(app))) as client:
        document = (await client.get("/openapi.json")).json()
        page = (await client.get("/docs")).text
        assert {"/api/v1/chats", "/api/v1/send", "/api/v1/telegram/send", "/api/v1/health"} <= document["paths"].keys()
        assert "instance_id" not in {one["name"] for calls in document["paths"].values() for call in calls.values() for one in call["parameters"]}
        assert "/api/v1/messages/{chat_id}" in page
        assert "instances/" not in page
        read = [path for path, calls in document["paths"].items() if "get" in calls and "{" not in path and path != "/api/v1/wait"]
        answers = [await client.get(path) for path in read]
        assert {answer.status_code for answer in answers} <= {200, 409, 422}


async def test_only_its_own_key_and_those_above_it_open_an_address(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, tmp_path, admin_token=SecretStr(ADMIN_TOKEN)) as app:
        instance_id, other = await ready_sandbox(app), await ready_sandbox(app)
        address = await listened_for(app, instance_id)
        token, strangers = [(await create_user_token(app, ADMIN, CreateToken(user_id=user))).token for user in ("local", "somebody-else")]
        for opens in (await key_of(app, instance_id), ADMIN_TOKEN, token):
            async with http(address, opens) as client:
                assert (await client.get("/api/v1/chats")).json()["chats"] is not None
        for refused, code in (
            *((None, "unauthenticated"), ("mm_made-up", "unauthenticated"), (await key_of(app, other), "unauthenticated")),
            (strangers, "instance_not_found"),
        ):
            async with http(address, refused) as client:
                assert (await client.get("/api/v1/chats")).json()["code"] == code
                assert (await client.post("/api/v1/send", json={"to": "ann", "message": "let me in"})).json()["code"] == code
                assert (await client.get("/health")).json()["state"] == "ready"
        async with http(address, ADMIN_TOKEN) as client:
            assert "let me in" not in (await client.get("/api/v1/messages/ann")).text


async def test_the_instances_key_is_no_owner_at_its_address(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, tmp_path) as app:
        instance_id = await ready_sandbox(app)
        async with http(await listened_for(app, instance_id), await key_of(app, instance_id)) as client:
            assert (await client.get("/api/v1/current-api-key")).json()["code"] == "forbidden"


async def test_a_stopped_instance_is_read_and_started_at_its_address(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, tmp_path) as app:
        instance_id = await ready_sandbox(app)
        async with http(await listened_for(app, instance_id)) as client:
            await client.post("/api/v1/send", json={"to": "ann", "message": "before the stop"})
            assert (await client.post("/api/v1/stop")).json()["status"] == "stopped"
            assert (await client.post("/api/v1/send/poll", json={"to": "ann", "question": "?", "options": ["a", "b"]})).json()["code"] == "not_ready"
            assert "before the stop" in (await client.get("/api/v1/messages/ann")).text
            await client.post("/api/v1/start")
            await until_status(app, instance_id, "ready")
            assert (await client.get("/health")).json()["connected"]


async def test_a_deleted_instances_port_is_closed_and_free(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, tmp_path, free_range(1)) as app:
        first = await ready_sandbox(app)
        address = await listened_for(app, first)
        second = await ready_sandbox(app)
        await until_trouble(app, second)
        answer = await view(app, second)
        assert (answer.status, answer.address, answer.instance.port) == ("ready", None, None)
        assert "is free" in str(answer.instance.address_trouble)
        await removal.delete_instance(app, ADMIN, removal.DeleteInstance(instance_id=first))
        assert await listened_for(app, second) == address
        async with http(address) as client:
            assert (await client.get("/health")).json()["instance_id"] == second
        assert (await view(app, second)).instance.address_trouble is None


async def test_a_port_that_becomes_free_in_the_middle_of_a_look_is_not_taken_for_another_programs(database_url: str, tmp_path: Path) -> None:
    ports = free_range(2)
    async with running_app(database_url, tmp_path, ports=ports) as app:
        made = {UUID(await ready_sandbox(app)) for _ in range(3)}

        async def listen(port: int, state: Mapping[str, Any]) -> Callable[[], None]:
            listener = listening_socket("127.0.0.1", port)
            if port == ports[1] and (first := next((one for one, used in app.addresses.listening.items() if used == ports[0]), None)):
                await removal.delete_instance(app, ADMIN, removal.DeleteInstance(instance_id=str(first)))
                made.remove(first)
            return listener.close

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.addresses.run, listen)
            await until(lambda: len(made) == 2 and app.addresses.listening.keys() == made, within=REMEMBER / 2)
            tasks.cancel_scope.cancel()


async def until_trouble(app: App, instance_id: str) -> None:
    async def trouble() -> str | None:
        return (await view(app, instance_id)).instance.address_trouble

    await until(trouble)


async def test_ports_are_shown_and_looked_at_again(database_url: str, tmp_path: Path) -> None:
    ports = free_range(2)
    with socket.create_server(("127.0.0.1", ports[0])) as other_program:
        async with site(database_url, tmp_path, ports) as app:
            await listened_for(app, await ready_sandbox(app))
            found = await resources.get_ports(app, ADMIN, Input())
            assert (found.used_ports, found.range, found.free) == ([ports[1]], [ports[0], ports[1]], 1)
            second = await ready_sandbox(app)
            await until_trouble(app, second)
            other_program.close()
            await resources.clear_port_cache(app, ADMIN, Input())
            assert await listened_for(app, second) == f"http://127.0.0.1:{ports[0]}"


async def test_the_port_is_the_same_after_a_restart_unless_another_program_has_taken_it(database_url: str, tmp_path: Path) -> None:
    ports = free_range(5)
    async with site(database_url, tmp_path, ports) as app:
        instance_id, other = await ready_sandbox(app), await ready_sandbox(app)
        before = [await listened_for(app, one) for one in (instance_id, other)]
    async with site(database_url, tmp_path, ports) as app:
        assert [await listened_for(app, one) for one in (instance_id, other)] == before
    with socket.create_server(("127.0.0.1", httpx.URL(before[0]).port or 0)):
        async with site(database_url, tmp_path, ports) as app:
            moved = await listened_for(app, instance_id)
            assert moved not in before
            assert await listened_for(app, other) == before[1]
            assert (await view(app, instance_id)).address == moved
    async with site(database_url, tmp_path, ports) as app:
        assert await listened_for(app, instance_id) == moved, "it was written down"


async def test_the_server_that_runs_an_instance_listens_and_another_takes_over(database_url: str, tmp_path: Path) -> None:
    ports = free_range(10)

    @asynccontextmanager
    async def server(name: str) -> AsyncGenerator[App]:
        config = Config(data_dir=tmp_path / name, database_url=SecretStr(database_url), ports=ports, secret_key=SecretStr(KEY))
        async with running(config, shares=True) as app, serving_addresses(app):
            yield app

    async with server("first") as first:
        made = [await ready_sandbox(first) for _ in range(4)]
        addresses = {one: await listened_for(first, one) for one in made}
        async with server("second") as second:
            # Each gets its share, and listens for what it runs.
            await until(lambda: len(first.supervisor.owned) == len(second.supervisor.owned) == 2)
            await until(lambda: first.addresses.listening.keys() == first.supervisor.owned.keys())
            await until(lambda: second.addresses.listening.keys() == second.supervisor.owned.keys())
            for one, address in addresses.items():
                async with http(address) as client:
                    health = (await client.get("/health")).json()
                    assert (health["instance_id"], health["running_here"]) == (one, True), "at the same port as before"
    assert first.addresses.listening == {}
    async with server("third") as third:
        await until(lambda: len(third.addresses.listening) == 4)
        assert {one: await listened_for(third, one) for one in made} == addresses


async def test_a_server_listens_for_what_a_process_without_http_runs(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path, ports=free_range(3)) as stdio:
        instance_id = await ready_sandbox(stdio)
        async with site(database_url, tmp_path) as app, http(await listened_for(app, instance_id)) as client:
            assert (await client.get("/health")).json()["running_here"] is False
            await client.post("/api/v1/send", json={"to": "ann", "message": "through the store"})
            assert "through the store" in (await client.get("/api/v1/messages/ann")).text


async def test_a_session_over_an_address_has_that_instances_tools(database_url: str, tmp_path: Path) -> None:
    async with site(database_url, tmp_path) as app:
        instance_id = await ready_sandbox(app, type_instance=("api", "mcp"))
        address = await listened_for(app, instance_id)
        for era in ("auto", "legacy"):
            async with over_http(f"{address}/mcp", era, token=await key_of(app, instance_id)) as client:
                tools = {tool.name: tool for tool in (await client.list_tools()).tools}
                assert "list_instances" not in tools
                assert "instance_id" not in tools["send_message"].input_schema["properties"]
                await call(client, "send_message", to="ann", message=f"over MCP, {era}")
        async with http(address) as client:
            assert "over MCP, auto" in (await client.get("/api/v1/messages/ann")).text
        without = await ready_sandbox(app)
        async with http(await listened_for(app, without)) as client:
            assert "type_instance" in (await client.post("/mcp", json={})).text


async def test_a_file_goes_through_an_address_as_through_the_server(database_url: str, tmp_path: Path) -> None:
    """The limit of a body is that of the call, which the path at the address does not show."""
    async with site(database_url, tmp_path) as app, http(await listened_for(app, await ready_sandbox(app))) as client:
        large = await client.post("/api/v1/send/media", json={"to": "ann", "source": "data:text/plain;base64," + "QUFB" * 1_500_000})
        assert large.json()["status"] in {"sent", "delivered", "read"}
        assert (await client.post("/api/v1/webhook/test", content=b"x" * 100_000_000)).json()["code"] == "payload_too_large"


async def test_who_listens_at_an_address_does_not_keep_the_server_from_stopping(database_url: str, tmp_path: Path) -> None:
    ports = free_range(3)
    env = environment(tmp_path / "data", database_url, MCP_MESSENGER_PORTS=f"{ports[0]}-{ports[-1]}")
    with program(["serve", "--port", "0"], env) as served:
        async with http(served.url) as client:
            made = (await client.post("/api/v1/instances", json={"provider": "sandbox", "credentials": {"auto_scan": True, "page": False}})).json()

            async def address() -> str | None:
                return (await client.get(f"/api/v1/instances/{made['instance_id']}")).json()["address"]

            found = str(await until(address))
        async with http(found) as client, http(found) as idle:
            await idle.get("/health")
            async with client.stream("GET", "/api/v1/logs?follow=true") as stream:
                lines = stream.aiter_lines()
                assert await anext(lines)
                served.process.terminate()
                # Streams of this kind are cut off, on every port.
                with suppress(httpx.RemoteProtocolError):
                    async for _ in lines:
                        pass
        assert await anyio.to_thread.run_sync(served.process.wait, PATIENCE) == 0
        assert "Traceback" not in served.log.read_text()


def test_ports_are_a_range_or_none(tmp_path: Path) -> None:
    from mcp_messenger.config.environment import from_environment
    from mcp_messenger.errors import InvalidInput

    def ports(value: str) -> range | None:
        return from_environment({"MCP_MESSENGER_PORTS": value}).ports

    assert (ports(""), ports("4100-4199"), ports("0")) == (range(4000, 6000), range(4100, 4200), None)
    for wrong in ("4000", "5000-4000", "80-90", "4000-70000", "a-b"):
        with pytest.raises(InvalidInput, match="MCP_MESSENGER_PORTS"):
            ports(wrong)
