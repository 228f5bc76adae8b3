"""Events posted to webhooks: each at least once, signed, in the order of its chat, whatever the receiver does."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest
from pydantic import SecretStr
from standardwebhooks import WebhookVerificationError

from db import deliveries
from mcp_messenger.config.timing import Timing
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.delivery.webhooks import ATTEMPTS, BREAKER, RUN, delay_after
from mcp_messenger.errors import Conflict, FetchRefused, NoSuchDelivery
from mcp_messenger.operations import instances, lifecycle, removal, webhooks
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Transport
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.operations.validation import validated
from mcp_messenger.security.caller import ADMIN
from providers.events import Event, MessageDeleted, MessageEdited, ReactionChanged
from providers.models import Chat, ChatKind
from tests.postgres import execute
from tests.receiver import Answer, Receiver, receiver
from tests.running import running_app
from tests.stored import NOON, one, receipt, received, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio

LOOPBACK = (IPv4Network("127.0.0.0/8"),)
KEY = SecretStr(bytes(range(32)).hex())
SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS10ZXN0LXN1aXRlLTEyMzQ1Ng=="
BOB = Chat(id="bob", kind=ChatKind.PRIVATE, title="Bob", phone="+15550101")
TEAM = Chat(id="team", kind=ChatKind.GROUP, title="Team")
STOPPED = "INSERT INTO message_instances (id, user_id, provider, desired) VALUES ('{}', 'local', 'sandbox', 'stopped')"


@dataclass
class Desk:
    """An instance that nobody runs; what its platform tells is delivered by hand."""

    app: App
    url: str
    instance_id: str
    receiver: Receiver

    async def set(self, **config: Any) -> webhooks.WebhookAnswer:
        given = {"enabled": True, "url": self.receiver.url, "secret": SECRET, **config}
        return await webhooks.set_webhook(self.app, ADMIN, webhooks.SetWebhook.model_validate({"instance_id": self.instance_id, **given}))

    async def deliver(self, *events: Event) -> None:
        await self.app.inbound.deliver(Source(UUID(self.instance_id), None), events)

    def statuses(self) -> list[str]:
        return [row[0] for row in rows(self.url, "SELECT status FROM deliveries ORDER BY id")]

    def hasten(self) -> None:
        """What time would do: retries are due, and a pause is over."""
        execute(
            self.url,
            "UPDATE deliveries SET run_at = now() WHERE status = 'pending'",
            "UPDATE delivery_endpoints SET paused_until = now() - interval '1 second'",
        )
        self.app.webhooks.wake()

    async def until_posted(self, count: int) -> None:
        await until(lambda: len(self.receiver.posted) >= count)

    async def until_statuses(self, *expected: str) -> None:
        await until(lambda: self.statuses() == list(expected))

    @property
    def of_instance(self) -> webhooks.OfWebhookOrFirst:
        return webhooks.OfWebhookOrFirst(instance_id=self.instance_id)


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with receiver() as other, running_app(database_url, tmp_path, allowed_networks=LOOPBACK) as app:
        instance_id = str(uuid4())
        execute(database_url, STOPPED.format(instance_id))
        yield Desk(app, database_url, instance_id, other)


async def test_a_message_is_posted_with_its_chat_its_files_and_a_signature(desk: Desk) -> None:
    await desk.set(headers={"X-Tenant": "seven"})
    media = [{"kind": "image", "ref": "file-1", "mime": "image/png", "size": 12, "name": "cat.png"}]
    await desk.deliver(received("m1", "hi \U0001f600", media=media, kind="media", reply_to="m0"))
    await desk.until_statuses("done")
    (posted,) = desk.receiver.posted
    posted.verify(SECRET)
    with pytest.raises(WebhookVerificationError):
        posted.verify("whsec_" + "b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldC1vdGhlcg==")
    assert posted.path == "/hook"
    assert (posted.headers["x-tenant"], posted.headers["content-type"]) == ("seven", "application/json")
    cursor = one(desk.url, "SELECT id FROM events")
    message_id = one(desk.url, "SELECT id FROM messages")
    assert posted.payload == {
        "type": "message",
        "version": 1,
        "id": posted.id,
        "timestamp": posted.payload["timestamp"],
        "instance_id": desk.instance_id,
        "provider": "sandbox",
        "data": {
            "cursor": str(cursor),
            "chat": {"id": "ann", "kind": "private", "title": "Ann Lee", "username": "ann", "phone": "+15550100"},
            "message": {
                "id": str(message_id),
                "platform_id": "m1",
                "chat_id": "ann",
                "outgoing": False,
                "sender_id": "ann",
                "sender_name": "Ann Lee",
                "at": "2026-05-04T12:00:00Z",
                "kind": "media",
                "text": "hi \U0001f600",
                "reply_to": "m0",
                "mentions_me": False,
                "media": [{"kind": "image", "mime": "image/png", "size": 12, "name": "cat.png"}],
                "edited": False,
                "deleted": False,
            },
        },
    }
    assert "file-1" not in posted.body.decode()


async def test_every_kind_of_event_is_posted(desk: Desk) -> None:
    await desk.set()
    await desk.deliver(
        received("m1"),
        MessageEdited(chat_id="ann", message_id="m1", text="changed", at=NOON),
        ReactionChanged(chat_id="ann", message_id="m1", sender_id="ann", emojis=("x",), at=NOON),
        MessageDeleted(chat_id="ann", message_id="m1", at=NOON),
        received("m2", outgoing=True),
        receipt("m2", "read"),
    )
    await desk.until_posted(5)
    by_type = {posted.payload["type"]: posted.payload["data"] for posted in desk.receiver.posted}
    assert list(by_type) == ["message", "message_edited", "reaction", "message_deleted", "receipt"]
    assert by_type["reaction"]["reaction"] == {"sender_id": "ann", "emojis": ["x"]}
    assert by_type["receipt"]["receipt"] == {"status": "read"}
    assert by_type["message_deleted"]["message"]["text"] == ""


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (["message"], ["message"]),
        (["message_ack"], ["receipt"]),
        (["message_sent", "callback_query"], ["message", "message"]),
        ([], []),
    ],
)
async def test_only_the_events_that_are_wanted(desk: Desk, events: list[str], expected: list[str]) -> None:
    await desk.set(events=events)
    await desk.deliver(received("m1"), received("m2", outgoing=True), receipt("m2", "read"))
    await until(lambda: "pending" not in desk.statuses())
    assert [posted.payload["type"] for posted in desk.receiver.posted] == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"allowGroups": False}, ["ann", "bob"]),
        ({"allowPrivate": False}, ["team"]),
        ({"allowedNumbers": ["+1 555-0101"]}, ["bob"]),
        ({"allowedNumbers": ["team"]}, ["team"]),
        ({"allowedNumbers": []}, []),
    ],
)
async def test_filters_by_chat(desk: Desk, filters: dict[str, Any], expected: list[str]) -> None:
    await desk.set(filters=filters)
    await desk.deliver(received("m1", "ann"), received("m2", "bob", chat=BOB), received("m3", "team", chat=TEAM))
    await until(lambda: "pending" not in desk.statuses())
    assert sorted(desk.receiver.texts) == expected


async def test_the_states_are_posted_with_the_qr_code_only_for_who_asks_for_it_by_name(desk: Desk) -> None:
    made = await instances.create_instance(
        desk.app,
        ADMIN,
        instances.CreateInstance.model_validate(
            {
                "provider": "sandbox",
                "credentials": {},
                "api_webhook_schema": {"enabled": True, "url": desk.receiver.url, "events": ["qr"], "secret": SECRET},
            }
        ),
    )
    await desk.until_posted(1)
    state = desk.receiver.posted[0].payload["data"]["state"]
    assert (state["status"], state["needs"], state["qr"]["sequence"]) == ("qr_ready", "qr", 1)
    assert state["qr"]["content"].startswith(("sandbox:", "http://127.0.0.1:"))
    assert "reason" not in state
    shy = Desk(desk.app, desk.url, made.instance_id, desk.receiver)
    await shy.set(events=["state"])
    await lifecycle.restart_instance(desk.app, ADMIN, shy.of_instance)
    await until(lambda: any(posted.payload["data"]["state"].get("qr") for posted in desk.receiver.posted[1:]))
    assert all("content" not in (posted.payload["data"]["state"].get("qr") or {}) for posted in desk.receiver.posted[1:])


FAILURES = {
    "answers 500": (Answer(500), "answered 500"),
    "resets": (Answer(reset=True), ""),
    "half a head": (Answer(raw=b"HTTP/1.1 200 O"), ""),
    "half a body": (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), ""),
    "garbage": (Answer(raw=b"\x00\xff nonsense\r\n\r\n"), ""),
    "redirects": (Answer(302, {"Location": "http://169.254.169.254/"}), "answered 302, and redirects are not followed"),
    "409": (Answer(409), "answered 409"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_what_fails_is_tried_again_with_the_same_id(desk: Desk, name: str) -> None:
    answer, words = FAILURES[name]
    desk.receiver.answers.append(answer)
    await desk.set()
    await desk.deliver(received("m1"))
    await until(lambda: one(desk.url, "SELECT last_error IS NOT NULL FROM deliveries"))
    error, seconds = rows(desk.url, "SELECT last_error, extract(epoch FROM run_at - now())::float8 FROM deliveries")[0]
    assert words in error
    assert 0 < seconds <= 6
    assert len(desk.receiver.posted) == 1
    desk.hasten()
    await desk.until_statuses("done")
    first, second = desk.receiver.posted
    assert first.id == second.id
    second.verify(SECRET)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
async def test_what_is_refused_for_good_is_dead_at_once_and_holds_nothing_up(desk: Desk, status: int) -> None:
    desk.receiver.answers.append(Answer(status))
    await desk.set()
    await desk.deliver(received("m1", "first"), received("m2", "second"))
    await desk.until_statuses("dead", "done")
    assert desk.receiver.texts == ["first", "second"]
    assert one(desk.url, "SELECT last_error FROM deliveries WHERE status = 'dead'") == f"answered {status}"
    await until(lambda: rows(desk.url, "SELECT code FROM instance_errors") == [("webhook_dead",)])


@pytest.mark.parametrize("status", [429, 503])
async def test_who_asks_to_be_left_alone_is(desk: Desk, status: int) -> None:
    desk.receiver.answers.append(Answer(status, {"Retry-After": "120"}))
    await desk.set()
    await desk.deliver(received("m1"))
    await until(lambda: one(desk.url, "SELECT last_error IS NOT NULL FROM deliveries"))
    assert one(desk.url, "SELECT extract(epoch FROM paused_until - now())::float8 FROM delivery_endpoints") > 100
    assert one(desk.url, "SELECT extract(epoch FROM run_at - now())::float8 FROM deliveries") > 100
    await desk.deliver(received("m2", chat=BOB))
    desk.app.webhooks.wake()
    await desk.app.webhooks.test(await webhooks.endpoint(desk.app, ADMIN, desk.of_instance))
    assert [posted.payload["type"] for posted in desk.receiver.posted] == ["message", "test"]
    desk.hasten()
    await desk.until_statuses("done", "done")


async def test_a_slow_receiver_holds_up_its_own_chat_alone(desk: Desk) -> None:
    gate = anyio.Event()
    desk.receiver.answers.append(Answer(until=gate))
    await desk.set()
    await desk.deliver(received("m1", "ann 1"))
    await desk.until_posted(1)
    await desk.deliver(received("m2", "ann 2"), received("m3", "bob 1", chat=BOB), received("m4", "bob 2", chat=BOB))
    await desk.until_posted(3)
    assert desk.receiver.texts == ["ann 1", "bob 1", "bob 2"]
    gate.set()
    await desk.until_statuses("done", "done", "done", "done")
    assert desk.receiver.texts[3:] == ["ann 2"]


async def test_the_deliveries_of_a_chat_are_claimed_together_and_posted_in_their_order(desk: Desk) -> None:
    gate = anyio.Event()
    desk.receiver.answers.append(Answer(until=gate))
    await desk.set()
    await desk.deliver(*(received(f"m{number}", str(number)) for number in range(RUN + 1)))
    await desk.until_posted(1)
    assert [row[0] for row in rows(desk.url, "SELECT attempts FROM deliveries ORDER BY id")] == [1] * RUN + [0]
    assert desk.receiver.texts == ["0"]
    gate.set()
    await desk.until_statuses(*["done"] * (RUN + 1))
    assert desk.receiver.texts == [str(number) for number in range(RUN + 1)]


async def test_what_follows_a_failure_in_a_chat_is_given_back_untried(desk: Desk) -> None:
    desk.receiver.answers.extend([Answer(), Answer(500)])
    await desk.set()
    await desk.deliver(received("m1", "one"), received("m2", "two"), received("m3", "three"))
    settled = [("done", 1), ("pending", 1), ("pending", 0)]
    await until(lambda: rows(desk.url, "SELECT status, attempts FROM deliveries WHERE lease_until IS NULL ORDER BY id") == settled)
    assert desk.receiver.texts == ["one", "two"]
    desk.hasten()
    await desk.until_statuses("done", "done", "done")
    assert desk.receiver.texts == ["one", "two", "two", "three"]


async def test_a_delivery_that_is_not_due_keeps_those_behind_it_from_being_claimed(desk: Desk) -> None:
    await desk.set()
    execute(desk.url, f"INSERT INTO delivery_endpoints VALUES ('{desk.instance_id}', 'webhook', 0, 0, now() + interval '1 hour')")
    await desk.deliver(received("m1", "one"), received("m2", "two"), received("m3", "three"))
    execute(
        desk.url,
        "UPDATE deliveries SET run_at = now() + interval '1 hour' WHERE id = (SELECT id FROM deliveries ORDER BY id OFFSET 1 LIMIT 1)",
        "DELETE FROM delivery_endpoints",
    )
    desk.app.webhooks.wake()
    await desk.until_statuses("done", "pending", "pending")
    assert rows(desk.url, "SELECT attempts FROM deliveries ORDER BY id") == [(1,), (0,), (0,)]
    desk.hasten()
    await desk.until_statuses("done", "done", "done")
    assert desk.receiver.texts == ["one", "two", "three"]


async def test_a_later_event_of_a_chat_waits_for_the_retry_of_the_earlier_one(desk: Desk) -> None:
    desk.receiver.answers.append(Answer(500))
    await desk.set()
    await desk.deliver(received("m1", "one"))
    await until(lambda: one(desk.url, "SELECT last_error IS NOT NULL FROM deliveries"))
    await desk.deliver(received("m2", "two"), received("m3", "other", chat=BOB))
    await until(lambda: desk.receiver.texts == ["one", "other"])
    desk.hasten()
    await desk.until_statuses("done", "done", "done")
    assert desk.receiver.texts == ["one", "other", "one", "two"]


async def test_after_the_last_attempt_it_is_dead_and_can_be_retried(desk: Desk) -> None:
    desk.receiver.usual = Answer(500)
    await desk.set()
    await desk.deliver(received("m1", "one"))
    for attempt in range(1, ATTEMPTS + 1):
        await until(lambda at=attempt: one(desk.url, "SELECT attempts = %s AND lease_until IS NULL FROM deliveries", at))
        desk.hasten()
    await desk.until_statuses("dead")
    assert len(desk.receiver.posted) == ATTEMPTS
    listed = await webhooks.list_deliveries(desk.app, ADMIN, webhooks.ListDeliveries(instance_id=desk.instance_id, status="dead"))
    (dead,) = listed.deliveries
    assert (dead.status, dead.error, dead.attempts, dead.type) == ("dead", "answered 500", ATTEMPTS, "message")
    desk.receiver.usual = Answer()
    retry = webhooks.OfDelivery(instance_id=desk.instance_id, delivery_id=dead.id)
    assert (await webhooks.retry_delivery(desk.app, ADMIN, retry)).retried == 1
    await desk.until_statuses("done")
    assert {posted.id for posted in desk.receiver.posted} == {desk.receiver.posted[0].id}
    with pytest.raises(NoSuchDelivery):
        await webhooks.retry_delivery(desk.app, ADMIN, retry.model_copy(update={"delivery_id": "999999"}))


async def test_all_dead_ones_are_retried_at_once(desk: Desk) -> None:
    desk.receiver.answers.extend([Answer(410), Answer(410)])
    await desk.set()
    await desk.deliver(received("m1"), received("m2", chat=BOB))
    await desk.until_statuses("dead", "dead")
    assert (await webhooks.retry_dead_deliveries(desk.app, ADMIN, desk.of_instance)).retried == 2
    await desk.until_statuses("done", "done")


async def test_an_endpoint_that_fails_again_and_again_is_left_alone_and_tried_with_one(desk: Desk) -> None:
    desk.receiver.usual = Answer(500)
    await desk.set()
    people = [Chat(id=f"p{number}", kind=ChatKind.PRIVATE) for number in range(BREAKER + 5)]
    for number, chat in enumerate(people[:BREAKER]):
        await desk.deliver(received(f"m{number}", chat=chat))
    await until(lambda: rows(desk.url, "SELECT 1 FROM delivery_endpoints WHERE paused_until > now()"))
    await until(lambda: rows(desk.url, "SELECT code FROM instance_errors") == [("webhook_down",)])
    await until(lambda: one(desk.url, "SELECT bool_and(lease_until IS NULL) FROM deliveries"))
    posted = len(desk.receiver.posted)
    await desk.deliver(*(received(f"n{number}", chat=chat) for number, chat in enumerate(people[BREAKER:])))
    desk.hasten()
    await until(lambda: one(desk.url, "SELECT pauses FROM delivery_endpoints") == 2)
    assert len(desk.receiver.posted) == posted + 1
    desk.receiver.usual = Answer()
    desk.hasten()
    await until(lambda: set(desk.statuses()) == {"done"})
    assert rows(desk.url, "SELECT 1 FROM delivery_endpoints") == []


async def test_private_addresses_are_refused_when_they_are_set_and_never_reached(database_url: str, tmp_path: Path) -> None:
    instance_id = str(uuid4())
    async with receiver() as other:
        async with running_app(database_url, tmp_path, allowed_networks=LOOPBACK) as app:
            execute(database_url, STOPPED.format(instance_id))
            await Desk(app, database_url, instance_id, other).set()
        # The network is closed now, and the setting is of before.
        async with running_app(database_url, tmp_path) as app:
            desk = Desk(app, database_url, instance_id, other)
            await desk.deliver(received("m1"))
            await desk.until_statuses("dead")
            assert "private" in one(database_url, "SELECT last_error FROM deliveries")
            tested = await webhooks.test_webhook(app, ADMIN, desk.of_instance)
            assert (tested.delivered, tested.status) == (False, None)
            assert other.posted == []
            with pytest.raises(FetchRefused, match="private or reserved address") as refused:
                await desk.set()
            assert "MCP_MESSENGER_ALLOW_NETWORKS" in (refused.value.hint or "")
            # Each way of setting one.
            hook = {"enabled": True, "url": "http://10.0.0.1/hook"}
            for name, given in {
                "create_instance": {"provider": "sandbox", "api_webhook_schema": hook},
                "update_instance": {"instance_id": instance_id, "api_webhook_schema": hook},
                "set_webhook": {"instance_id": instance_id, **hook},
                "create_webhook": {"instance_id": instance_id, **hook},
            }.items():
                row = BY_NAME[name]
                with pytest.raises(FetchRefused, match="private or reserved address"):
                    await row.carry_out(app, ADMIN, validated(row, given), transport=Transport.REST)
            assert rows(database_url, "SELECT id::text FROM all_instances WHERE api_webhook_schema->>'url' = 'http://10.0.0.1/hook'") == []
            assert one(database_url, "SELECT count(*) FROM all_instances") == 1
            await desk.set(enabled=False)


async def test_what_waits_for_a_webhook_that_is_switched_off_ends(desk: Desk) -> None:
    desk.receiver.usual = Answer(500)
    await desk.set()
    await desk.deliver(received("m1"), received("m2"))
    await until(lambda: one(desk.url, "SELECT count(*) FROM deliveries WHERE last_error IS NOT NULL"))
    await desk.set(enabled=False)
    desk.hasten()
    await desk.until_statuses()
    await desk.deliver(received("m3"))
    assert desk.statuses() == []


async def test_an_instance_that_is_deleted_takes_its_deliveries_along(desk: Desk) -> None:
    desk.receiver.usual = Answer(500)
    await desk.set()
    await desk.deliver(received("m1"))
    await until(lambda: rows(desk.url, "SELECT 1 FROM delivery_endpoints"))
    await removal.delete_instance(desk.app, ADMIN, removal.DeleteInstance(instance_id=desk.instance_id))
    assert desk.statuses() == []
    # A post that failed in that very moment may have been noted after it.
    await deliveries.tidy(desk.app.database, wait=86400, done=86400, dead=86400)
    assert rows(desk.url, "SELECT 1 FROM delivery_endpoints") == []


async def test_events_are_replayed_from_a_cursor_with_their_former_ids(desk: Desk) -> None:
    await desk.set()
    await desk.deliver(*(received(f"m{number}", str(number)) for number in range(4)))
    await desk.until_statuses("done", "done", "done", "done")
    after = desk.receiver.posted[1].payload["data"]["cursor"]
    replay = webhooks.ReplayEvents(instance_id=desk.instance_id, after=after, limit=1)
    first = await webhooks.replay_events(desk.app, ADMIN, replay)
    assert first.events == 1
    rest = await webhooks.replay_events(desk.app, ADMIN, webhooks.ReplayEvents(instance_id=desk.instance_id, after=first.next_cursor or ""))
    assert (rest.events, rest.next_cursor) == (1, None)
    await desk.until_posted(6)
    assert desk.receiver.texts == ["0", "1", "2", "3", "2", "3"]
    assert [posted.id for posted in desk.receiver.posted[4:]] == [posted.id for posted in desk.receiver.posted[2:4]]


async def test_a_test_event_tells_what_the_receiver_answered(desk: Desk) -> None:
    with pytest.raises(Conflict):
        await webhooks.test_webhook(desk.app, ADMIN, desk.of_instance)
    await desk.set()
    tested = await webhooks.test_webhook(desk.app, ADMIN, desk.of_instance)
    assert (tested.delivered, tested.status, tested.error) == (True, 204, None)
    desk.receiver.posted[0].verify(SECRET)
    assert desk.receiver.posted[0].payload["type"] == "test"
    desk.receiver.answers.append(Answer(404))
    failed = await webhooks.test_webhook(desk.app, ADMIN, desk.of_instance)
    assert (failed.delivered, failed.status, failed.error) == (False, 404, "answered 404")
    assert desk.statuses() == []


async def test_a_secret_is_made_shown_once_and_rotated_with_both_valid_for_a_while(desk: Desk) -> None:
    made = (await desk.set(secret=None)).secret
    assert made is not None
    assert made.startswith("whsec_")
    assert (await webhooks.get_webhook(desk.app, ADMIN, desk.of_instance)).secret is None
    assert (await desk.set(secret=None)).secret is None
    rotated = await webhooks.rotate_webhook_secret(desk.app, ADMIN, desk.of_instance)
    await desk.deliver(received("m1"))
    await desk.until_posted(1)
    for secret in (made, rotated.secret):
        desk.receiver.posted[0].verify(secret)
    execute(desk.url, "UPDATE instance_secrets SET rotated_at = now() - interval '25 hours' WHERE field LIKE '%former'")
    await desk.deliver(received("m2"))
    await desk.until_posted(2)
    desk.receiver.posted[1].verify(rotated.secret)
    with pytest.raises(WebhookVerificationError):
        desk.receiver.posted[1].verify(made)


async def test_a_secret_of_ones_own_is_used_by_its_bytes(desk: Desk) -> None:
    await desk.set(secret="a secret of my own")
    await desk.deliver(received("m1"))
    await desk.until_posted(1)
    desk.receiver.posted[0].verify(b"a secret of my own")


async def test_headers_are_kept_sealed_and_stay_until_they_are_set_again(desk: Desk) -> None:
    await desk.set(headers={"Authorization": "Bearer not-a-real-token"})
    answer = await desk.set(headers=None)
    assert answer.headers == ["Authorization"]
    assert "not-a-real-token" not in repr(answer)
    assert b"not-a-real-token" not in b"".join(bytes(row[0]) for row in rows(desk.url, "SELECT sealed FROM instance_secrets"))
    assert "not-a-real-token" not in str(rows(desk.url, "SELECT api_webhook_schema FROM message_instances"))
    await desk.deliver(received("m1"))
    await desk.until_posted(1)
    assert desk.receiver.posted[0].headers["authorization"] == "Bearer not-a-real-token"
    assert (await desk.set(headers={})).headers == []


@pytest.mark.parametrize(
    "config",
    [
        {"events": ["nonsense"]},
        {"headers": {"Host": "x"}},
        {"headers": {"webhook-signature": "x"}},
        {"headers": {"X Y": "x"}},
        {"headers": {"X-Y": "a\r\nb: c"}},
        {"headers": {"X-Y": "1", "x-y": "2"}},
        {"secret": "whsec_not base64!!"},
        {"secret": "whsec_c2hvcnQtc2VjcmV0="},
        {"url": "http://user:word@example.com/"},
    ],
)
async def test_what_cannot_be_set(desk: Desk, config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"header|event|whsec|user name"):
        await desk.set(**config)


async def test_two_processes_share_the_work_and_each_event_comes_once(database_url: str, tmp_path: Path) -> None:
    async with (
        receiver() as other,
        running_app(database_url, tmp_path / "a", allowed_networks=LOOPBACK, secret_key=KEY) as one_app,
        running_app(database_url, tmp_path / "b", allowed_networks=LOOPBACK, secret_key=KEY),
    ):
        instance_id = str(uuid4())
        execute(database_url, STOPPED.format(instance_id))
        desk = Desk(one_app, database_url, instance_id, other)
        await desk.set()
        people = [Chat(id=f"p{number}", kind=ChatKind.PRIVATE) for number in range(20)]
        await desk.deliver(*(received(f"m{number}", str(number), chat=people[number % 20]) for number in range(400)))
        await until(lambda: desk.statuses() == ["done"] * 400)
        assert len(other.posted) == len({posted.id for posted in other.posted}) == 400
        for chat in range(20):
            of_chat = [int(text) for text in other.texts if int(text) % 20 == chat]
            assert of_chat == sorted(of_chat)


async def test_what_is_under_way_when_the_server_stops_is_given_back(database_url: str, tmp_path: Path) -> None:
    async with receiver() as other:
        other.answers.append(Answer(until=anyio.Event()))
        instance_id = str(uuid4())
        execute(database_url, STOPPED.format(instance_id))
        async with running_app(database_url, tmp_path, allowed_networks=LOOPBACK) as app:
            desk = Desk(app, database_url, instance_id, other)
            await desk.set()
            await desk.deliver(received("m1"), received("m2"))
            await desk.until_posted(1)
        assert rows(database_url, "SELECT status, attempts, lease_until FROM deliveries") == [("pending", 0, None)] * 2
        async with running_app(database_url, tmp_path, allowed_networks=LOOPBACK):
            await until(lambda: rows(database_url, "SELECT status FROM deliveries") == [("done",)] * 2)
    assert other.posted[0].id == other.posted[1].id


async def test_without_wakeups_it_looks_for_itself(pgbouncer: str, database_url: str, tmp_path: Path) -> None:
    async with (
        receiver() as other,
        running_app(pgbouncer, tmp_path / "a", allowed_networks=LOOPBACK, secret_key=KEY, timing=Timing(idle=0.2)) as app,
    ):
        instance_id = str(uuid4())
        execute(database_url, STOPPED.format(instance_id))
        desk = Desk(app, database_url, instance_id, other)
        await desk.set()
        await desk.deliver(received("m1", "one"))
        await desk.until_statuses("done")
        # Another process writes, and nobody tells.
        execute(
            database_url, "INSERT INTO deliveries (event_id, instance_id, chat_id, target) SELECT id, instance_id, chat_id, 'webhook' FROM events"
        )
        await desk.until_statuses("done", "done")


async def test_old_rows_go_and_what_waits_for_too_long_is_given_up(desk: Desk) -> None:
    make = (
        "INSERT INTO deliveries (event_id, instance_id, target, status, created_at, run_at, done_at) "
        f"SELECT 1, '{desk.instance_id}', 'agno', status, now() - age, now() + interval '1 day', CASE WHEN status <> 'pending' THEN now() - age END "
        "FROM (VALUES ('done', interval '2 days'), ('done', '1 hour'), ('dead', '2 days'), ('dead', '31 days'), ('pending', '1 day'), "
        "('pending', '4 days')) AS old (status, age)"
    )
    execute(desk.url, make)
    await deliveries.tidy(desk.app.database, wait=3 * 86400, done=86400, dead=30 * 86400)
    assert desk.statuses() == ["done", "dead", "pending", "dead"]


def test_the_schedule_takes_about_a_day() -> None:
    delays = [delay_after(attempt) for attempt in range(1, ATTEMPTS)]
    assert 4 <= delays[0] <= 6
    assert 16 * 3600 < sum(delays) < 30 * 3600
    assert max(delays) <= 7.2 * 3600


async def test_the_time_of_a_signature_is_in_utc_wherever_the_server_stands(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    if hasattr(time, "tzset"):
        time.tzset()
    await desk.set()
    await webhooks.test_webhook(desk.app, ADMIN, desk.of_instance)
    desk.receiver.posted[0].verify(SECRET)
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()


async def test_what_became_of_deliveries_is_counted(desk: Desk) -> None:
    await desk.set()
    await desk.deliver(received("m1", "hello"))
    await until(lambda: desk.statuses() == ["done"])
    counted = desk.app.metrics.deliveries
    assert {(target, outcome): sum(one.counts) for (_, target, outcome), one in counted.items()} == {("webhook", "done"): 1}
