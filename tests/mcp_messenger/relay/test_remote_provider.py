"""What a manager makes of a relay that is not there, does not know it, or is something else altogether."""

import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from mcp_messenger.instances.remote_provider import RemoteProvider, Timing
from mcp_messenger.relay import protocol
from providers.base import ProviderContext
from providers.capabilities import Capability
from providers.errors import InvalidRequest, MessengerError, Unreachable, Unsupported
from providers.events import StateChanged
from providers.models import Draft, SentMessage, TextFormat
from providers.sandbox.provider import SandboxProvider
from providers.sandbox.settings import SandboxSettings
from providers.states import InstanceState
from providers.telegram.provider import TelegramProvider
from providers.telegram.settings import TelegramSettings
from tests.mcp_messenger.relay.process import KEY, running_relay
from tests.providers.harness import Inbox
from tests.waiting import until, until_answer

pytestmark = pytest.mark.anyio

NOWHERE = "http://127.0.0.1:9"
TIMING = Timing(wait=0.2, pauses=(0.02,), ask_again=(0.01, 0.02))
SETTINGS = SandboxSettings(auto_scan=True, page=False, access_code=SecretStr("sandbox-FAKE-CODE"))
DRAFT = Draft(client_id="1", chat_id="ann", text="hello")


def remote(url: str, tls: ssl.SSLContext, folder: Path, *, key: str = KEY) -> RemoteProvider:
    async def endpoint() -> str:
        return url

    return RemoteProvider(SandboxProvider, SETTINGS, ProviderContext("inst-1", tls, folder), endpoint=endpoint, key=SecretStr(key), timing=TIMING)


class Impostor:
    """Answers every call with the same."""

    def __init__(self) -> None:
        self.answer: Callable[[], web.StreamResponse] = web.Response
        self.calls: list[tuple[str, str]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.calls.append((request.method, request.path))
        return self.answer()


@pytest.fixture
async def impostor() -> AsyncIterator[Impostor]:
    impostor = Impostor()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", impostor.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    impostor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield impostor
    await runner.cleanup()


async def in_trouble(provider: RemoteProvider) -> StateChanged:
    inbox = Inbox()
    await provider.start(inbox.deliver)
    degraded = await inbox.state(InstanceState.DEGRADED)
    assert provider.state == degraded
    return degraded


async def test_a_relay_that_is_not_there_is_a_state_and_nothing_went_out(tls: ssl.SSLContext, tmp_path: Path) -> None:
    provider = remote(NOWHERE, tls, tmp_path)
    assert "cannot be reached" in ((await in_trouble(provider)).reason or "")
    with pytest.raises(Unreachable) as caught:
        await provider.send(DRAFT)
    assert not caught.value.maybe_sent
    with pytest.raises(Unreachable):
        await provider.list_groups()
    await provider.stop()
    assert provider.state.state is InstanceState.STOPPED


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(text="<html>Welcome to another server</html>", content_type="text/html"),
        lambda: web.Response(text="{}", content_type="application/json"),
        lambda: web.json_response({"spool": 7, "events": "none", "state": None}),
        lambda: web.json_response({"result": {"id": 5}}),
        lambda: web.json_response({"error": {"code": "rate_limited"}}, status=429),
        lambda: web.json_response({"error": {"code": "unreachable", "detail": 1}}, status=502),
        lambda: web.json_response([1, 2, 3]),
        lambda: web.Response(status=502, text="Bad Gateway"),
        lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}),
        lambda: web.Response(body=b"\xff\xfe\x00garbage"),
    ],
)
async def test_garbage_is_a_state_with_a_hint_and_a_send_of_unknown_fate(
    answer: Callable[[], web.StreamResponse], impostor: Impostor, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    impostor.answer = answer
    provider = remote(impostor.url, tls, tmp_path)
    degraded = await in_trouble(provider)
    assert "Look at its" in (degraded.reason or "")
    with pytest.raises(MessengerError) as caught:
        await provider.send(DRAFT)
    assert isinstance(caught.value, Unreachable)
    assert caught.value.maybe_sent
    assert caught.value.hint
    sends = [path for _, path in impostor.calls if path == "/port/send"]
    assert 1 <= len(sends) <= 1 + len(TIMING.ask_again)
    with pytest.raises(Unreachable):
        await provider.list_groups()
    await provider.stop()


async def test_a_key_that_is_not_taken_is_a_state_and_nothing_went_out(tls: ssl.SSLContext, tmp_path: Path) -> None:
    async with running_relay("sandbox", tmp_path) as relay:
        provider = remote(relay.url, tls, tmp_path, key="mm_WRONG-KEY-OF-A-TEST-0123456789")
        degraded = await in_trouble(provider)
        assert "does not take its manager's key" in (degraded.reason or "")
        with pytest.raises(Unreachable) as caught:
            await provider.send(DRAFT)
        assert not caught.value.maybe_sent
        await provider.stop()


async def test_errors_cross_with_their_class(tls: ssl.SSLContext, tmp_path: Path) -> None:
    async with running_relay("sandbox", tmp_path) as relay:
        provider, inbox = remote(relay.url, tls, tmp_path), Inbox()
        await provider.start(inbox.deliver)
        await inbox.state(InstanceState.READY)
        sent = await provider.send(DRAFT)
        assert isinstance(sent, SentMessage)
        with pytest.raises(InvalidRequest):
            await provider.send(Draft(client_id="2", chat_id="ann", text=""))
        with pytest.raises(InvalidRequest):
            await provider.edit("ann", sent.id, "x" * 5000, TextFormat.PLAIN)
        await provider.stop()


async def test_what_the_messenger_cannot_do_is_said_without_asking(impostor: Impostor, tls: ssl.SSLContext, tmp_path: Path) -> None:
    async def endpoint() -> str:
        return impostor.url

    settings = TelegramSettings(token=SecretStr("123456789:FAKE-TOKEN"))
    provider = RemoteProvider(TelegramProvider, settings, ProviderContext("i", tls, tmp_path), endpoint=endpoint, key=SecretStr(KEY))
    with pytest.raises(Unsupported, match=f"telegram cannot do this: {Capability.GROUPS}"):
        await provider.list_groups()
    with pytest.raises(InvalidRequest, match="4097 utf16"):
        provider.check(Draft(client_id="1", chat_id="1", text="x" * 4097))
    assert impostor.calls == []
    assert "FAKE" not in f"{provider!r} {provider.state!r} {vars(provider)}"


async def test_it_follows_the_relay_to_another_port(tls: ssl.SSLContext, tmp_path: Path) -> None:
    async with running_relay("sandbox", tmp_path) as relay:
        provider = relay.remote(SETTINGS, tls)
        inbox = Inbox()
        await provider.start(inbox.deliver)
        await inbox.state(InstanceState.READY)
        before = relay.url
        await relay.kill()
        await inbox.state(InstanceState.DEGRADED)
        inbox.events.clear()
        await relay.start()
        assert relay.url != before
        await inbox.state(InstanceState.READY)
        assert (await provider.send(DRAFT)).chat_id == "ann"
        await provider.stop()


async def test_it_is_usable_at_once_where_something_came_in_while_no_manager_was_there(tls: ssl.SSLContext, tmp_path: Path) -> None:
    async with running_relay("sandbox", tmp_path) as relay, relay.http() as client:
        former, inbox = relay.remote(SETTINGS, tls), Inbox()
        await former.start(inbox.deliver)
        await inbox.state(InstanceState.READY)
        await former.detach()
        await former.send(DRAFT)
        await until_answer(lambda: client.get(protocol.EVENTS), lambda answer: "echo: hello" in answer.text)
        context = ProviderContext(relay.instance_id, tls, relay.folder / "nothing-here")
        patient = Timing(wait=protocol.LONGEST_WAIT)
        provider = RemoteProvider(SandboxProvider, SETTINGS, context, endpoint=relay.endpoint, key=SecretStr(KEY), timing=patient)
        await provider.start(inbox.deliver)
        await inbox.message("echo: hello")
        await until(lambda: provider.state.state is InstanceState.READY, within=10)
        await provider.detach()


async def test_it_gets_back_to_a_relay_whose_volume_is_new(tls: ssl.SSLContext, tmp_path: Path) -> None:
    """The numbers of the old spool mean nothing in the new one: nothing of it is confirmed unread."""
    async with running_relay("sandbox", tmp_path) as relay:
        provider = relay.remote(SETTINGS, tls)
        inbox = Inbox()
        await provider.start(inbox.deliver)
        await inbox.state(InstanceState.READY)
        for number in range(5):
            await provider.send(Draft(client_id=str(number), chat_id="ann", text=f"{number}"))
            await inbox.message(f"echo: {number}")
        await relay.kill()
        shutil.rmtree(relay.folder / "data")
        await inbox.state(InstanceState.DEGRADED)
        inbox.events.clear()
        await relay.start()
        await inbox.state(InstanceState.READY)
        await provider.send(Draft(client_id="new", chat_id="ann", text="anew"))
        await inbox.message("echo: anew")
        await provider.stop()


async def test_stopping_leaves_what_another_manager_has_started(tls: ssl.SSLContext, tmp_path: Path) -> None:
    async with running_relay("sandbox", tmp_path) as relay, relay.http() as client:
        first, second, inbox = relay.remote(SETTINGS, tls), relay.remote(SETTINGS, tls), Inbox()
        await first.start(Inbox().deliver)
        await _attached(first)
        await second.start(inbox.deliver)
        await inbox.state(InstanceState.READY)
        await first.stop()
        assert (await client.get("/health")).json()["state"] == "ready"
        await second.detach()
        assert (await client.get("/health")).json()["state"] == "ready"
        await second.start(Inbox().deliver)
        await _attached(second)
        await second.stop()
        assert (await client.get("/health")).json()["state"] == "stopped"


async def _attached(provider: RemoteProvider) -> None:
    await until(lambda: provider.state.state is InstanceState.READY, 20)
