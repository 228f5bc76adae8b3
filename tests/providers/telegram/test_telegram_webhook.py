"""Telegram brings the updates."""

import json

import pytest
from aiohttp import web
from pydantic import SecretStr, ValidationError

from providers.base import WebhookReply, WebhookRequest
from providers.events import MessageReceived, StateChanged
from providers.states import InstanceState
from providers.telegram.inbound import ALLOWED_UPDATES
from providers.telegram.provider import TelegramProvider
from tests.providers.telegram.conftest import Station
from tests.standins.telegram_bot_api import StandInBot

pytestmark = pytest.mark.anyio

PUBLIC = "https://messenger.example"


def carry(bot: StandInBot, **changes: object) -> WebhookRequest:
    """The call that Telegram would make for the next update."""
    assert bot.webhook is not None
    headers = {"content-type": "application/json", "x-telegram-bot-api-secret-token": bot.webhook.secret or ""}
    return WebhookRequest(**{"method": "POST", "headers": headers, "query": {}, "body": json.dumps(bot.pending[0]).encode(), **changes})  # pyright: ignore[reportArgumentType]  a test changes single fields


async def test_tells_telegram_where_to_bring_updates(station: Station) -> None:
    await station.ready(PUBLIC, mode="webhook")
    hook = station.bot.webhook
    assert hook is not None
    assert hook.url == f"{PUBLIC}/webhooks/telegram/inst-1"
    assert station.bot.allowed_updates == set(ALLOWED_UPDATES)
    assert station.inbox.states() == [InstanceState.STARTING, InstanceState.READY]


async def test_makes_the_same_secret_from_the_same_token(station: Station) -> None:
    first, again = station.settings().secret_for_webhook(), station.settings().secret_for_webhook()
    assert first == again
    assert first != station.settings(token=SecretStr("2:ANOTHER")).secret_for_webhook()
    await station.ready(PUBLIC, mode="webhook")
    assert station.bot.webhook is not None
    assert station.bot.webhook.secret == first


async def test_keeps_both_secrets_secret(station: Station) -> None:
    settings = station.settings(webhook_secret=SecretStr("Mine-1_2"))
    assert settings.secret_fields() == {"token", "webhook_secret"}
    assert station.bot.token not in repr(settings)
    with pytest.raises(ValidationError) as refused:
        station.settings(tokn=station.bot.token, webhook_secret="not taken!")
    assert station.bot.token not in str(refused.value)
    assert "not taken!" not in str(refused.value)


@pytest.mark.parametrize("url", ["", "api.telegram.org", "ftp://example.org", "https://", "https://user:secret@example.org", "https://x?y"])
async def test_takes_only_addresses_of_the_web(station: Station, url: str) -> None:
    with pytest.raises(ValidationError, match="base_url"):
        station.settings(base_url=url)


async def test_takes_a_secret_of_its_owner(station: Station) -> None:
    await station.ready(PUBLIC, mode="webhook", webhook_secret=SecretStr("Mine-1_2"))
    assert station.bot.webhook is not None
    assert station.bot.webhook.secret == "Mine-1_2"


@pytest.mark.parametrize("secret", ["", "with space", "ü", "x" * 257])
async def test_refuses_a_secret_that_telegram_refuses(station: Station, secret: str) -> None:
    with pytest.raises(ValidationError, match="1 to 256 characters"):
        station.settings(webhook_secret=SecretStr(secret))


async def test_needs_a_public_url(station: Station) -> None:
    provider = await station.start(mode="webhook")
    event = await station.inbox.state(InstanceState.ERROR)
    assert "public URL" in (event.reason or "")
    assert provider.state == event
    assert station.bot.calls == []


async def test_tells_why_telegram_refuses_the_url(station: Station) -> None:
    await station.start("http://messenger.example", mode="webhook")
    event = await station.inbox.state(InstanceState.ERROR)
    assert "https url must be provided for webhook" in (event.reason or "").casefold()


async def test_delivers_what_telegram_brings_and_then_says_ok(station: Station) -> None:
    provider = await station.ready(PUBLIC, mode="webhook")
    station.bot.user_writes(station.bot.person(), "hello")
    assert await provider.receive_webhook(carry(station.bot)) == WebhookReply(200)
    assert any(isinstance(event, MessageReceived) and event.message.text == "hello" for event in station.inbox.events)


@pytest.mark.parametrize("secret", [None, "", "wrong", "ö"])
async def test_refuses_a_wrong_secret(station: Station, secret: str | None) -> None:
    provider = await station.ready(PUBLIC, mode="webhook")
    station.bot.user_writes(station.bot.person(), "forged")
    headers = {} if secret is None else {"x-telegram-bot-api-secret-token": secret}
    known = list(station.inbox.events)
    assert (await provider.receive_webhook(carry(station.bot, headers=headers))).status == 401
    assert station.inbox.events == known


DEEP = b'{"update_id": ' + b"[" * 300 + b"]" * 300 + b"}"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"text"', b"{}", DEEP, b"[" * 200_000])
async def test_refuses_what_is_no_update(station: Station, body: bytes) -> None:
    provider = await station.ready(PUBLIC, mode="webhook")
    station.bot.user_writes(station.bot.person(), "hello")
    assert (await provider.receive_webhook(carry(station.bot, body=body))).status == 400


async def test_does_not_say_ok_for_what_could_not_be_stored(station: Station) -> None:
    provider = await station.ready(PUBLIC, mode="webhook")
    station.bot.user_writes(station.bot.person(), "important")
    station.inbox.refuse(1)
    with pytest.raises(ConnectionError):
        await provider.receive_webhook(carry(station.bot))


async def test_has_telegram_come_again_while_it_is_not_running(station: Station) -> None:
    provider = await station.ready(PUBLIC, mode="webhook")
    station.bot.user_writes(station.bot.person(), "hello")
    await provider.stop()
    assert (await provider.receive_webhook(carry(station.bot))).status == 503


async def test_a_pressed_button_is_answered(station: Station) -> None:
    provider = await station.ready(PUBLIC, mode="webhook")
    ann = station.bot.person()
    press = station.bot.user_presses(station.bot.compose(ann, text="Pick one"), "yes", by=ann)
    await provider.receive_webhook(carry(station.bot))
    assert station.bot.answered == [press]


async def test_tells_when_the_webhook_was_changed_elsewhere(station: Station) -> None:
    await station.ready(PUBLIC, mode="webhook")
    station.bot.webhook = None
    event = await station.inbox.state(InstanceState.DEGRADED)
    assert "changed elsewhere" in (event.reason or "")


async def serve(provider: TelegramProvider, port: int = 0) -> tuple[web.AppRunner, int]:
    """The REST face, as far as Telegram sees it."""

    async def receive(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = await provider.receive_webhook(WebhookRequest(request.method, headers, dict(request.query), await request.read()))
        return web.Response(status=reply.status, text=reply.body)

    app = web.Application()
    app.router.add_post("/webhooks/telegram/inst-1", receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner, runner.addresses[0][1]


async def test_tells_that_telegram_cannot_deliver_and_recovers(station: Station) -> None:
    closed, port = await serve(station.make())
    await closed.cleanup()
    provider = await station.ready(f"http://127.0.0.1:{port}", mode="webhook")
    station.bot.user_writes(station.bot.person(), "over the wire")
    event = await station.inbox.state(InstanceState.DEGRADED)
    assert "Connection refused" in (event.reason or "")
    runner, _ = await serve(provider, port)
    await station.inbox.message("over the wire")
    await station.inbox.wait(StateChanged, lambda _: station.inbox.states()[-1] is InstanceState.READY)
    await runner.cleanup()
