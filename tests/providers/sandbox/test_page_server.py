"""Who is let in to the chat page, and what it gives out."""

import logging
import re
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from providers.events import MessageReceived
from providers.models import Draft, MediaKind, Upload
from providers.sandbox.provider import SandboxProvider
from providers.sandbox.settings import SandboxSettings
from providers.states import InstanceState
from tests.providers.harness import PICTURE, Inbox
from tests.providers.sandbox.conftest import Sandbox

pytestmark = pytest.mark.anyio


class Visitor:
    def __init__(self, provider: SandboxProvider, inbox: Inbox) -> None:
        self.provider = provider
        self.inbox = inbox
        self.address = str(provider.state.reason).rpartition(" ")[2]
        self.http = httpx.AsyncClient(base_url=self.address, trust_env=False)

    async def state(self, chat_id: str) -> dict[str, object]:
        answer = await self.http.get("state", params={"chat": chat_id})
        assert answer.status_code == 200
        return answer.json()["chat"]


@pytest.fixture
async def visitor(sandbox: Sandbox) -> AsyncIterator[Visitor]:
    provider, inbox = await sandbox.ready(page=True)
    visitor = Visitor(provider, inbox)
    yield visitor
    await visitor.http.aclose()


async def test_only_the_right_token_host_and_origin_are_let_in(visitor: Visitor) -> None:
    wrong = re.sub(r"/[^/]+/$", "/not-the-token/", visitor.address)
    assert (await visitor.http.get(wrong)).status_code == 404
    assert (await visitor.http.get(f"{wrong}state")).status_code == 404
    assert (await visitor.http.get("", headers={"Host": "evil.example"})).status_code == 400
    act = {"act": "write", "chat_id": "ann", "text": "forged"}
    assert (await visitor.http.post("acts", json=act, headers={"Origin": "https://evil.example"})).status_code == 403
    assert (await visitor.http.post("acts", content=b'{"act": "link"}', headers={"Content-Type": "text/plain"})).status_code == 415
    assert (await visitor.http.get("acts")).status_code == 405
    assert not [event for event in visitor.inbox.events if isinstance(event, MessageReceived)]


async def test_the_page_runs_its_own_script_and_nothing_else(visitor: Visitor) -> None:
    answer = await visitor.http.get("")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|https?://", answer.text)


async def test_acts_of_the_wrong_shape_are_refused(visitor: Visitor) -> None:
    for act in ({"act": "explode"}, {"act": "write"}, {"act": "link", "more": 1}, []):
        assert (await visitor.http.post("acts", json=act)).status_code == 422
    assert (await visitor.http.post("acts", json={"act": "write", "chat_id": "ann", "text": "x" * 70_000})).status_code == 413
    for act in ({"act": "write", "chat_id": "nobody", "text": "x"}, {"act": "write", "chat_id": "ann"}, {"act": "add_contact", "name": " "}):
        refused = await visitor.http.post("acts", json=act)
        assert refused.status_code == 409
        assert refused.json()["detail"]


async def test_a_file_of_the_person_arrives_with_the_message(visitor: Visitor) -> None:
    kept = await visitor.http.post("files?name=dot.png", content=PICTURE.content, headers={"Content-Type": "image/png"})
    act = {"act": "write", "chat_id": "ann", "text": "look", "file": kept.json()["file"]}
    assert (await visitor.http.post("acts", json=act)).status_code == 200
    media = (await visitor.inbox.message("look")).message.media[0]
    assert (media.kind, media.mime, media.name, media.size) == (MediaKind.IMAGE, "image/png", "dot.png", len(PICTURE.content))
    assert (await visitor.provider.download(media)).content == PICTURE.content
    shown = await visitor.http.get(f"files/{media.ref}")
    assert (shown.headers["content-type"], shown.content) == ("image/png", PICTURE.content)


async def test_a_file_that_could_run_in_the_page_is_only_saved(visitor: Visitor) -> None:
    page = Upload(kind=MediaKind.DOCUMENT, content=b"<script>alert(1)</script>", mime="text/html", name='a "page"\r\n.html')
    sent = await visitor.provider.send(Draft(client_id="c-1", chat_id="ann", upload=page))
    answer = await visitor.http.get(f"files/{sent.media[0].ref}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20%22page%22%20.html"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_file_above_16_mib_is_refused(visitor: Visitor) -> None:
    before = list(visitor.provider.context.data_dir.rglob("*"))
    assert (await visitor.http.post("files", content=b"x" * (16 * 2**20 + 1))).status_code == 413
    assert list(visitor.provider.context.data_dir.rglob("*")) == before


async def test_changes_are_announced_while_they_happen(visitor: Visitor) -> None:
    async with visitor.http.stream("GET", "events") as stream:
        lines = stream.aiter_lines()
        versions = [await anext(lines) for _ in range(3)]
        assert versions[0] == "retry: 1000"
        before = int(versions[2].removeprefix("data: "))
        await visitor.provider.send(Draft(client_id="c-1", chat_id="ann", text="now"))
        assert await anext(lines) == ""
        assert int((await anext(lines)).removeprefix("data: ")) > before
        chat = await visitor.state("ann")
        assert [message["text"] for message in chat["messages"]] == ["now"]  # pyright: ignore[reportGeneralTypeIssues, reportIndexIssue]  JSON


async def test_a_stop_ends_open_streams_and_frees_the_port(visitor: Visitor) -> None:
    async with visitor.http.stream("GET", "events") as stream:
        await visitor.provider.stop()
        lines = [line async for line in stream.aiter_lines()]
        assert lines[0] == "retry: 1000"
    port = httpx.URL(visitor.address).port
    with socket.create_server(("127.0.0.1", port or 0)):
        assert visitor.provider.state.state is InstanceState.STOPPED


async def test_a_stop_right_after_the_start_frees_the_port_too(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    provider = SandboxProvider(SandboxSettings(page_port=port), sandbox.context)
    inbox = Inbox()
    await provider.start(inbox.deliver)
    kept_from_the_garbage_collector = provider._connection
    await provider.stop()
    assert kept_from_the_garbage_collector is not None
    with socket.create_server(("127.0.0.1", port)):
        assert inbox.events == []


async def test_the_token_is_not_logged(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider, inbox = await sandbox.start(page=True, auto_scan=False)
    qr = provider.state.qr
    assert qr is not None
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as client:
        caplog.clear()
        caplog.handler.addFilter(lambda record: not record.name.startswith("http"))  # the test's own client
        page = await client.get(qr.content)
        await client.post(f"{page.url}acts", json={"act": "link"})
    await inbox.state(InstanceState.READY)
    await sandbox.stop()
    assert page.url.path.strip("/") not in caplog.text
    assert qr.content.rpartition("/")[2] not in caplog.text
