"""A strict webhook: signed, in time, once."""

import json

import pytest
from pydantic import SecretStr

from providers.base import WebhookRequest
from providers.events import MessageReceived
from providers.sandbox.webhook import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from tests.providers.sandbox.conftest import Sandbox

pytestmark = pytest.mark.anyio
SECRET = "not-a-real-webhook-secret"
EVENT: dict[str, object] = {"id": "evt-1", "chat_id": "ann", "text": "from outside\u202e"}


def signed(sandbox: Sandbox, event: object = EVENT, *, late: int = 0, secret: str = SECRET, method: str = "POST") -> WebhookRequest:
    body = json.dumps(event).encode()
    timestamp = str(int(sandbox.clock.now().timestamp()) - late)
    return WebhookRequest(method, {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: sign(SecretStr(secret), timestamp, body)}, {}, body)


async def test_is_answered_when_the_event_is_durable(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready(webhook_secret=SECRET)
    reply = await provider.receive_webhook(signed(sandbox))
    assert reply.status == 200
    assert [event.message.text for event in inbox.events if isinstance(event, MessageReceived)] == ["from outside"]


async def test_the_same_event_twice_is_one_message(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready(webhook_secret=SECRET)
    assert (await provider.receive_webhook(signed(sandbox))).status == 200
    assert (await provider.receive_webhook(signed(sandbox))).status == 200
    assert len([event for event in inbox.events if isinstance(event, MessageReceived)]) == 1


async def test_is_not_answered_when_the_event_was_not_taken(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready(webhook_secret=SECRET)
    inbox.refuse(100)
    with pytest.raises(ConnectionError):
        await provider.receive_webhook(signed(sandbox))
    inbox.refuse(0)
    assert (await provider.receive_webhook(signed(sandbox))).status == 200
    assert len([event for event in inbox.events if isinstance(event, MessageReceived)]) == 1


async def test_forged_late_and_early_events_are_refused(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready(webhook_secret=SECRET)
    good = signed(sandbox)
    forged = [
        signed(sandbox, secret="another"),
        signed(sandbox, late=301),
        signed(sandbox, late=-301),
        WebhookRequest("POST", good.headers, {}, good.body + b" "),
        WebhookRequest("POST", {**good.headers, SIGNATURE_HEADER: ""}, {}, good.body),
        WebhookRequest("POST", {**good.headers, SIGNATURE_HEADER: "sha256=\N{SNOWMAN}"}, {}, good.body),
        WebhookRequest("POST", {**good.headers, TIMESTAMP_HEADER: "\N{ARABIC-INDIC DIGIT ONE}"}, {}, good.body),
        WebhookRequest("POST", {**good.headers, TIMESTAMP_HEADER: "9" * 400}, {}, good.body),
    ]
    assert [(await provider.receive_webhook(request)).status for request in forged] == [403] * len(forged)
    assert not [event for event in inbox.events if isinstance(event, MessageReceived)]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ([], 400),
        ({**EVENT, "text": ""}, 400),
        ({**EVENT, "extra": 1}, 400),
        ({**EVENT, "id": "../x"}, 400),
        ({**EVENT, "chat_id": "nobody"}, 422),
        ({**EVENT, "text": "\u202e"}, 422),
        ({**EVENT, "sender_id": "bob"}, 422),
    ],
)
async def test_events_of_the_wrong_shape_are_refused_without_repeating_them(sandbox: Sandbox, event: object, status: int) -> None:
    provider, _ = await sandbox.ready(webhook_secret=SECRET)
    reply = await provider.receive_webhook(signed(sandbox, event))
    assert reply.status == status
    assert reply.body
    assert "from outside" not in reply.body


async def test_without_a_secret_a_login_or_a_post_nothing_is_taken(sandbox: Sandbox) -> None:
    provider, _ = await sandbox.ready()
    assert (await provider.receive_webhook(signed(sandbox))).status == 403
    provider, _ = await sandbox.ready(webhook_secret=SECRET)
    assert (await provider.receive_webhook(signed(sandbox, method="GET"))).status == 405
    await provider.logout()
    assert (await provider.receive_webhook(signed(sandbox))).status == 503
