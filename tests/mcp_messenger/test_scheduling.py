"""Messages that go out later, and reminders: kept, judged twice, taken back, sent once, whatever happens to the server meanwhile."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from db import scheduled as store
from mcp_messenger.errors import Conflict, IdempotencyConflict, InvalidInput, NoSuchMessage
from mcp_messenger.operations import scheduling
from mcp_messenger.operations.application import App
from mcp_messenger.operations.lifecycle import start_instance, stop_instance
from mcp_messenger.operations.moments import later
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.queueing import SendAnswer
from mcp_messenger.operations.scheduling import CancelSend, ListScheduled, RemindMe, cancel_send, list_scheduled, remind_me
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.operations.uploading import SendMedia, send_media
from mcp_messenger.operations.waiting import NewMessages, WaitForMessages, wait_for_messages
from mcp_messenger.security.caller import ADMIN
from tests.mcp_clients import call, in_memory, refused
from tests.postgres import execute
from tests.running import ready_sandbox, running_app, serving
from tests.stored import rows
from tests.waiting import PATIENCE, until, until_answer

pytestmark = pytest.mark.anyio


class Desk:
    """One account, and the clock of what is scheduled at it."""

    def __init__(self, app: App, database_url: str, instance_id: str) -> None:
        self.app = app
        self.url = database_url
        self.instance_id = instance_id

    async def send(self, **arguments: Any) -> SendAnswer:
        wanted = {"instance_id": self.instance_id, "to": "ann", "message": "Good morning", "send_at": "tomorrow 09:00 Europe/Berlin", **arguments}
        return await send_message(self.app, ADMIN, SendMessage.model_validate(wanted))

    async def cancel(self, message_id: str) -> str:
        return (await cancel_send(self.app, ADMIN, CancelSend(instance_id=self.instance_id, message_id=message_id))).status

    async def waiting(self) -> list[str]:
        return [one.id for one in (await list_scheduled(self.app, ADMIN, ListScheduled())).scheduled]

    async def ended(self, count: int = 1) -> list[scheduling.ScheduledView]:
        """What has ended, as soon as there is so much of it."""
        return (
            await until_answer(lambda: list_scheduled(self.app, ADMIN, ListScheduled(ended=True)), lambda it: len(it.scheduled) >= count)
        ).scheduled

    def comes(self, hours_late: float = 0) -> None:
        """The time of everything has come."""
        execute(self.url, f"UPDATE scheduled_calls SET due_at = now() - interval '{hours_late} hours', not_before = now() WHERE status = 'waiting'")
        self.app.alarm.ring()

    def sent(self) -> list[str]:
        return [row[0] for row in rows(self.url, "SELECT body FROM messages WHERE outgoing AND platform_id IS NOT NULL ORDER BY id")]

    async def heard(self) -> NewMessages:
        return await wait_for_messages(self.app, ADMIN, WaitForMessages(cursor="0", timeout=PATIENCE))


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with running_app(database_url, tmp_path) as app:
        yield Desk(app, database_url, await ready_sandbox(app, persona="human"))


async def test_a_message_waits_for_its_time_is_listed_and_goes_out_once(desk: Desk) -> None:
    kept = await desk.send()
    assert (kept.status, kept.chat_id) == ("scheduled", "ann")
    assert "09:00 Europe/Berlin, in " in (kept.detail or "")
    assert (await desk.send()).message_id == kept.message_id
    listed = (await list_scheduled(desk.app, ADMIN, ListScheduled(instance_id=desk.instance_id))).scheduled
    assert [(one.id, one.chat_id, one.text, one.at.endswith("09:00 Europe/Berlin")) for one in listed] == [
        (kept.message_id, "ann", "Good morning", True)
    ]
    assert desk.sent() == []
    desk.comes()
    (done,) = await desk.ended()
    assert (done.status, (done.outcome or {})["chat_id"]) == ("done", "ann")
    assert desk.sent() == ["Good morning"]
    assert await desk.waiting() == []
    with pytest.raises(Conflict, match="done already"):
        await desk.cancel(kept.message_id)


async def test_it_goes_to_the_chat_that_was_meant_though_somebody_takes_its_name(desk: Desk) -> None:
    await send_message(desk.app, ADMIN, SendMessage(instance_id=desk.instance_id, to="ann", message="Hi"))
    kept = await desk.send(to="Ann Lee")
    assert kept.chat_id == "ann"
    execute(desk.url, "UPDATE chats SET title = CASE id WHEN 'bob' THEN 'Ann Lee' ELSE 'Somebody' END")
    desk.comes()
    assert ((await desk.ended())[0].outcome or {})["chat_id"] == "ann"


async def test_what_is_taken_back_never_goes_out(desk: Desk) -> None:
    kept = await desk.send()
    other = await desk.send(to="bob")
    assert await desk.cancel(kept.message_id) == "cancelled"
    with pytest.raises(Conflict, match="cancelled already"):
        await desk.cancel(kept.message_id)
    desk.comes()
    ended = {one.id: one.status for one in await desk.ended(2)}
    assert ended == {kept.message_id: "cancelled", other.message_id: "done"}
    assert [row[0] for row in rows(desk.url, "SELECT chat_id FROM messages WHERE outgoing")] == ["bob"]
    for nothing in ("s999999", "s-1", "999999"):
        with pytest.raises(NoSuchMessage):
            await desk.cancel(nothing)


async def test_a_queued_message_can_be_taken_back_and_one_that_went_out_cannot(desk: Desk) -> None:
    execute(
        desk.url,
        "WITH queued AS (INSERT INTO messages (instance_id, chat_id, outgoing, status, kind, body, queued) "
        f"VALUES ('{desk.instance_id}', 'carol', true, 'queued', 'text', 'later', true) RETURNING id) "
        "INSERT INTO outbox (message_id, instance_id, chat_id, draft, not_before) "
        f"SELECT id, '{desk.instance_id}', 'carol', '{{}}', now() + interval '1 hour' FROM queued",
    )
    ((number,),) = rows(desk.url, "SELECT id FROM messages WHERE chat_id = 'carol'")
    assert await desk.cancel(str(number)) == "cancelled"
    assert rows(desk.url, f"SELECT status, error->>'code' FROM messages WHERE id = {number}") == [("failed", "cancelled")]
    assert rows(desk.url, "SELECT count(*) FROM outbox") == [(0,)]
    sent = await send_message(desk.app, ADMIN, SendMessage(instance_id=desk.instance_id, to="ann", message="Hi"))
    with pytest.raises(Conflict, match="cannot be taken back") as refusal:
        await desk.cancel(sent.message_id)
    assert "delete_message" in (refusal.value.hint or "")


async def test_the_same_key_is_the_same_send_before_and_after_its_time(desk: Desk) -> None:
    kept = await desk.send(idempotency_key="k-1")
    assert (await desk.send(idempotency_key="k-1")).message_id == kept.message_id
    with pytest.raises(IdempotencyConflict):
        await desk.send(idempotency_key="k-1", message="Something else")
    desk.comes()
    await desk.ended()
    again = await desk.send(idempotency_key="k-1")
    assert again.status in {"sent", "delivered", "read"}
    assert desk.sent() == ["Good morning"]


async def test_a_server_that_dies_over_it_sends_it_once(database_url: str, tmp_path: Path) -> None:
    """Once before the send, and once after it, when only the outcome was not written yet."""
    async with running_app(database_url, tmp_path) as app:
        desk = Desk(app, database_url, await ready_sandbox(app, persona="human"))
        await desk.send(message="before")
        await desk.send(message="after")
        desk.comes()
        await desk.ended(2)
        # As kill -9 would have left them.
        execute(database_url, "DELETE FROM messages WHERE body = 'before'")
        execute(database_url, "UPDATE scheduled_calls SET status = 'waiting', claimed_until = now() - interval '1 second', outcome = NULL")
    async with running_app(database_url, tmp_path) as app:
        desk.app = app
        assert {one.status for one in await desk.ended(2)} == {"done"}
        assert sorted(desk.sent()) == ["after", "before"]


async def test_a_rule_that_changed_meanwhile_counts_and_the_agent_is_told(desk: Desk) -> None:
    async with serving(desk.app) as url, in_memory(desk.app) as agent, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as owner:
        of = {"instance_id": desk.instance_id}
        kept = await call(agent, "send_message", **of, to="ann", message="See example.org", send_at="in 2h")
        assert kept["status"] == "scheduled"
        await owner.put(f"/instances/{desk.instance_id}/policy", json={"outbound": {"deny": ["ann"]}})
        assert (await refused(agent, "send_message", **of, to="ann", message="Now", send_at="in 3h")).startswith("policy_denied: ")
        desk.comes()
        (ended,) = await desk.ended()
        assert (ended.status, (ended.outcome or {})["code"]) == ("failed", "policy_denied")
        (told,) = (await call(agent, "wait_for_messages", cursor="0", timeout=0))["reminders"]
        assert (told["scheduled_id"], told["outcome"]["code"]) == (kept["message_id"], "policy_denied")
        await owner.put(f"/instances/{desk.instance_id}/policy", json={"outbound": {"deny": [], "links": "ask"}})
        execute(desk.url, "UPDATE scheduled_calls SET status = 'waiting'")
        desk.comes()
        (asked,) = await desk.ended()
        assert asked.status == "asked"
        await owner.post(f"/approvals/{(asked.outcome or {})['approval_id']}/approve")
        assert desk.sent() == ["See example.org"]


async def test_what_a_person_has_approved_goes_out_without_being_asked_again_unless_it_is_forbidden(desk: Desk) -> None:
    async with serving(desk.app) as url, in_memory(desk.app) as agent, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as owner:
        of = {"instance_id": desk.instance_id}
        await owner.put(f"/instances/{desk.instance_id}/policy", json={"outbound": {"links": "ask"}})
        for text in ("See first.example", "See second.example"):
            assert (await refused(agent, "send_message", **of, to="ann", message=text, send_at="in 2h")).startswith("approval_required: ")
            (waiting,) = (await owner.get("/approvals")).json()["approvals"]
            approved = (await owner.post(f"/approvals/{waiting['approval_id']}/approve")).json()["approval"]
            assert approved["result"]["status"] == "scheduled"
            if "second" in text:
                await owner.put(f"/instances/{desk.instance_id}/policy", json={"outbound": {"deny": ["ann"]}})
            desk.comes()
            await desk.ended(1 + ("second" in text))
        assert {one.text: one.status for one in await desk.ended(2)} == {"See first.example": "done", "See second.example": "failed"}
        assert desk.sent() == ["See first.example"]


async def test_a_stranger_s_words_that_come_later_do_not_hold_it_up(desk: Desk) -> None:
    async with in_memory(desk.app) as agent:
        await call(agent, "send_message", instance_id=desk.instance_id, to="ann", message="Good morning", send_at="in 2h")
        execute(
            desk.url,
            "INSERT INTO shown_chats (asker, instance_id, chat_id, incoming) SELECT asker, instance_id, chat, true "
            "FROM scheduled_calls, unnest(ARRAY['mallory', 'bob']) AS chat",
        )
        desk.comes()
        assert [one.status for one in await desk.ended()] == ["done"]


async def test_a_key_that_has_ended_sends_nothing_any_more(desk: Desk) -> None:
    async with serving(desk.app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as owner:
        key = (await owner.post("/keys", json={"scopes": ["read", "send"], "instance_ids": [desk.instance_id], "name": "helper"})).json()
        async with httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, headers={"authorization": f"Bearer {key['key']}"}) as agent:
            body = {"to": "ann", "message": "Good morning", "send_at": "in 2h"}
            assert (await agent.post(f"/instances/{desk.instance_id}/send", json=body)).json()["status"] == "scheduled"
        await owner.delete(f"/keys/{key['id']}")
        desk.comes()
        (ended,) = await desk.ended()
        assert (ended.status, (ended.outcome or {})["code"]) == ("failed", "forbidden")
        assert desk.sent() == []


async def test_a_reminder_comes_once_to_the_agent_and_to_nobody_else(desk: Desk) -> None:
    made = (await remind_me(desk.app, ADMIN, RemindMe(instance_id=desk.instance_id, text="Ask Ann about the keys", at="in 2h"))).scheduled
    assert made.kind == "reminder"
    desk.comes()
    heard = await desk.heard()
    assert [(one.scheduled_id, one.text) for one in heard.reminders] == [(made.id, "Ask Ann about the keys")]
    assert rows(desk.url, "SELECT count(*) FROM messages WHERE outgoing") == [(0,)]
    again = await wait_for_messages(desk.app, ADMIN, WaitForMessages(cursor=heard.cursor, timeout=0))
    assert again.reminders == []


async def test_what_is_hours_late_is_not_sent_and_the_agent_is_told(desk: Desk) -> None:
    await desk.send()
    desk.comes(hours_late=7)
    assert [(one.status, (one.outcome or {})["code"]) for one in await desk.ended()] == [("failed", "conflict")]
    assert len((await desk.heard()).reminders) == 1
    assert desk.sent() == []


async def test_what_comes_due_while_the_account_is_stopped_goes_out_when_it_runs_again(desk: Desk) -> None:
    await stop_instance(desk.app, ADMIN, OfInstance(instance_id=desk.instance_id))
    await desk.send()
    desk.comes()
    await until(lambda: rows(desk.url, "SELECT outcome->>'code' FROM scheduled_calls WHERE claimed_until IS NULL") == [("not_ready",)])
    assert await desk.waiting() != []
    await start_instance(desk.app, ADMIN, OfInstance(instance_id=desk.instance_id))
    desk.comes()
    assert [one.status for one in await desk.ended()] == ["done"]
    assert desk.sent() == ["Good morning"]


async def test_files_are_sent_later_too(desk: Desk) -> None:
    wanted = SendMedia(instance_id=desk.instance_id, to="ann", source="data:text/plain;base64,aGVsbG8=", caption="Here", send_at="in 1h")
    assert (await send_media(desk.app, ADMIN, wanted)).status == "scheduled"
    desk.comes()
    await desk.ended()
    assert rows(desk.url, "SELECT kind, body FROM messages WHERE outgoing") == [("media", "Here")]


async def test_a_time_needs_its_zone_and_lies_ahead(desk: Desk) -> None:
    for wrong, words in {
        "2099-01-01 09:00 UTC": "more than a year",
        "tomorrow 09:00": "the time zone is missing",
        "2020-01-01T09:00Z": "is over",
        "soon": "it is no time",
        "tomorrow 09:00 Mars/Base": "no such time zone",
    }.items():
        with pytest.raises(InvalidInput, match=words):
            await desk.send(send_at=wrong)
    assert await desk.waiting() == []
    assert later("at", "tomorrow 09:00 Europe/Berlin").zone == "Europe/Berlin"


async def test_a_claim_that_is_let_go_is_taken_on(desk: Desk) -> None:
    """Two servers never carry out one call at once."""
    await desk.send()
    execute(desk.url, "UPDATE scheduled_calls SET claimed_until = now() + interval '1 hour', not_before = now() - interval '1 second'")
    assert await store.claim(desk.app.database, lease=1) is None
    with pytest.raises(Conflict, match="being sent right now"):
        await desk.cancel((await desk.waiting())[0])
    execute(desk.url, "UPDATE scheduled_calls SET claimed_until = now() - interval '1 second'")
    desk.app.alarm.ring()
    assert [one.status for one in await desk.ended()] == ["done"]


async def test_deleting_the_account_or_the_chat_ends_what_waits(desk: Desk) -> None:
    async with serving(desk.app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as owner:
        await desk.send()
        await desk.send(to="bob")
        await owner.post(f"/instances/{desk.instance_id}/chats/ann/erase")
        assert rows(desk.url, "SELECT chat_id FROM scheduled_calls") == [("bob",)]
        await owner.delete(f"/instances/{desk.instance_id}")
        await until(lambda: rows(desk.url, "SELECT count(*) FROM scheduled_calls") == [(0,)])
