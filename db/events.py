"""The event log, read by cursor. A cursor is the number of the last event seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db.database import Database


@dataclass(frozen=True, slots=True)
class EventRow:
    """`data` may hold a TRACE, which is not for who reads events."""

    id: int
    instance_id: UUID
    type: str
    chat_id: str | None
    message_id: int | None
    data: dict[str, Any]
    at: datetime


TRACE = "trace"
"""Of an event's data, and of a draft in the outbox: what it was done for, as tracing.carrier gives it."""

# A chat's events are also those that came under another id of it, before that was known.
AFTER: LiteralString = """
    SELECT id, instance_id, type, chat_id, message_id, data, at FROM public.events
    WHERE id > %(after)s
      AND (%(instance_ids)s::uuid[] IS NULL OR instance_id = ANY(%(instance_ids)s))
      AND (%(chat_id)s::text IS NULL OR chat_id = %(chat_id)s
        OR EXISTS (SELECT FROM public.chat_aliases a WHERE a.instance_id = events.instance_id AND a.alias = events.chat_id
            AND a.chat_id = %(chat_id)s)
        OR EXISTS (SELECT FROM public.chats c WHERE c.instance_id = events.instance_id AND c.id = events.chat_id AND c.migrated_to = %(chat_id)s))
      AND (%(types)s::text[] IS NULL OR type = ANY(%(types)s))
    ORDER BY id LIMIT %(limit)s"""


async def after(
    database: Database,
    cursor: int,
    *,
    instance_ids: Sequence[UUID] | None,
    chat_id: str | None = None,
    types: Sequence[str] | None = None,
    limit: int,
) -> list[EventRow]:
    """Return events newer than the cursor, oldest first. `instance_ids` None: of all instances."""
    return await database.all(
        EventRow,
        AFTER,
        {
            "after": cursor,
            "instance_ids": None if instance_ids is None else list(instance_ids),
            "chat_id": chat_id,
            "types": None if types is None else list(types),
            "limit": limit,
        },
    )


HORIZON: LiteralString = """
    SELECT max(through) FROM public.event_horizons
    WHERE through > %(cursor)s AND (%(instance_ids)s::uuid[] IS NULL OR instance_id = ANY(%(instance_ids)s))"""


async def removed_after(database: Database, cursor: int, *, instance_ids: Sequence[UUID] | None) -> int | None:
    """Return the newest event after the cursor that retention or an erasure has removed; None where there is none."""
    params = {"cursor": cursor, "instance_ids": None if instance_ids is None else list(instance_ids)}
    return await database.value(HORIZON, params)


LAST: LiteralString = "SELECT coalesce(max(id), 0) FROM public.events"


async def last(database: Database) -> int:
    """Return the newest event's number; 0 when there is none yet."""
    return await database.value(LAST)


# By the sequence, since old events are removed; it is never behind the events of its own database.
IS_AHEAD: LiteralString = "SELECT %(cursor)s > last_value FROM public.event_numbers"


async def is_ahead(database: Database, cursor: int) -> bool:
    """Return whether a cursor is of an event that this database never had: it was restored, or failed over to one that lagged behind."""
    return await database.value(IS_AHEAD, {"cursor": cursor})


LAST_AT: LiteralString = "SELECT at FROM public.events WHERE instance_id = %(id)s ORDER BY id DESC LIMIT 1"


async def last_at(database: Database, instance_id: UUID) -> datetime | None:
    """Return the time of the instance's newest event; None where none is kept."""
    return await database.value(LAST_AT, {"id": instance_id})
