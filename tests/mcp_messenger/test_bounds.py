"""A caller cannot make the server keep or chew more than it has room for."""

import json
import time
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from pathlib import Path

import anyio
import httpx
import pytest
from mcp.shared.exceptions import MCPError

from mcp_messenger.api.mcp.subscriptions import ADDRESS_MAX, ADDRESSES_MAX
from mcp_messenger.errors import NotReady, PayloadTooLarge
from mcp_messenger.net.byte_room import ByteRoom
from mcp_messenger.operations.application import App
from mcp_messenger.operations.lifecycle import start_instance, stop_instance
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.uploading import SendMedia, send_media
from mcp_messenger.security.caller import ADMIN
from providers.errors import InvalidRequest
from providers.kit.json import object_in
from providers.kit.json_size import NESTED_MAX, VALUES_MAX, JsonSize, oversize
from tests.mcp_clients import over_http
from tests.running import ready_sandbox, running_app, serving
from tests.standins.website import Page, website
from tests.waiting import until

LISTS = "[" + "[]," * 2_000_000 + "[]]"
DEEP = "[" * 5_000 + "]" * 5_000
TEXT = json.dumps({"a": 'brackets [[[ {{{ and , , , "quoted" \\ are text' * 20_000})


@pytest.mark.parametrize("wrong", [LISTS, DEEP, '{"a":' * 200 + "1" + "}" * 200, "[" + "1," * (VALUES_MAX + 1) + "1]"])
def test_json_that_would_hold_the_server_up_is_found_out_before_it_is_parsed(wrong: str) -> None:
    began = time.process_time()
    assert oversize(wrong)
    assert object_in(wrong.encode()) is None
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("right", [TEXT, json.dumps({"a": ["\\", '"', "[", {"b": "\\\\"}]}), "[" * NESTED_MAX + "]" * NESTED_MAX, "no JSON", ""])
@pytest.mark.parametrize("step", [1, 7, 10**9])
def test_what_stands_in_texts_is_not_counted_however_the_bytes_come(right: str, step: int) -> None:
    size, whole = JsonSize(), right[:5000].encode() if step == 1 else right.encode()
    assert all(size.add(whole[at : at + step]) is None for at in range(0, len(whole), step))
    assert size.nested() is None


def test_another_encoding_hides_nothing() -> None:
    assert oversize(json.dumps(['"', LISTS[:1000]]).encode("utf-16")) == "is not in UTF-8"


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    async with running_app(database_url, tmp_path, rate_limit=None) as app:
        yield app


def bodies(instance_id: str) -> Iterator[tuple[str, str]]:
    send = f"/api/v1/instances/{instance_id}/send"
    for extra in (LISTS, DEEP):
        arguments = f'{{"to":"ann","message":"hello","extra":{{"a":{extra}}}}}'
        yield send, arguments
        call = f'{{"name":"send_message","arguments":{{"instance_id":"{instance_id}","to":"ann","message":"hello","extra":{{"a":{extra}}}}}}}'
        yield "/mcp", f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{call}}}'
    yield send, json.dumps({"to": "ann", "message": "hello", "extra": LISTS[:200_000]})
    yield send, json.dumps({"to": "ann", "message": "hello", "extra": {"a": "x" * 200_000}})
    yield f"/webhooks/sandbox/{instance_id}", LISTS[:4_000_000]


@pytest.mark.anyio
async def test_no_way_in_takes_json_without_end(app: App) -> None:
    instance_id = await ready_sandbox(app)
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    async with serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False, headers=headers, timeout=60) as client:
        for path, body in bodies(instance_id):
            began = time.process_time()
            answer = await client.post(path, content=body)
            assert time.process_time() - began < 2.0, (path, body[:90])
            assert "invalid_input" in answer.text, (path, body[:90], answer.text[:200])
        assert (await client.get(f"/api/v1/instances/{instance_id}/messages/ann")).json()["messages"] == []
        assert (
            await client.post(f"/api/v1/instances/{instance_id}/send", content=json.dumps({"to": "ann", "message": "[" * 50_000, "split": True}))
        ).json()["message_id"]


@asynccontextmanager
async def deprecated() -> AsyncGenerator[None]:
    """The methods of the older era warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.anyio
async def test_subscriptions_are_bounded_by_count_and_bytes(app: App) -> None:
    address = f"messenger://instances/{await ready_sandbox(app)}"
    async with serving(app) as url, over_http(f"{url}/mcp", "legacy") as client, deprecated():
        with pytest.raises(MCPError, match="bytes"):
            await client.subscribe_resource(f"{address}/{'x' * ADDRESS_MAX}")  # pyright: ignore[reportDeprecated] - the older era has nothing else
        for number in range(ADDRESSES_MAX):
            await client.subscribe_resource(f"{address}/{number}")  # pyright: ignore[reportDeprecated] - the older era has nothing else
        with pytest.raises(MCPError, match="at a time"):
            await client.subscribe_resource(f"{address}/more")  # pyright: ignore[reportDeprecated] - the older era has nothing else
        await client.subscribe_resource(f"{address}/0")  # pyright: ignore[reportDeprecated] - the older era has nothing else
        await client.unsubscribe_resource(f"{address}/0")  # pyright: ignore[reportDeprecated] - the older era has nothing else
        await client.subscribe_resource(f"{address}/more")  # pyright: ignore[reportDeprecated] - the older era has nothing else


@pytest.mark.anyio
async def test_no_file_is_fetched_for_a_send_that_cannot_be(database_url: str, tmp_path: Path) -> None:
    allowed = (IPv4Network("127.0.0.0/8"),)
    async with (
        website({"/a": Page(b"x" * 3_000_000)}) as site,
        running_app(database_url, tmp_path, allowed_networks=allowed, max_upload=2**21) as app,
    ):
        instance_id = await ready_sandbox(app)
        wanted = SendMedia(instance_id=instance_id, to="ann", source=site.url("/a"))
        with pytest.raises(InvalidRequest):
            await send_media(app, ADMIN, wanted.model_copy(update={"caption": "x" * 5000}))
        await stop_instance(app, ADMIN, OfInstance(instance_id=instance_id))
        with pytest.raises(NotReady):
            await send_media(app, ADMIN, wanted)
        assert site.requests == []
        await start_instance(app, ADMIN, OfInstance(instance_id=instance_id))
        with pytest.raises(PayloadTooLarge):
            await send_media(app, ADMIN, wanted)


@pytest.mark.anyio
async def test_files_on_their_way_share_the_memory_there_is() -> None:
    room, held = ByteRoom(100), list[str]()
    async with anyio.create_task_group() as tasks, room.share() as first:
        await first.take(60)

        async def late(name: str, size: int) -> None:
            async with room.share() as share:
                await share.take(size)
                held.append(name)

        tasks.start_soon(late, "large", 10**9)
        tasks.start_soon(late, "fits", 40)
        await until(lambda: held == ["fits"])
    assert held == ["fits", "large"]
