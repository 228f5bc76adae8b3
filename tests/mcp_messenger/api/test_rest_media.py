"""A message's file over HTTP: its bytes, to be kept and never to be shown as a page of this server."""

import base64
from email.message import Message

import httpx
import pytest

from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import get_current_api_key
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.uploading import SendMedia, send_media
from mcp_messenger.security.caller import ADMIN
from tests.running import listened_for, ready_sandbox, serving_addresses

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
PAGE = b"<!doctype html><script>alert(1)</script>"


async def sent(app: App, instance_id: str, content: bytes, *, name: str) -> str:
    source = "base64:" + base64.b64encode(content).decode()
    return (await send_media(app, ADMIN, SendMedia(instance_id=instance_id, to="ann", source=source, name=name))).message_id


def name_of(answer: httpx.Response) -> tuple[str, str | None]:
    header = Message()
    header["content-disposition"] = answer.headers["content-disposition"]
    return header.get_content_disposition() or "", header.get_filename()


async def test_the_file_is_answered_as_it_is(app: App, url: str) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    message_id = await sent(app, instance_id, PNG, name="Größe.png")
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.get(f"/api/v1/instances/{instance_id}/messages/{message_id}/media")
        missing = await client.get(f"/api/v1/instances/{instance_id}/messages/{message_id}/media?index=1")
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    assert name_of(answer) == ("attachment", "Größe.png")
    assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", "no-store")
    assert (missing.status_code, missing.json()["code"]) == (422, "invalid_input")


async def test_a_page_is_no_page_of_this_server(app: App, url: str) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    message_id = await sent(app, instance_id, PAGE, name="../..\r\nX-Other: 1/a.html")
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.get(f"/api/v1/instances/{instance_id}/messages/{message_id}/media")
    assert (answer.content, answer.headers["content-type"]) == (PAGE, "application/octet-stream")
    assert name_of(answer) == ("attachment", "a.html")
    assert "sandbox" in answer.headers.get_list("content-security-policy")
    assert "x-other" not in answer.headers


async def test_each_address_gives_the_files_of_its_own_instance_alone(app: App) -> None:
    async with serving_addresses(app) as url:
        mine, other = await ready_sandbox(app, persona="human"), await ready_sandbox(app, persona="human")
        message_id = await sent(app, mine, PNG, name="a.png")
        key = (await get_current_api_key(app, ADMIN, OfInstance(instance_id=other))).api_key
        async with httpx.AsyncClient(trust_env=False) as client:
            own = await client.get(f"{await listened_for(app, mine)}/api/v1/messages/{message_id}/media")
            elsewhere = await client.get(f"{await listened_for(app, other)}/api/v1/messages/{message_id}/media")
            stranger = await client.get(f"{url}/api/v1/instances/{mine}/messages/{message_id}/media", headers={"Authorization": f"Bearer {key}"})
    assert own.content == PNG
    assert (elsewhere.json()["code"], stranger.json()["code"]) == ("message_not_found", "instance_not_found")
