"""Several webhooks of one account: each with its own events, secret, order, retries, deliveries and pause."""

import typing
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from db import webhooks
from mcp_messenger.config.timing import Timing
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.delivery.payload import Payload
from mcp_messenger.delivery.webhook_config import EVENT_NAMES
from mcp_messenger.delivery.webhooks import BREAKER
from mcp_messenger.operations.application import App
from providers.events import ChatClosed, Event, NoticeReceived, PollVoted, StopRequested
from providers.models import MessageKind
from tests.postgres import execute
from tests.receiver import Answer, Receiver, receiver
from tests.running import running_app, serving
from tests.stored import NOON, received, rows
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio

LOOPBACK = (IPv4Network("127.0.0.0/8"),)
WOKEN = Timing(idle=2 * PATIENCE)
"""Deliveries are woken: nothing is found by looking from time to time."""
STOPPED = "INSERT INTO message_instances (id, user_id, provider, desired) VALUES ('{}', 'local', 'sandbox', 'stopped')"
NEW_KINDS = {"poll_vote", "chat_closed", "notice", "stop_requested"}


@dataclass
class Desk:
    """An instance that nobody runs; what its platform tells is delivered by hand."""

    app: App
    url: str
    instance_id: str
    http: httpx.AsyncClient
    first: Receiver
    second: Receiver

    async def add(self, to: Receiver, **config: Any) -> dict[str, Any]:
        made = await self.http.post("/webhooks", json={"url": to.url} | config)
        assert made.status_code == 201, made.text
        return made.json()

    async def deliver(self, *events: Event) -> None:
        await self.app.inbound.deliver(Source(UUID(self.instance_id), None), events)

    async def deliveries(self, **query: str) -> list[tuple[str, str]]:
        found = (await self.http.get("/deliveries", params=query)).raise_for_status().json()["deliveries"]
        return [(one["target"], one["status"]) for one in reversed(found)]

    def hasten(self) -> None:
        """What time would do: retries are due, and a pause is over."""
        execute(
            self.url,
            "UPDATE deliveries SET run_at = now() WHERE status = 'pending'",
            "UPDATE delivery_endpoints SET paused_until = now() - interval '1 second'",
        )
        self.app.webhooks.wake()


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with receiver() as first, receiver() as second, running_app(database_url, tmp_path, allowed_networks=LOOPBACK, timing=WOKEN) as app:
        instance_id = str(uuid4())
        execute(database_url, STOPPED.format(instance_id))
        async with (
            serving(app) as url,
            httpx.AsyncClient(base_url=f"{url}/api/v1/instances/{instance_id}", trust_env=False, timeout=PATIENCE) as http,
        ):
            yield Desk(app, database_url, instance_id, http, first, second)


def told(events: Receiver) -> list[str]:
    return [one.payload["type"] for one in events.posted]


async def test_each_webhook_gets_the_events_it_chose_signed_with_its_own_secret(desk: Desk) -> None:
    await desk.deliver(received("m0", "before there was any"))
    one = (await desk.http.put("/webhook", json={"enabled": True, "url": desk.first.url})).json()
    two = await desk.add(desk.second, events=sorted(NEW_KINDS))
    assert (two["webhook_id"], two["enabled"], two["secret"].startswith("whsec_")) == ("2", True, True)
    assert one["secret"] != two["secret"]
    listed = (await desk.http.get("/webhooks")).json()["webhooks"]
    assert [(hook["webhook_id"], hook["url"], hook["secret"]) for hook in listed] == [("1", desk.first.url, None), ("2", desk.second.url, None)]

    await desk.deliver(received("m1", "a question", kind=MessageKind.POLL))
    await desk.deliver(
        PollVoted(chat_id="bob", message_id="m1", sender_id="ann", sender_name="Ann", options=("yes",), at=NOON),
        ChatClosed(chat_id="bob", reason="blocked us", at=NOON),
        ChatClosed(chat_id="bob", reason=None, at=NOON),
        StopRequested(chat_id="bob", sender_id="ann", at=NOON),
        NoticeReceived(code="limit", text="Slow down", at=NOON),
    )
    kinds = ["poll_vote", "chat_closed", "chat_closed", "stop_requested", "notice"]
    await until(lambda: sorted(told(desk.second)) == sorted(kinds))
    await until(lambda: len(told(desk.first)) == 1 + len(kinds))
    by_kind = {posted.payload["type"]: posted.payload["data"] for posted in reversed(desk.second.posted)}
    assert by_kind["poll_vote"]["vote"] == {"sender_id": "ann", "sender_name": "Ann", "options": ["yes"]}
    assert by_kind["notice"]["notice"] == {"code": "limit", "text": "Slow down", "is_error": True}
    assert by_kind["stop_requested"]["stop"] == {"sender_id": "ann"}
    closed = [posted.payload["data"].get("closed") for posted in desk.second.posted if posted.payload["type"] == "chat_closed"]
    assert closed == ["blocked us", None]
    for posted in desk.second.posted:
        posted.verify(two["secret"])
    for posted in desk.first.posted:
        posted.verify(one["secret"])

    rotated = (await desk.http.post("/webhook/rotate-secret", json={"webhook_id": "2"})).json()["secret"]
    assert (await desk.http.post("/webhook/test", json={"webhook_id": "2"})).json()["delivered"]
    desk.second.posted[-1].verify(rotated)
    desk.second.posted[-1].verify(two["secret"])
    assert len(desk.first.posted) == 1 + len(kinds)


async def test_one_that_fails_holds_up_no_other_and_is_tried_by_itself(desk: Desk) -> None:
    await desk.http.put("/webhook", json={"enabled": True, "url": desk.first.url, "events": ["message"]})
    await desk.add(desk.second, events=["message"])
    desk.second.usual = Answer(status=500)
    await desk.deliver(received("m1", "1"))
    await until(lambda: desk.first.texts == ["1"] and desk.second.texts == ["1"])
    await desk.deliver(received("m2", "2"))
    await until(lambda: desk.first.texts == ["1", "2"])
    assert desk.second.texts == ["1"], "the later event of the chat overtook the earlier one"
    settled = "SELECT 1 FROM deliveries WHERE target = 'webhook:2' AND lease_until IS NULL AND attempts = {}"
    for count in range(2, BREAKER + 1):
        await until(lambda count=count: bool(rows(desk.url, settled.format(count - 1))))
        desk.hasten()
        await until(lambda count=count: len(desk.second.posted) == count)

    async def fares() -> dict[str, Any]:
        return (await desk.http.get("/webhooks")).json()["webhooks"][1]

    await until(lambda: bool(rows(desk.url, "SELECT 1 FROM delivery_endpoints WHERE target = 'webhook:2' AND paused_until IS NOT NULL")))
    assert ((await fares())["failures"], (await fares())["paused_until"] is not None) == (BREAKER, True)
    assert await desk.deliveries(webhook_id="2") == [("webhook:2", "pending"), ("webhook:2", "pending")]
    assert await desk.deliveries(webhook_id="1") == [("webhook", "done"), ("webhook", "done")]
    desk.second.usual = Answer()
    desk.hasten()
    await until(lambda: desk.second.texts[-2:] == ["1", "2"])
    await until(lambda: not rows(desk.url, "SELECT 1 FROM delivery_endpoints"))

    replayed = await desk.http.post("/webhook/replay", json={"webhook_id": "2", "after": "0"})
    assert replayed.json()["events"] >= 2
    await until(lambda: desk.second.texts[-2:] == ["1", "2"] and len(desk.second.posted) == BREAKER + 4)
    assert desk.first.texts == ["1", "2"]


async def test_events_that_a_former_version_logs_reach_further_webhooks(desk: Desk) -> None:
    """It writes the event with the delivery to webhook 1, and knows of no other."""
    await desk.add(desk.second, events=["message", "state"])
    execute(
        desk.url,
        "INSERT INTO events (id, instance_id, type, data) "
        f"VALUES (nextval('event_numbers'), '{desk.instance_id}', 'state', '{{\"status\": \"ready\"}}')",
    )
    desk.app.webhooks.wake()
    await until(lambda: told(desk.second) == ["state"])
    # A former version deletes the instance without its further webhooks.
    execute(desk.url, f"DELETE FROM message_instances WHERE id = '{desk.instance_id}'")
    await desk.app.webhooks._tidy()
    assert rows(desk.url, "SELECT 1 FROM webhooks") == []


async def test_a_webhook_that_was_off_gets_nothing_of_that_time_and_one_that_is_gone_nothing_more(desk: Desk) -> None:
    two = await desk.add(desk.second, events=["message"])
    secret = two["secret"]
    await desk.http.put("/webhooks/2", json={"enabled": False, "url": desk.second.url})
    await desk.deliver(received("m1", "off"))
    on = await desk.http.put("/webhooks/2", json={"enabled": True, "url": desk.second.url, "events": ["message"]})
    assert (on.json()["enabled"], on.json()["secret"]) == (True, None)
    await desk.deliver(received("m2", "on"))
    await until(lambda: desk.second.texts == ["on"])
    desk.second.posted[0].verify(secret)
    desk.second.usual = Answer(status=500)
    await desk.deliver(received("m3", "waits"))
    await until(lambda: len(desk.second.posted) == 2)
    assert (await desk.http.delete("/webhooks/2")).status_code == 200
    assert await desk.deliveries() == []
    assert rows(desk.url, "SELECT field FROM instance_secrets WHERE starts_with(field, 'webhook_')") == []
    assert (await desk.http.delete("/webhooks/2")).json()["code"] == "webhook_not_found"
    assert (await desk.http.put("/webhooks/2", json={"enabled": True, "url": desk.second.url})).json()["code"] == "webhook_not_found"

    ids = [(await desk.add(desk.second))["webhook_id"] for _ in webhooks.NUMBERS]
    assert ids == [str(number) for number in webhooks.NUMBERS]
    full = await desk.http.post("/webhooks", json={"url": desk.second.url})
    assert (full.status_code, full.json()["code"]) == (409, "conflict")
    await desk.http.put("/webhook", json={"enabled": True, "url": desk.first.url})
    assert (await desk.http.delete("/webhooks/1")).status_code == 200
    assert (await desk.http.get("/webhook")).json()["enabled"] is False


async def test_secrets_of_a_further_webhook_are_masked_kept_and_do_not_follow_it_elsewhere(desk: Desk) -> None:
    await desk.add(desk.second, headers={"x-fake": "a-fake-value"}, url=desk.second.url + "?token=a-fake-token-1234567890")
    listed = (await desk.http.get("/webhooks")).json()["webhooks"][0]
    assert ("a-fake-token" in listed["url"], listed["headers"]) == (False, ["x-fake"])
    moved = await desk.http.put("/webhooks/2", json={"enabled": True, "url": listed["url"], "events": ["message"]})
    assert moved.json()["events"] == ["message"]
    await desk.deliver(received("m1", "whole address"))
    await until(lambda: desk.second.texts == ["whole address"])
    assert desk.second.posted[0].path.endswith("?token=a-fake-token-1234567890")
    assert desk.second.posted[0].headers["x-fake"] == "a-fake-value"
    elsewhere = (await desk.http.put("/webhooks/2", json={"enabled": True, "url": desk.first.url})).json()
    assert (elsewhere["secret"] is not None, elsewhere["headers"]) == (True, [])


def test_every_kind_of_event_can_be_chosen_and_posted() -> None:
    kinds = {kind for event in typing.get_args(typing.get_args(Event)[0]) for kind in typing.get_args(event.model_fields["type"].annotation)}
    assert kinds >= NEW_KINDS
    assert kinds | {"approval"} <= set(EVENT_NAMES)
    assert kinds | {"approval"} <= set(typing.get_args(Payload.model_fields["type"].annotation))
