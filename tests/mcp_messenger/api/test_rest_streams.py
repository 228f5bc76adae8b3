"""Answers that are not one JSON object: the event stream, logs, pictures."""

import io
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
import pytest
import segno

from mcp_messenger.operations.application import App
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from tests.running import ready_sandbox, until_status

pytestmark = pytest.mark.anyio

PATIENCE = 20.0


@dataclass
class Event:
    id: str = ""
    type: str = "message"
    data: str = ""
    comment: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.data)


@dataclass
class Stream:
    """Server-sent events as a browser reads them."""

    lines: AsyncIterator[str]
    seen: list[Event] = field(default_factory=list[Event])

    async def next(self) -> Event:
        """The next event that is no comment."""
        event = Event()
        with anyio.fail_after(PATIENCE):
            async for line in self.lines:
                name, _, value = line.partition(":")
                if not line and event.data:
                    self.seen.append(event)
                    return event
                if name == "data":
                    event.data += value.strip()
                elif name in {"id", "event"}:
                    setattr(event, "type" if name == "event" else name, value.strip())
        raise EOFError

    async def until(self, count: int) -> list[Event]:
        while len(self.seen) < count:
            await self.next()
        return self.seen

    async def to_its_end(self) -> Event:
        """The last event of all."""
        with suppress(EOFError):
            while True:
                await self.next()
        return self.seen[-1]


@pytest.fixture(autouse=True)
def talkative(caplog: pytest.LogCaptureFixture) -> None:
    """As the program logs, and pytest does not."""
    caplog.set_level(logging.INFO, "mcp_messenger")


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, timeout=PATIENCE) as client:
        yield client


@asynccontextmanager
async def stream(client: httpx.AsyncClient, path: str, **headers: str) -> AsyncGenerator[Stream]:
    async with client.stream("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield Stream(answer.aiter_lines())


async def send(app: App, instance_id: str, text: str) -> None:
    await send_message(app, ADMIN, SendMessage.model_validate({"instance_id": instance_id, "to": "ann", "message": text}))


async def all_ids(client: httpx.AsyncClient) -> list[str]:
    return [event["id"] for event in (await client.get("/events?limit=500")).json()["events"]]


async def test_events_come_as_they_happen(app: App, client: httpx.AsyncClient) -> None:
    instance_id = await ready_sandbox(app)
    newest = (await all_ids(client))[-1]
    async with stream(client, f"/events/stream?after={newest}") as events:
        await send(app, instance_id, "hello")
        event = await events.next()
        while event.type != "message" or event.json["message"].get("own"):
            event = await events.next()
    assert event.json["instance_id"] == instance_id
    assert "hello" in event.json["message"]["text"]
    assert event.id == event.json["id"]


async def test_a_stream_that_was_cut_off_goes_on_without_gap_or_repeat(app: App, client: httpx.AsyncClient) -> None:
    instance_id = await ready_sandbox(app)
    got: list[str] = []
    last = "0"
    for text in ("one", "two", "three"):
        await send(app, instance_id, text)
        async with stream(client, "/events/stream", Last_Event_ID=last) as events:
            # Cut off in the middle of what there is.
            got += [event.id for event in await events.until(2)]
            last = got[-1]
    await send(app, instance_id, "four")
    with anyio.fail_after(PATIENCE):
        while "four" not in str((await client.get("/events?limit=500")).json()["events"][-1]):
            await send(app, instance_id, "four")
    wanted = await all_ids(client)
    async with stream(client, "/events/stream?after=999999", Last_Event_ID=last) as events:
        got += [event.id for event in await events.until(len(wanted) - len(got))]
    assert got == wanted


async def test_a_stream_of_one_instance_holds_no_others(app: App, client: httpx.AsyncClient) -> None:
    one, other = await ready_sandbox(app), await ready_sandbox(app)
    await send(app, other, "elsewhere")
    await send(app, one, "here")
    async with stream(client, f"/events/stream?instance_id={one}") as events:
        while "here" not in (await events.next()).data:
            pass
    assert {event.json["instance_id"] for event in events.seen} == {one}


async def test_who_follows_at_the_same_time_sees_the_same_events_and_only_their_own(app: App, client: httpx.AsyncClient) -> None:
    instances = [await ready_sandbox(app), await ready_sandbox(app)]
    keys = [(await client.get(f"/instances/{one}/current-api-key")).json()["api_key"] for one in instances]
    newest = (await all_ids(client))[-1]
    path = f"/events/stream?after={newest}"
    async with AsyncExitStack() as opened:
        of_all = [await opened.enter_async_context(stream(client, path)) for _ in range(3)]
        of_keys = [await opened.enter_async_context(stream(client, path, Authorization=f"Bearer {key}")) for key in keys]
        for number in range(3):
            for instance_id in instances:
                await send(app, instance_id, f"number {number}")
        wanted = [event for event in (await client.get(f"/events?limit=500&after={newest}")).json()["events"] if event["type"] == "message"]
        own = [event["id"] for event in wanted if event["message"].get("own")]
        for events in of_all:
            while set(own) - {event.id for event in events.seen}:
                await events.next()
        for instance_id, events in zip(instances, of_keys, strict=True):
            theirs = {event["id"] for event in wanted if event["instance_id"] == instance_id} & set(own)
            assert len(theirs) == 3
            while theirs - {event.id for event in events.seen}:
                await events.next()
            assert {event.json["instance_id"] for event in events.seen} == {instance_id}
    told = [[event.id for event in events.seen] for events in of_all]
    shortest = min(map(len, told))
    assert told[0][:shortest] == told[1][:shortest] == told[2][:shortest] == sorted(told[0][:shortest], key=int)


async def test_a_revoked_key_sees_nothing_more(app: App, client: httpx.AsyncClient) -> None:
    instance_id = await ready_sandbox(app)
    key = (await client.get(f"/instances/{instance_id}/current-api-key")).json()["api_key"]
    newest = (await all_ids(client))[-1]
    async with stream(client, f"/events/stream?after={newest}", Authorization=f"Bearer {key}") as events:
        await send(app, instance_id, "while it is valid")
        assert (await events.next()).json["instance_id"] == instance_id
        await client.post(f"/instances/{instance_id}/api-key/rotate")
        await send(app, instance_id, "SECRET NOW")
        last = await events.to_its_end()
    assert (last.type, last.json["code"]) == ("problem", "unauthenticated")
    assert "SECRET NOW" not in str(events.seen)


async def test_a_stream_ends_with_its_instance(app: App, client: httpx.AsyncClient) -> None:
    instance_id = await ready_sandbox(app)
    async with stream(client, f"/events/stream?instance_id={instance_id}") as events:
        await events.next()
        other = await ready_sandbox(app)
        await client.delete(f"/instances/{instance_id}")
        await send(app, other, "wakes the stream")
        assert (await events.to_its_end()).json["code"] == "instance_not_found"


async def test_logs_are_text_or_json_for_who_asks(app: App, client: httpx.AsyncClient) -> None:
    instance_id = await ready_sandbox(app)
    text = await client.get(f"/instances/{instance_id}/logs?tail=500")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert f"instance_id={instance_id}" in text.text
    lines = (await client.get(f"/instances/{instance_id}/logs", headers={"Accept": "application/json"})).json()["lines"]
    assert lines == text.text.splitlines()
    assert (await client.get(f"/instances/{instance_id}/logs?tail=1")).text.splitlines() == lines[-1:]


async def test_logs_are_followed(app: App, client: httpx.AsyncClient) -> None:
    instance_id = await ready_sandbox(app)
    before = (await client.get(f"/instances/{instance_id}/logs")).text.splitlines()
    async with stream(client, f"/instances/{instance_id}/logs?follow=true&tail=1") as events:
        assert (await events.next()).data == before[-1]
        await client.post(f"/instances/{instance_id}/stop")
        await client.post(f"/instances/{instance_id}/start")
        await until_status(app, instance_id, "ready")
        after = (await client.get(f"/instances/{instance_id}/logs")).text.splitlines()
        followed = [event.data for event in await events.until(1 + len(after) - len(before))]
    assert followed == after[len(before) - 1 :]
    assert len(after) >= len(before) + 2


@pytest.fixture
async def waiting(client: httpx.AsyncClient, app: App) -> str:
    """An instance that shows a QR code."""
    made = (await client.post("/instances", json={"provider": "sandbox"})).json()
    await until_status(app, made["instance_id"], "qr_ready")
    return made["instance_id"]


def drawn(content: str) -> bytes:
    out = io.BytesIO()
    segno.make(content, error="m").save(out, kind="png", scale=6, border=4)
    return out.getvalue()


async def test_the_qr_code_as_text_and_picture(client: httpx.AsyncClient, waiting: str) -> None:
    answer = (await client.get(f"/instances/{waiting}/qr")).json()
    assert answer["status"] == "qr_ready"
    assert answer["expires_at"] > answer["issued_at"]
    assert answer["png"].startswith("data:image/png;base64,")
    for path, accept in (("qr.png", "*/*"), ("qr", "image/png"), ("current-qr", "image/avif,image/png;q=0.9")):
        picture = await client.get(f"/instances/{waiting}/{path}", headers={"Accept": accept})
        assert (picture.headers["content-type"], picture.headers["cache-control"]) == ("image/png", "no-store")
        assert picture.content == drawn(answer["qr"])
    assert (await client.get(f"/instances/{waiting}/current-qr")).json()["qr"] == answer["qr"]
    assert (await client.get(f"/instances/{waiting}/memory")).json()["data"]["qr"]


async def test_without_a_qr_code_the_state_is_said(app: App, client: httpx.AsyncClient) -> None:
    instance_id = await ready_sandbox(app)
    for path in ("qr", "current-qr", "qr.png", "qr.svg"):
        answer = await client.get(f"/instances/{instance_id}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")
        assert "the instance is ready" in answer.json()["detail"]
    history = (await client.get(f"/instances/{instance_id}/qr-history")).json()["history"]
    assert [entry["outcome"] for entry in history] == ["used"]
    assert all("qr" not in entry for entry in history)


async def test_a_new_login_shows_a_new_code(app: App, client: httpx.AsyncClient, waiting: str) -> None:
    before = (await client.get(f"/instances/{waiting}/qr")).json()
    await client.post(f"/instances/{waiting}/process", json={"force_recreate": True})
    await until_status(app, waiting, "qr_ready")
    after = (await client.get(f"/instances/{waiting}/qr")).json()
    assert after["qr"] != before["qr"]
