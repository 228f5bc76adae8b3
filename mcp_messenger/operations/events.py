"""The event log for programs: replay by cursor, and a stream."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any

import anyio
from pydantic import Field

from db import events as log
from db import messages
from db.events import EventRow
from mcp_messenger.operations.application import App
from mcp_messenger.operations.messages import known_beside
from mcp_messenger.operations.operation import Input, Output
from mcp_messenger.operations.reach import visible
from mcp_messenger.operations.views import MessageView, message_view
from mcp_messenger.operations.waiting import kept_cursor, require_not_ahead
from mcp_messenger.policy.judging import Words, note_shown
from mcp_messenger.security.caller import Caller

HEARTBEAT = 15.0
PAGE = 100


class GetEvents(Input):
    after: str = Field(default="0", max_length=20, description="cursor of the answer before")
    instance_id: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=50, ge=1, le=500)


class EventView(Output):
    """`type` is message, message_edited, message_deleted, reaction, receipt, chat, chat_migrated, approval or state."""

    id: str
    type: str
    instance_id: str
    at: datetime
    chat_id: str | None = None
    message_id: str | None = None
    message: MessageView | None = None
    data: dict[str, Any] = {}


class EventList(Output):
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
            yield Words(event.chat_id, event.instance_id, incoming=not is_ours)


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


async def follow(app: App, caller: Caller, args: GetEvents) -> AsyncIterator[EventView | None]:
    """Events as they come, from the cursor on; None now and then while there is nothing, so that a dead peer is noticed. Raises CursorAhead."""
    cursor = await kept_cursor(app, args.after, await visible(app, caller, args.instance_id))
    while True:
        async with app.feed.waiter(None) as grown:
            instance_ids = await visible(app, caller, args.instance_id)
            rows = await log.after(app.database, cursor, instance_ids=instance_ids, limit=PAGE)
            views = await event_views(app, rows)
            if caller.is_agent:
                await note_shown(app.judge, str(caller), words_of_events(views), args.instance_id)
            for view in views:
                yield view
            if rows:
                cursor = rows[-1].id
                continue
            await require_not_ahead(app, cursor)
            with anyio.move_on_after(HEARTBEAT):
                await grown.wait()
                continue
            yield None
