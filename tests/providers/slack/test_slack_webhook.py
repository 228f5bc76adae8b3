"""Slack brings the events: what is signed, what is old, what comes twice."""

import asyncio
import json
import time
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr, ValidationError

from providers.base import WebhookReply, WebhookRequest
from providers.events import MessageReceived
from providers.slack.provider import SlackProvider
from providers.states import InstanceState
from tests.providers.harness import Inbox
from tests.providers.slack.conftest import Station

pytestmark = pytest.mark.anyio


async def running(station: Station) -> SlackProvider:
    return await station.ready(**station.webhook())


def received(inbox: Inbox) -> list[str]:
    return [event.message.text for event in inbox.events if isinstance(event, MessageReceived)]


def written(station: Station, text: str = "hello") -> dict[str, object]:
    """The payload that Slack makes of a message of Ann's."""
    station.slack.user_writes(station.dm, text, by=station.ann)
    return station.slack.events[-1]


async def test_is_ready_without_a_socket(station: Station) -> None:
    await running(station)
    assert station.inbox.states() == [InstanceState.STARTING, InstanceState.READY]
    assert not station.slack.calls_of("apps.connections.open")


async def test_needs_one_way_to_receive(station: Station) -> None:
    with pytest.raises(ValidationError, match="app_token"):
        station.settings(app_token=None)


async def test_keeps_all_its_secrets_secret(station: Station) -> None:
    settings = station.settings(signing_secret=SecretStr("fake-signing-secret"))
    assert settings.secret_fields() == {"bot_token", "app_token", "user_token", "signing_secret"}
    assert "fake-signing-secret" not in repr(settings)
    with pytest.raises(ValidationError) as refused:
        station.settings(bot_token="xoxb with space")
    assert "xoxb with space" not in str(refused.value)


async def test_answers_the_challenge_of_the_app_page(station: Station) -> None:
    provider = station.make(**station.webhook())
    reply = await provider.receive_webhook(station.slack.signed({"type": "url_verification", "challenge": "abc<1>", "token": "old"}))
    assert (reply.status, json.loads(reply.body)) == (200, {"challenge": "abc<1>"})


async def test_an_unsigned_challenge_is_refused(station: Station) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "abc"}).encode()
    reply = await station.make(**station.webhook()).receive_webhook(WebhookRequest("POST", {"content-type": "application/json"}, {}, body))
    assert reply.status == 401
    assert "abc" not in reply.body


async def test_says_ok_when_it_is_delivered(station: Station) -> None:
    provider = await running(station)
    assert await provider.receive_webhook(station.slack.signed(written(station))) == WebhookReply(200)
    assert received(station.inbox) == ["hello"]


def changed(request: WebhookRequest, **headers: str | None) -> WebhookRequest:
    merged = {**request.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return WebhookRequest("POST", {name: value for name, value in merged.items() if value is not None}, {}, request.body)


@pytest.mark.parametrize(
    "headers",
    [
        {"x_slack_signature": None},
        {"x_slack_signature": ""},
        {"x_slack_signature": "v0=" + "0" * 64},
        {"x_slack_signature": "v0=ö"},
        {"x_slack_request_timestamp": None},
        {"x_slack_request_timestamp": "soon"},
        {"x_slack_request_timestamp": "-1"},
        {"x_slack_request_timestamp": "٣"},
        {"x_slack_request_timestamp": str(int(time.time()) + 1)},
    ],
)
async def test_refuses_a_wrong_signature(station: Station, headers: dict[str, str | None]) -> None:
    provider = await running(station)
    request = changed(station.slack.signed(written(station)), **headers)
    assert (await provider.receive_webhook(request)).status == 401
    assert not received(station.inbox)


async def test_refuses_a_signature_with_another_secret(station: Station) -> None:
    provider = await running(station)
    body = json.dumps(written(station)).encode()
    assert (await provider.receive_webhook(station.slack.signed_body(body, "application/json", secret="another"))).status == 401


async def test_a_signature_is_over_the_body_as_it_came(station: Station) -> None:
    provider = await running(station)
    request = station.slack.signed(written(station))
    reserialised = json.dumps(json.loads(request.body), separators=(",", ":")).encode()
    assert reserialised != request.body
    assert (await provider.receive_webhook(WebhookRequest("POST", request.headers, {}, reserialised))).status == 401
    spaced = json.dumps(json.loads(request.body), indent=4).encode()
    assert (await provider.receive_webhook(station.slack.signed_body(spaced, "application/json"))).status == 200


@pytest.mark.parametrize(("age", "status"), [(290, 200), (310, 401), (-290, 200), (-310, 401), (86_400, 401)])
async def test_refuses_what_is_older_than_five_minutes(station: Station, age: int, status: int) -> None:
    provider = await running(station)
    request = station.slack.signed_body(json.dumps(written(station)).encode(), "application/json", at=time.time() - age)
    assert (await provider.receive_webhook(request)).status == status


async def test_without_a_secret_nothing_is_taken(station: Station) -> None:
    provider = await station.ready()
    assert (await provider.receive_webhook(station.slack.signed(written(station, "over the socket")))).status == 401


DEEP = b'{"event": ' + b"[" * 300 + b"]" * 300 + b"}"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"text"', b"{}", b"[" * 100_000, DEEP])
async def test_refuses_what_is_no_event(station: Station, body: bytes) -> None:
    provider = await running(station)
    assert (await provider.receive_webhook(station.slack.signed_body(body, "application/json"))).status == 400


async def test_an_event_brought_again_is_delivered_once(station: Station) -> None:
    provider = await running(station)
    payload = written(station)
    for number in ("0", "1", "2"):
        request = changed(station.slack.signed(payload), x_slack_retry_num=number, x_slack_retry_reason="http_timeout")
        assert (await provider.receive_webhook(request)).status == 200
    assert received(station.inbox) == ["hello"]


async def test_two_at_once_are_delivered_once(station: Station) -> None:
    provider = await running(station)
    request = station.slack.signed(written(station))
    replies = await asyncio.gather(provider.receive_webhook(request), provider.receive_webhook(request))
    assert [reply.status for reply in replies] == [200, 200]
    assert received(station.inbox) == ["hello"]


async def test_does_not_say_ok_for_what_could_not_be_stored_and_reads_it_back(station: Station) -> None:
    provider = await running(station)
    station.inbox.refuse(1)
    with pytest.raises(ConnectionError):
        await provider.receive_webhook(station.slack.signed(written(station, "important")))
    await station.inbox.message("important")


async def test_takes_events_in_whatever_order_they_come(station: Station) -> None:
    provider = await running(station)
    first, second = written(station, "first"), written(station, "second")
    for payload in (second, first):
        await provider.receive_webhook(station.slack.signed(payload))
    found = {event.message.text: event.message for event in station.inbox.events if isinstance(event, MessageReceived)}
    assert found["first"].at < found["second"].at


async def test_has_slack_come_again_while_it_is_not_running(station: Station) -> None:
    provider = await running(station)
    payload = written(station)
    await provider.stop()
    assert (await provider.receive_webhook(station.slack.signed(payload))).status == 503


async def test_a_pressed_button_comes_as_a_form(station: Station) -> None:
    provider = await running(station)
    button = {"type": "button", "action_id": "own", "value": "yes", "text": {"type": "plain_text", "text": "Yes please"}}
    message = station.slack.post(station.dm, {"user": "U0ROBO", "text": "Well?", "blocks": [{"type": "actions", "elements": [button]}]})
    form = urlencode({"payload": json.dumps(station.slack.press(station.dm, message["ts"], "yes", by=station.ann))}).encode()
    reply = await provider.receive_webhook(station.slack.signed_body(form, "application/x-www-form-urlencoded"))
    assert reply == WebhookReply(200)
    event = await station.inbox.message("Yes please")
    assert (event.message.chosen, event.message.reply_to) == ("yes", f"{station.dm}:{message['ts']}")
    assert event.sender is not None
    assert event.sender.id == station.ann


async def test_a_command_comes_as_a_form(station: Station) -> None:
    provider = await running(station)
    fields = {"command": "/ask", "text": "how are you?", "channel_id": station.dm, "user_id": station.ann, "user_name": "ann", "trigger_id": "1.2.f"}
    reply = await provider.receive_webhook(station.slack.signed_body(urlencode(fields).encode(), "application/x-www-form-urlencoded"))
    assert reply == WebhookReply(200)
    assert (await station.inbox.message("/ask how are you?")).message.sender_id == station.ann


async def test_a_revoked_token_shows_soon(station: Station) -> None:
    provider = await running(station)
    station.slack.revoked.add(station.slack.bot_token)
    station.slack.emit({"type": "app_uninstalled", "event_ts": station.slack.next_ts()})
    await provider.receive_webhook(station.slack.signed(station.slack.events[-1]))
    event = await station.inbox.state(InstanceState.ERROR)
    assert "token_revoked" in (event.reason or "")
