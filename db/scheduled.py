"""Calls that are carried out at a later time: messages and reminders. Each is claimed when it is due, by one server at a time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db.advisory_locks import hold_log
from db.database import Database
from db.json import jsonb


@dataclass(frozen=True, slots=True, kw_only=True)
class NewScheduled:
    """`body` is the text that people are shown. `zone` is the time zone that was said. The approval is of a person who has approved the call."""

    instance_id: UUID
    user_id: str
    chat_id: str | None
    operation: str
    arguments: dict[str, Any]
    body: str
    due_at: datetime
    zone: str
    fingerprint: str
    idempotency_key: str | None
    asker: str
    by_agent: bool
    caller_user_id: str | None
    caller_instance_id: UUID | None
    key_id: UUID | None
    approval_id: UUID | None = None
    approved_by: str | None = None
    approved_rest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledRow(NewScheduled):
    """`status` is waiting, done, failed (it could not be done, or its time was missed), asked (it waits for the owner), or cancelled."""

    id: int
    status: str
    outcome: dict[str, Any] | None
    created_at: datetime


ADD: LiteralString = """
    INSERT INTO public.scheduled_calls (instance_id, user_id, chat_id, operation, arguments, body, due_at, zone, fingerprint, idempotency_key,
        asker, by_agent, caller_user_id, caller_instance_id, key_id, approval_id, approved_by, approved_rest, not_before)
    VALUES (%(instance_id)s, %(user_id)s, %(chat_id)s, %(operation)s, %(arguments)s, %(body)s, %(due_at)s, %(zone)s, %(fingerprint)s,
        %(idempotency_key)s, %(asker)s, %(by_agent)s, %(caller_user_id)s, %(caller_instance_id)s, %(key_id)s, %(approval_id)s, %(approved_by)s,
        %(approved_rest)s, %(due_at)s)
    ON CONFLICT DO NOTHING
    RETURNING instance_id, user_id, chat_id, operation, arguments, body, due_at, zone, fingerprint, idempotency_key, asker, by_agent,
        caller_user_id, caller_instance_id, key_id, approval_id, approved_by, approved_rest, id, status, outcome, created_at"""
SAME: LiteralString = """
    SELECT instance_id, user_id, chat_id, operation, arguments, body, due_at, zone, fingerprint, idempotency_key, asker, by_agent,
        caller_user_id, caller_instance_id, key_id, approval_id, approved_by, approved_rest, id, status, outcome, created_at
    FROM public.scheduled_calls
    WHERE instance_id = %(instance_id)s AND status = 'waiting' AND (fingerprint = %(fingerprint)s OR idempotency_key = %(idempotency_key)s)
    ORDER BY (idempotency_key = %(idempotency_key)s) IS TRUE DESC LIMIT 1"""


async def add(database: Database, new: NewScheduled) -> tuple[ScheduledRow, bool]:
    """Store a call for its time; return it, or the one that waits with the same content or key, and whether it is new."""
    params = {**asdict(new), "arguments": jsonb(new.arguments)}
    while True:
        made = await database.one(ScheduledRow, ADD, params)
        if made is not None:
            return made, True
        same = await database.one(ScheduledRow, SAME, params)
        # One that was carried out in this very moment is no hindrance any more.
        if same is not None:
            return same, False


WAITING: LiteralString = "SELECT count(*) FROM public.scheduled_calls WHERE instance_id = %(instance_id)s AND status = 'waiting'"


async def waiting(database: Database, instance_id: UUID) -> int:
    """Return how many calls of an instance wait for their time."""
    return await database.value(WAITING, {"instance_id": instance_id})


LIST: LiteralString = """
    SELECT instance_id, user_id, chat_id, operation, arguments, body, due_at, zone, fingerprint, idempotency_key, asker, by_agent,
        caller_user_id, caller_instance_id, key_id, approval_id, approved_by, approved_rest, id, status, outcome, created_at
    FROM public.scheduled_calls
    WHERE (%(instance_ids)s::uuid[] IS NULL OR instance_id = ANY(%(instance_ids)s)) AND (status = 'waiting') IS NOT DISTINCT FROM NOT %(ended)s
        AND (%(after)s::timestamptz IS NULL OR (NOT %(ended)s AND (due_at, id) > (%(after)s, %(after_id)s))
            OR (%(ended)s AND (due_at, id) < (%(after)s, %(after_id)s)))
    ORDER BY CASE WHEN NOT %(ended)s THEN due_at END, due_at DESC, CASE WHEN NOT %(ended)s THEN id END, id DESC LIMIT %(limit)s"""


async def listing(
    database: Database, *, instance_ids: Sequence[UUID] | None, ended: bool, after: tuple[datetime, int] | None = None, limit: int
) -> list[ScheduledRow]:
    """Return calls that wait, the next one first; with `ended` those that do not any more, the latest first. None: of all instances.

    `after` is the (due_at, id) of the last one of the page before.
    """
    params = {
        "instance_ids": None if instance_ids is None else list(instance_ids),
        "ended": ended,
        "after": after and after[0],
        "after_id": after and after[1],
        "limit": limit,
    }
    return await database.all(ScheduledRow, LIST, params)


GET: LiteralString = """
    SELECT instance_id, user_id, chat_id, operation, arguments, body, due_at, zone, fingerprint, idempotency_key, asker, by_agent,
        caller_user_id, caller_instance_id, key_id, approval_id, approved_by, approved_rest, id, status, outcome, created_at
    FROM public.scheduled_calls WHERE id = %(id)s AND instance_id = %(instance_id)s"""


async def get(database: Database, instance_id: UUID, id: int) -> ScheduledRow | None:
    """Return a call of an instance; None: there is none with this number."""
    return await database.one(ScheduledRow, GET, {"id": id, "instance_id": instance_id})


CANCEL: LiteralString = """
    UPDATE public.scheduled_calls SET status = 'cancelled', outcome = jsonb_build_object('by', %(by)s::text)
    WHERE id = %(id)s AND instance_id = %(instance_id)s AND status = 'waiting' AND (claimed_until IS NULL OR claimed_until <= now()) RETURNING id"""


async def cancel(database: Database, instance_id: UUID, id: int, *, by: str) -> bool:
    """Take back a call that waits. False: it is being carried out, or it has ended."""
    return bool(await database.rows(CANCEL, {"id": id, "instance_id": instance_id, "by": by}))


CLAIM: LiteralString = """
    UPDATE public.scheduled_calls SET claimed_until = now() + make_interval(secs => %(lease)s)
    WHERE id = (
        SELECT id FROM public.scheduled_calls
        WHERE status = 'waiting' AND not_before <= now() AND (claimed_until IS NULL OR claimed_until <= now())
        ORDER BY not_before, id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING instance_id, user_id, chat_id, operation, arguments, body, due_at, zone, fingerprint, idempotency_key, asker, by_agent,
        caller_user_id, caller_instance_id, key_id, approval_id, approved_by, approved_rest, id, status, outcome, created_at"""


async def claim(database: Database, *, lease: float) -> ScheduledRow | None:
    """Claim the next call that is due, for `lease` seconds; after them another server takes it on. None: none is due."""
    return await database.one(ScheduledRow, CLAIM, {"lease": lease})


NEXT_DUE: LiteralString = """
    SELECT extract(epoch FROM min(greatest(not_before, claimed_until)) - now())::float8 FROM public.scheduled_calls WHERE status = 'waiting'"""


async def next_due(database: Database) -> float | None:
    """Return the seconds until the next call may be carried out (below zero: now); None: none waits."""
    return await database.value(NEXT_DUE)


POSTPONE: LiteralString = """
    UPDATE public.scheduled_calls SET not_before = now() + make_interval(secs => %(seconds)s), claimed_until = NULL, outcome = %(outcome)s
    WHERE id = %(id)s AND status = 'waiting'"""


async def postpone(database: Database, id: int, seconds: float, outcome: dict[str, Any]) -> None:
    """Let a call that is due be tried again after so many seconds."""
    await database.execute(POSTPONE, {"id": id, "seconds": seconds, "outcome": jsonb(outcome)})


SETTLE: LiteralString = """
    UPDATE public.scheduled_calls SET status = %(status)s, outcome = %(outcome)s, claimed_until = NULL WHERE id = %(id)s AND status = 'waiting'
    RETURNING id"""
LOG: LiteralString = """
    WITH logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, data)
        SELECT nextval('public.event_numbers'), i.id, 'reminder', %(chat_id)s, %(data)s FROM public.message_instances AS i
        WHERE i.id = %(instance_id)s
        RETURNING id, instance_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, target)
        SELECT logged.id, logged.instance_id, 'webhook' FROM logged JOIN public.message_instances AS i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true'
    )
    SELECT id, pg_notify('mcp_messenger_events', id::text) FROM logged"""


async def settle(database: Database, row: ScheduledRow, status: str, outcome: dict[str, Any], *, reminder: dict[str, Any] | None = None) -> None:
    """Store what became of a call. With `reminder` an event with this content wakes whoever listens; it is stored with the outcome, once."""
    params = {"id": row.id, "status": status, "outcome": jsonb(outcome)}
    if reminder is None:
        await database.execute(SETTLE, params)
        return
    async with database.transaction() as connection:
        await hold_log(connection)
        if await (await connection.execute(SETTLE, params)).fetchone() is not None:
            await connection.execute(LOG, {"instance_id": row.instance_id, "chat_id": row.chat_id, "data": jsonb(reminder)})


FORGET: LiteralString = "DELETE FROM public.scheduled_calls WHERE status <> 'waiting' AND due_at < now() - interval '90 days'"


async def forget(database: Database) -> None:
    """Delete what has ended long ago."""
    await database.execute(FORGET)
