"""The event log for programs: replay by cursor, and a stream."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import anyio
from pydantic import Field

from db import events as log
from db import messages
from db.events import EventRow
from db.policy import UNNAMED
from mcp_messenger.operations.application import App
from mcp_messenger.operations.messages import known_beside
from mcp_messenger.operations.operation import FromOthers, Input, Output
from mcp_messenger.operations.reach import visible
from mcp_messenger.operations.scheduling import TAINTED
from mcp_messenger.operations.views import MessageView, message_view
from mcp_messenger.operations.waiting import kept_cursor, require_not_ahead
from mcp_messenger.policy.model import DEFAULT, of_key
from mcp_messenger.policy.shown import Words, note_shown
from mcp_messenger.policy.waking import WORDS, Incoming, held_back
from mcp_messenger.security.caller import Caller
from providers.models import conversation_of

HEARTBEAT = 15.0
PAGE = 100


class GetEvents(Input):
    after: str = Field(default="0", max_length=20, description="cursor of the answer before")
    instance_id: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=50, ge=1, le=500)


class EventView(Output):
    """`type` is message, message_edited, message_deleted, transcript, reaction, receipt, poll_vote, chat, chat_migrated, chat_closed, notice,
    stop_requested, approval, reminder or state.
    """

    id: str
    type: str
    instance_id: str
    at: datetime
    chat_id: str | None = None
    message_id: str | None = None
    message: MessageView | None = None
    data: dict[str, Any] = {}


class EventList(FromOthers):
    """Oldest first. `next_cursor` is always there: ask again with it, now or later; nothing is skipped."""

    events: list[EventView]
    next_cursor: str

    def words(self) -> Iterable[Words]:
        return words_of_events(self.events)


def words_of_events(events: Iterable[EventView]) -> Iterable[Words]:
    """Return whose words these events hold."""
    for event in events:
        if event.chat_id is not None:
            is_ours = event.type in {"receipt", "message_deleted"} or (event.message is not None and event.message.own and event.type != "reaction")
            thread_id = None if event.message is None else event.message.thread_id
            yield Words(conversation_of(event.chat_id, thread_id), event.instance_id, incoming=not is_ours)
        elif event.data.get(TAINTED):
            yield Words(UNNAMED, event.instance_id)


async def get_events(app: App, caller: Caller, args: GetEvents) -> EventList:
    """Return the next events after a cursor, oldest first. Raises InvalidInput for one that is none of ours, CursorExpired and CursorAhead."""
    instance_ids = await visible(app, caller, args.instance_id)
    cursor = await kept_cursor(app, args.after, instance_ids)
    rows = await log.after(app.database, cursor, instance_ids=instance_ids, limit=args.limit)
    if not rows:
        await require_not_ahead(app, cursor)
    return EventList(events=await event_views(app, rows), next_cursor=str(rows[-1].id if rows else cursor))


async def event_views(app: App, rows: Sequence[EventRow]) -> list[EventView]:
    """Return these rows as callers see them, each with its message where it has one."""
    wanted = [row.message_id for row in rows if row.message_id is not None]
    found = {message.id: message for message in await messages.by_ids(app.database, wanted)} if wanted else {}
    beside = await known_beside(app, list(found.values()))
    return [
        EventView(
            id=str(row.id),
            type=row.type,
            instance_id=str(row.instance_id),
            at=row.at,
            chat_id=row.chat_id,
            message_id=None if row.message_id is None else str(row.message_id),
            message=message_view(found[row.message_id], beside, full=True) if row.message_id in found else None,
            data={key: value for key, value in row.data.items() if value is not None and key != log.TRACE},
        )
        for row in rows
    ]


@dataclass(frozen=True, eq=False)
class Followed:
    """An event for all who follow the log: it is encoded once."""

    view: EventView

    @cached_property
    def text(self) -> str:
        """As JSON in one line."""
        return json.dumps(self.view.shown(), ensure_ascii=False)

    @cached_property
    def sse(self) -> bytes:
        """As an event of a stream, whose id is the cursor to go on from."""
        return f"id: {self.view.id}\r\nevent: {self.view.type}\r\ndata: {self.text}\r\n\r\n".encode()


async def _after(app: App, cursor: int, instance_ids: Sequence[UUID] | None) -> list[EventRow]:
    """Return the next events after a cursor: those that came a moment ago, the store need not be asked for. Raises CursorAhead."""
    recent = app.feed.recent(cursor)
    if recent is not None:
        allowed = None if instance_ids is None else set(instance_ids)
        return [row for row in recent if allowed is None or row.instance_id in allowed][:PAGE]
    rows = await log.after(app.database, cursor, instance_ids=instance_ids, limit=PAGE)
    if not rows:
        await require_not_ahead(app, cursor)
    return rows


async def _followed(app: App, rows: Sequence[EventRow], cursor: int, instance_ids: Sequence[UUID] | None) -> list[Followed]:
    """Return these events as all see them. Who asks for the same at the same time, with nothing newer in the log, shares the answer."""

    async def look() -> list[Followed]:
        views = await event_views(app, rows)
        if any(view.message_id is not None and view.message is None for view in views):
            # The message may have another number by now: its echo and its send are one.
            views = await event_views(app, await log.after(app.database, cursor, instance_ids=instance_ids, limit=len(rows)))
        return [Followed(view) for view in views]

    return await app.followed.get((app.feed.last, *(row.id for row in rows)), look) if rows else []


async def _audible(app: App, caller: Caller, views: Sequence[EventView]) -> list[EventView]:
    """Return the events that may reach an agent by themselves: without others' words that the policy lets wake none."""
    words = {
        one.id: Incoming(UUID(one.instance_id), one.chat_id, one.message is not None and one.message.mentions_me)
        for one in views
        if one.type in WORDS and one.chat_id is not None and not (one.message is not None and one.message.own)
    }
    held = await held_back(app.database, list(set(words.values())), also=of_key(caller.narrowed) or DEFAULT)
    return [one for one in views if words.get(one.id) not in held]


async def follow(app: App, caller: Caller, args: GetEvents) -> AsyncIterator[list[Followed]]:
    """Give events as they come, from the cursor on; none now and then while there is nothing, so that a dead peer is noticed. Raises CursorAhead."""
    cursor = await kept_cursor(app, args.after, await visible(app, caller, args.instance_id))
    while True:
        async with app.feed.waiter(None) as grown:
            instance_ids = await visible(app, caller, args.instance_id)
            rows = await _after(app, cursor, instance_ids)
            found = await _followed(app, rows, cursor, instance_ids)
            if caller.is_agent:
                audible = {view.id for view in await _audible(app, caller, [one.view for one in found])}
                found = [one for one in found if one.view.id in audible]
                await note_shown(app.database, app.judge.shown, str(caller), words_of_events(one.view for one in found), args.instance_id)
            if found:
                yield found
            if rows:
                cursor = rows[-1].id
                continue
            with anyio.move_on_after(HEARTBEAT):
                await grown.wait()
                continue
            yield []
