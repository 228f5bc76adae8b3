"""Deliveries of events to webhooks and agents. The row is the job: claimed for a while, and settled.

The rows are written with their events, in the same statements (db/inbound.py, db/outbox.py).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db.database import Database
from db.json import jsonb

# `line` finds the instances that have something waiting by jumping from one to the next in the index. `open` is in random order, so that
# those at the end of the alphabet are not starved, and lets one delivery at a time through where an endpoint was in trouble. `due` are the
# first of their chats, `run` also those that follow in a chat up to one that is not due. The status is asked in a form that no partial index
# serves: the rows are found by their numbers, however few the planner expects to wait.
CLAIM: LiteralString = """
    WITH RECURSIVE line (instance_id) AS (
        (SELECT instance_id FROM public.deliveries WHERE status = 'pending' AND target = %(target)s ORDER BY instance_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.instance_id FROM public.deliveries d WHERE d.status = 'pending' AND d.target = %(target)s AND
            d.instance_id > line.instance_id ORDER BY d.instance_id LIMIT 1)
        FROM line WHERE line.instance_id IS NOT NULL
    ), open AS MATERIALIZED (
        SELECT line.instance_id,
            CASE WHEN p.failures >= %(breaker)s THEN 1 ELSE %(each)s END - coalesce(busy.count, 0) AS room,
            CASE WHEN p.instance_id IS NULL THEN %(run)s - 1 ELSE 0 END AS following
        FROM line LEFT JOIN public.delivery_endpoints p ON p.instance_id = line.instance_id AND p.target = %(target)s
            LEFT JOIN unnest(%(busy)s::uuid[], %(counts)s::int[]) AS busy (instance_id, count) ON busy.instance_id = line.instance_id
        WHERE line.instance_id IS NOT NULL AND (p.paused_until IS NULL OR p.paused_until <= now())
        ORDER BY random()
    ), due AS MATERIALIZED (
        SELECT first.id, first.event_id, first.chat_id, open.instance_id, open.following FROM open CROSS JOIN LATERAL (
            SELECT d.id, d.event_id, d.chat_id FROM public.deliveries d
            WHERE d.status = 'pending' AND d.target = %(target)s AND d.instance_id = open.instance_id
              AND d.run_at <= now() AND (d.lease_until IS NULL OR d.lease_until <= now())
              AND d.id = (
                SELECT e.id FROM public.deliveries e WHERE e.status = 'pending' AND e.target = d.target AND e.instance_id = d.instance_id
                  AND coalesce(e.chat_id, '') = coalesce(d.chat_id, '') ORDER BY e.event_id, e.id LIMIT 1)
            ORDER BY d.event_id, d.id LIMIT greatest(0, open.room) FOR UPDATE SKIP LOCKED
        ) AS first LIMIT %(limit)s
    ), run AS (
        SELECT id FROM due UNION ALL
        SELECT next.id FROM due CROSS JOIN LATERAL (
            SELECT f.id, bool_and(f.is_due) OVER (ORDER BY f.event_id, f.id) AS is_due FROM (
                SELECT e.id, e.event_id, e.run_at <= now() AND (e.lease_until IS NULL OR e.lease_until <= now()) AS is_due
                FROM public.deliveries e WHERE e.status = 'pending' AND e.target = %(target)s AND e.instance_id = due.instance_id
                  AND coalesce(e.chat_id, '') = coalesce(due.chat_id, '') AND (e.event_id, e.id) > (due.event_id, due.id)
                ORDER BY e.event_id, e.id LIMIT due.following) AS f
        ) AS next WHERE next.is_due
    ), claimed AS (
        UPDATE public.deliveries SET attempts = attempts + 1, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
        WHERE id = ANY(ARRAY(SELECT id FROM run)) AND status NOT IN ('done', 'dead') AND (lease_until IS NULL OR lease_until <= now())
        RETURNING id, event_id, instance_id, target, chat_id, attempts, lease_until, created_at
    )
    SELECT claimed.id, claimed.event_id, claimed.instance_id, claimed.target, claimed.chat_id, claimed.attempts, claimed.lease_until,
        claimed.created_at,
        e.type, e.data, e.at, e.message_id, c.kind AS chat_kind, c.title AS chat_title, c.username AS chat_username, c.phone AS chat_phone
    FROM claimed LEFT JOIN public.events e ON e.id = claimed.event_id
        LEFT JOIN public.chats c ON c.instance_id = claimed.instance_id AND c.id = claimed.chat_id
    ORDER BY claimed.event_id, claimed.id"""


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that is ours until `lease_until`, with its event (whose `type` is None when it is not there any more) and its chat."""

    id: int
    event_id: int
    instance_id: UUID
    target: str
    chat_id: str | None
    attempts: int
    """With this one."""
    lease_until: datetime
    created_at: datetime
    type: str | None
    data: dict[str, Any] | None
    at: datetime | None
    message_id: int | None
    chat_kind: str | None
    chat_title: str | None
    chat_username: str | None
    chat_phone: str | None


async def claim(
    database: Database, target: str, *, limit: int, each: int, busy: Mapping[UUID, int], breaker: int, lease: float, run: int = 1
) -> list[ClaimedDelivery]:
    """Claim the next deliveries that are due: the first of `limit` chats, and those that follow there, up to `run` of a chat.

    An instance gets at most `each` chats less those that are `busy` here, and no followers after a failure; with so many failures as `breaker`
    it gets one chat. A delivery that is not settled within `lease` seconds is lost to another claim.
    """
    return await database.all(
        ClaimedDelivery,
        CLAIM,
        {
            "target": target,
            "limit": limit,
            "each": each,
            "run": run,
            "busy": list(busy),
            "counts": list(busy.values()),
            "breaker": breaker,
            "lease": lease,
        },
    )


PENDING: LiteralString = "SELECT EXISTS (SELECT FROM public.deliveries WHERE status = 'pending' AND target = %(target)s)"


async def has_pending(database: Database, target: str) -> bool:
    """Return whether deliveries wait, be they due or not."""
    return bool(await database.value(PENDING, {"target": target}))


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """The outcome of a delivery: done, dead, or pending again in `delay` seconds."""

    id: int
    lease_until: datetime
    status: str
    delay: float = 0.0
    error: str | None = None

    def row(self) -> dict[str, Any]:
        """Return it as JSON, as `settle` hands it to PostgreSQL."""
        return {"id": self.id, "lease": self.lease_until.isoformat(), "status": self.status, "delay": self.delay, "error": self.error}


# An endpoint that has taken something is not in trouble any more.
SETTLE: LiteralString = """
    WITH recovered AS (DELETE FROM public.delivery_endpoints WHERE target = %(target)s AND instance_id = ANY(%(working)s))
    UPDATE public.deliveries SET status = s.status, run_at = now() + make_interval(secs => s.delay), lease_until = NULL, last_error = s.error,
        done_at = CASE WHEN s.status <> 'pending' THEN now() END
    FROM jsonb_to_recordset(%(rows)s) AS s (id bigint, lease timestamptz, status text, delay float8, error text)
    WHERE deliveries.id = s.id AND deliveries.lease_until = s.lease
    RETURNING deliveries.id"""


async def settle(database: Database, target: str, settled: Sequence[DeliveryOutcome], *, working: Sequence[UUID]) -> set[int]:
    """Store the outcomes of deliveries; the endpoints of `working` have recovered.

    A delivery that is missing in the answer is gone, or somebody else has claimed it meanwhile.
    """
    params = {"target": target, "rows": jsonb([one.row() for one in settled]), "working": list(working)}
    return {row[0] for row in await database.rows(SETTLE, params)}


GIVE_BACK: LiteralString = """
    UPDATE public.deliveries SET lease_until = NULL, attempts = attempts - 1
    FROM unnest(%(ids)s::bigint[], %(leases)s::timestamptz[]) AS ours (id, lease) WHERE deliveries.id = ours.id AND lease_until = ours.lease"""


async def give_back(database: Database, claimed: Sequence[ClaimedDelivery]) -> None:
    """Release deliveries that were not tried after all: the claim is no attempt."""
    await database.execute(GIVE_BACK, {"ids": [one.id for one in claimed], "leases": [one.lease_until for one in claimed]})


DROP: LiteralString = "DELETE FROM public.deliveries WHERE id = ANY(%(ids)s)"


async def drop(database: Database, ids: Sequence[int]) -> None:
    """Delete deliveries that no target wants."""
    await database.execute(DROP, {"ids": list(ids)})


END: LiteralString = "DELETE FROM public.deliveries WHERE instance_id = ANY(%(ids)s) AND target = %(target)s AND status = 'pending'"


async def end(database: Database, instance_ids: Sequence[UUID], target: str) -> None:
    """Delete the deliveries that wait for a target that was switched off, or whose instances are gone."""
    await database.execute(END, {"ids": list(instance_ids), "target": target})


RESUME: LiteralString = """
    WITH gone AS (DELETE FROM public.delivery_endpoints WHERE instance_id = %(id)s AND (%(target)s::text IS NULL OR target = %(target)s))
    SELECT pg_notify('mcp_messenger_events', '')"""


async def resume(database: Database, instance_id: UUID, target: str | None) -> None:
    """Forget the failures of an endpoint (None: of all of the instance) that was changed or mended, and wake the deliverers."""
    await database.rows(RESUME, {"id": instance_id, "target": target})


# From the threshold on each failure that comes after a pause makes the next one, twice as long.
FAILED: LiteralString = """
    INSERT INTO public.delivery_endpoints AS p (instance_id, target, failures, pauses, paused_until)
    SELECT id, %(target)s, %(count)s::int, CASE WHEN %(count)s >= %(breaker)s THEN 1 ELSE 0 END,
        CASE WHEN %(count)s >= %(breaker)s THEN now() + make_interval(secs => %(pause)s) END
    FROM public.message_instances WHERE id = %(id)s
    ON CONFLICT (instance_id, target) DO UPDATE SET
        failures = least(1000000, p.failures + %(count)s),
        pauses = p.pauses + CASE WHEN p.failures + %(count)s >= %(breaker)s AND coalesce(p.paused_until <= now(), true) THEN 1 ELSE 0 END,
        paused_until = CASE WHEN p.failures + %(count)s >= %(breaker)s AND coalesce(p.paused_until <= now(), true)
            THEN now() + make_interval(secs => least(%(longest)s, %(pause)s * 2 ^ least(p.pauses, 20))) ELSE p.paused_until END
    RETURNING pauses"""


async def failed(database: Database, instance_id: UUID, target: str, *, count: int, breaker: int, pause: float, longest: float) -> bool:
    """Count failures of an endpoint in a row; return whether it is paused by now. Pauses are in seconds."""
    params = {"id": instance_id, "target": target, "count": count, "breaker": breaker, "pause": pause, "longest": longest}
    return (await database.value(FAILED, params) or 0) > 0


PAUSE: LiteralString = """
    INSERT INTO public.delivery_endpoints AS p (instance_id, target, paused_until)
    SELECT id, %(target)s, now() + make_interval(secs => %(seconds)s) FROM public.message_instances WHERE id = %(id)s
    ON CONFLICT (instance_id, target) DO UPDATE SET paused_until = greatest(p.paused_until, excluded.paused_until)"""


async def pause(database: Database, instance_id: UUID, target: str, seconds: float) -> None:
    """Leave the endpoint alone for so many seconds, as it asked."""
    await database.execute(PAUSE, {"id": instance_id, "target": target, "seconds": seconds})


Place = tuple[UUID, str]
"""An instance and the target of its deliveries."""


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """A webhook as deliveries need it, with the secrets of its instance that begin with the prefix asked for. `config` None: it is gone."""

    id: UUID
    target: str
    provider: str
    config: dict[str, Any] | None
    fields: list[str]
    sealed: list[bytes]
    rotated_at: list[datetime]


ENDPOINTS: LiteralString = """
    SELECT i.id, t.target, i.provider, CASE t.target WHEN 'webhook' THEN i.api_webhook_schema ELSE w.config END AS config,
        s.fields, s.sealed, s.rotated_at
    FROM unnest(%(ids)s::uuid[], %(targets)s::text[]) AS t (id, target)
    JOIN public.message_instances i ON i.id = t.id
    LEFT JOIN public.webhooks w ON w.instance_id = t.id AND 'webhook:' || w.number = t.target, LATERAL (
        SELECT coalesce(array_agg(field), '{}') AS fields, coalesce(array_agg(sealed), '{}') AS sealed,
            coalesce(array_agg(rotated_at), '{}') AS rotated_at
        FROM public.instance_secrets WHERE instance_id = i.id AND starts_with(field, %(prefix)s)
    ) AS s"""


async def endpoints(database: Database, places: Collection[Place], *, prefix: str) -> dict[Place, EndpointRow]:
    """Return webhooks as they are now; those of instances that are gone are missing."""
    params = {"ids": [id for id, _ in places], "targets": [target for _, target in places], "prefix": prefix}
    return {(row.id, row.target): row for row in await database.all(EndpointRow, ENDPOINTS, params)}


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    id: int
    event_id: int
    chat_id: str | None
    target: str
    status: str
    attempts: int
    run_at: datetime
    last_error: str | None
    created_at: datetime
    done_at: datetime | None
    type: str | None


LIST: LiteralString = """
    SELECT d.id, d.event_id, d.chat_id, d.target, d.status, d.attempts, d.run_at, d.last_error, d.created_at, d.done_at, e.type
    FROM public.deliveries d LEFT JOIN public.events e ON e.id = d.event_id
    WHERE d.instance_id = %(instance_id)s AND (%(status)s::text IS NULL OR d.status = %(status)s) AND d.id < %(before)s
        AND (%(target)s::text IS NULL OR d.target = %(target)s)
    ORDER BY d.id DESC LIMIT %(limit)s"""


async def listing(
    database: Database, instance_id: UUID, *, status: str | None, target: str | None = None, before: int, limit: int
) -> list[DeliveryRow]:
    """Return deliveries, newest first, those whose number is below `before`."""
    params = {"instance_id": instance_id, "status": status, "target": target, "before": before, "limit": limit}
    return await database.all(DeliveryRow, LIST, params)


RETRY: LiteralString = """
    UPDATE public.deliveries SET status = 'pending', attempts = 0, run_at = now(), created_at = now(), lease_until = NULL, done_at = NULL
    WHERE instance_id = %(instance_id)s AND status = ANY(%(from)s) AND (%(id)s::bigint IS NULL OR id = %(id)s)"""


async def retry(database: Database, instance_id: UUID, delivery_id: int) -> bool:
    """Start a delivery again that is dead or done. False: there is none with this number."""
    return await database.execute(RETRY, {"instance_id": instance_id, "id": delivery_id, "from": ["dead", "done"]}) > 0


async def retry_dead(database: Database, instance_id: UUID) -> int:
    """Start all dead deliveries again; return how many."""
    return await database.execute(RETRY, {"instance_id": instance_id, "id": None, "from": ["dead"]})


REPLAY: LiteralString = """
    INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
    SELECT id, instance_id, chat_id, %(target)s FROM public.events e
    WHERE instance_id = %(instance_id)s AND id > %(after)s
      AND NOT EXISTS (SELECT FROM public.deliveries d WHERE d.status = 'pending' AND d.target = %(target)s AND d.instance_id = e.instance_id
        AND d.event_id = e.id)
    ORDER BY id LIMIT %(limit)s RETURNING event_id"""


async def replay(database: Database, instance_id: UUID, target: str, *, after: int, limit: int) -> list[int]:
    """Deliver events again that are newer than the cursor, except those that wait already; return the events' numbers."""
    params = {"instance_id": instance_id, "target": target, "after": after, "limit": limit}
    return sorted(row[0] for row in await database.rows(REPLAY, params))


GIVE_UP: LiteralString = """
    UPDATE public.deliveries SET status = 'dead', done_at = now(), lease_until = NULL,
        last_error = concat_ws(' ', last_error, 'Given up: it has waited for too long.')
    WHERE status = 'pending' AND created_at < now() - make_interval(secs => %(wait)s) AND (lease_until IS NULL OR lease_until < now())"""
# A failure that was noted in the moment in which the instance was deleted; a webhook of an instance that a former version deleted.
ORPHANS: LiteralString = """
    DELETE FROM public.delivery_endpoints p WHERE NOT EXISTS (SELECT FROM public.message_instances i WHERE i.id = p.instance_id)"""
ORPHANED_WEBHOOKS: LiteralString = """
    DELETE FROM public.webhooks w WHERE NOT EXISTS (SELECT FROM public.message_instances i WHERE i.id = w.instance_id)"""
CLEAN: LiteralString = """
    DELETE FROM public.deliveries WHERE id IN (
        SELECT id FROM public.deliveries WHERE status <> 'pending'
          AND done_at < now() - make_interval(secs => CASE status WHEN 'done' THEN %(done)s::float8 ELSE %(dead)s::float8 END)
          AND done_at < now() - make_interval(secs => %(done)s)
        ORDER BY done_at LIMIT %(limit)s)"""


async def tidy(database: Database, *, wait: float, done: float, dead: float, limit: int = 5000) -> None:
    """Give up what has waited for `wait` seconds; delete what has been done or dead for `done` or `dead` seconds."""
    await database.execute(GIVE_UP, {"wait": wait})
    await database.execute(ORPHANS)
    await database.execute(ORPHANED_WEBHOOKS)
    while await database.execute(CLEAN, {"done": done, "dead": dead, "limit": limit}) == limit:
        pass
