"""Only what Meta signed is taken, and 200 is said only for what is stored."""

import anyio
import pytest
from pydantic import SecretStr

from providers.base import WebhookReply, WebhookRequest
from providers.events import MessageReceived
from providers.states import InstanceState
from tests.providers.meta_station import Station, pretty
from tests.standins.graph_api import WhatsAppNumber

pytestmark = pytest.mark.anyio

Numbers = Station[WhatsAppNumber]


def delivery(station: Numbers, text: str = "hello") -> dict[str, object]:
    station.account.callback = None
    station.account.writes(station.account.person(), text)
    return station.account.pending.pop()


def verification(token: str, mode: str = "subscribe") -> WebhookRequest:
    return WebhookRequest("GET", {}, {"hub.mode": mode, "hub.verify_token": token, "hub.challenge": "1158201444"}, b"")


async def test_answers_the_challenge_as_plain_text(station: Numbers) -> None:
    reply = await station.make().receive_webhook(verification(station.account.verify_token))
    assert reply == WebhookReply(200, "1158201444", "text/plain")


@pytest.mark.parametrize(("token", "mode"), [("wrong", "subscribe"), ("", "subscribe"), ("ü", "subscribe"), ("fake-verify-token", "unsubscribe")])
async def test_answers_no_challenge_of_others(station: Numbers, token: str, mode: str) -> None:
    reply = await station.make().receive_webhook(verification(token, mode))
    assert reply.status == 403
    assert "1158201444" not in reply.body


async def test_takes_what_is_signed(station: Numbers) -> None:
    provider = await station.start()
    assert (await station.bring(provider, delivery(station))).status == 200
    assert any(isinstance(event, MessageReceived) for event in station.inbox.events)


@pytest.mark.parametrize("signature", [None, "", "sha256=", "sha256=" + "0" * 64, "sha1=abc", "ö"])
async def test_refuses_a_missing_or_wrong_signature(station: Numbers, signature: str | None) -> None:
    provider = await station.ready()
    known = list(station.inbox.events)
    headers = {} if signature is None else {"x-hub-signature-256": signature}
    assert (await station.bring(provider, delivery(station), headers=headers)).status == 403
    assert station.inbox.events == known


async def test_refuses_the_signature_of_another_app(station: Numbers) -> None:
    provider = await station.start()
    body, headers = station.account.signed(delivery(station), "another-fake-secret")
    assert (await provider.receive_webhook(WebhookRequest("POST", headers, {}, body))).status == 403


async def test_the_signature_is_over_the_body_as_it_came(station: Numbers) -> None:
    provider, sent = await station.start(), delivery(station)
    assert (await station.bring(provider, sent, body=pretty(sent))).status == 403
    assert (await station.bring(provider, pretty(sent))).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"object": "page", "entry": []}',
        b'{"object": "whatsapp_business_account"}',
        b'{"object": "whatsapp_business_account", "entry": ' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"object": "whatsapp_business_account", "entry": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    ],
)
async def test_refuses_what_is_no_delivery(station: Numbers, body: bytes) -> None:
    provider = await station.start()
    assert (await station.bring(provider, body)).status == 400


@pytest.mark.parametrize(
    "entry", [[], [{}], [7], [{"id": "1", "changes": [{}]}], [{"id": "1", "changes": [{"field": "account_update", "value": {"event": "X"}}]}]]
)
async def test_what_says_nothing_is_confirmed(station: Numbers, entry: list[object]) -> None:
    provider = await station.ready()
    known = list(station.inbox.events)
    assert (await station.bring(provider, {"object": "whatsapp_business_account", "entry": entry})).status == 200
    assert station.inbox.events == known


async def test_does_not_say_200_for_what_could_not_be_stored(station: Numbers) -> None:
    provider = await station.start()
    station.inbox.refuse(1)
    with pytest.raises(ConnectionError):
        await station.bring(provider, delivery(station))


async def test_meta_comes_again_until_it_is_stored(station: Numbers) -> None:
    await station.ready()
    station.inbox.refuse(3)
    station.account.writes(station.account.person(), "important")
    await station.inbox.message("important")
    assert len(station.inbox.refused) == 3
    with anyio.fail_after(15):
        await station.graph.until(lambda: not station.account.pending)


async def test_a_replayed_delivery_is_told_with_the_same_id(station: Numbers) -> None:
    provider, sent = await station.start(), delivery(station)
    await station.bring(provider, sent)
    await station.bring(provider, sent)
    ids = [event.message.id for event in station.inbox.events if isinstance(event, MessageReceived)]
    assert len(ids) == 2
    assert len(set(ids)) == 1


async def test_has_meta_come_again_while_it_is_not_running(station: Numbers) -> None:
    provider = await station.ready()
    await provider.stop()
    assert (await station.bring(provider, delivery(station))).status == 503


async def test_without_app_secret_nothing_is_received_and_the_state_says_so(station: Numbers) -> None:
    provider = await station.start(app_secret=None)
    state = await station.inbox.state(InstanceState.DEGRADED)
    assert "app_secret" in (state.reason or "")
    assert state.account is not None
    reply = await station.bring(provider, delivery(station))
    assert reply.status == 403
    assert "app_secret" in reply.body
    sent = await provider.send(station.draft(station.account.person(), "sending works"))
    assert sent.id in station.account.messages


async def test_an_empty_signature_key_is_none(station: Numbers) -> None:
    provider = await station.start(app_secret=None)
    body, headers = station.account.signed(delivery(station), "")
    assert (await provider.receive_webhook(WebhookRequest("POST", headers, {}, body))).status == 403


async def test_keeps_its_secrets(station: Numbers) -> None:
    settings = station.settings(app_secret=SecretStr("fake-app-secret-shown-nowhere"))
    assert settings.secret_fields() == {"access_token", "app_secret", "webhook_verify_token"}
    assert "shown-nowhere" not in repr(settings)
