"""Removes what is older than its rule, a little at a time: the oldest first, and nothing that somebody else is using."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import LiteralString
from uuid import UUID

from db.advisory_locks import EVENT_LOG
from db.database import Database

BATCH = 200
"""Rows of one statement: it takes a few milliseconds."""

# The newest event stays, for readers begin at its number. An event that is still to be delivered stays as well.
EVENTS: LiteralString = """
    WITH oldest AS (
        SELECT id, at FROM public.events WHERE instance_id = %(id)s ORDER BY id LIMIT %(batch)s
    ), doomed AS (
        SELECT e.id FROM public.events e JOIN oldest USING (id)
        WHERE (oldest.at < now() - make_interval(secs => %(seconds)s) OR e.id <= %(boundary)s) AND e.id < (SELECT max(id) FROM public.events)
            AND NOT EXISTS (SELECT FROM public.deliveries d WHERE d.status = 'pending' AND d.instance_id = %(id)s AND d.event_id = e.id
                AND d.target IN ('webhook', 'agno', 'webhook:2', 'webhook:3', 'webhook:4', 'webhook:5', 'webhook:6', 'webhook:7', 'webhook:8',
                    'webhook:9', 'webhook:10'))
            AND (e.id <= (SELECT event_id FROM public.webhook_progress)
                OR NOT EXISTS (SELECT FROM public.webhooks w WHERE w.instance_id = %(id)s AND w.config->'enabled' = 'true'))
        FOR UPDATE OF e SKIP LOCKED
    ), gone AS (
        DELETE FROM public.events WHERE id IN (SELECT id FROM doomed) RETURNING id
    ), horizon AS (
        INSERT INTO public.event_horizons (instance_id, through) SELECT %(id)s, max(id) FROM gone HAVING count(*) > 0
        ON CONFLICT (instance_id) DO UPDATE SET through = greatest(event_horizons.through, excluded.through)
    )
    SELECT array_agg(id) FROM gone"""
DELIVERIES: LiteralString = """
    WITH oldest AS (
        SELECT id, done_at FROM public.deliveries WHERE instance_id = %(id)s AND status <> 'pending' ORDER BY id LIMIT %(batch)s
    ), doomed AS (
        SELECT d.id FROM public.deliveries d JOIN oldest USING (id)
        WHERE oldest.done_at < now() - make_interval(secs => %(seconds)s) OR d.id <= %(boundary)s
        FOR UPDATE OF d SKIP LOCKED
    ), gone AS (
        DELETE FROM public.deliveries WHERE id IN (SELECT id FROM doomed) RETURNING id
    )
    SELECT array_agg(id) FROM gone"""
STATUS_HISTORY: LiteralString = """
    WITH oldest AS (
        SELECT id, at FROM public.status_history WHERE instance_id = %(id)s ORDER BY id LIMIT %(batch)s
    ), doomed AS (
        SELECT h.id FROM public.status_history h JOIN oldest USING (id)
        WHERE oldest.at < now() - make_interval(secs => %(seconds)s) OR h.id <= %(boundary)s
        FOR UPDATE OF h SKIP LOCKED
    ), gone AS (
        DELETE FROM public.status_history WHERE id IN (SELECT id FROM doomed) RETURNING id
    )
    SELECT array_agg(id) FROM gone"""
QR_CODES: LiteralString = """
    WITH oldest AS (
        SELECT id, issued_at FROM public.qr_codes WHERE instance_id = %(id)s AND outcome <> 'current' ORDER BY id LIMIT %(batch)s
    ), doomed AS (
        SELECT q.id FROM public.qr_codes q JOIN oldest USING (id)
        WHERE oldest.issued_at < now() - make_interval(secs => %(seconds)s) OR q.id <= %(boundary)s
        FOR UPDATE OF q SKIP LOCKED
    ), gone AS (
        DELETE FROM public.qr_codes WHERE id IN (SELECT id FROM doomed) RETURNING id
    )
    SELECT array_agg(id) FROM gone"""
REVEALS: LiteralString = """
    WITH oldest AS (
        SELECT id, at FROM public.reveals WHERE instance_id = %(id)s ORDER BY id LIMIT %(batch)s
    ), doomed AS (
        SELECT r.id FROM public.reveals r JOIN oldest USING (id)
        WHERE oldest.at < now() - make_interval(secs => %(seconds)s) OR r.id <= %(boundary)s
        FOR UPDATE OF r SKIP LOCKED
    ), gone AS (
        DELETE FROM public.reveals WHERE id IN (SELECT id FROM doomed) RETURNING id
    )
    SELECT array_agg(id) FROM gone"""
LOGS: LiteralString = """
    WITH oldest AS (
        SELECT id, at FROM public.instance_logs WHERE instance_id = %(id)s ORDER BY id LIMIT %(batch)s
    ), doomed AS (
        SELECT l.id FROM public.instance_logs l JOIN oldest USING (id)
        WHERE oldest.at < now() - make_interval(secs => %(seconds)s) OR l.id <= %(boundary)s
        FOR UPDATE OF l SKIP LOCKED
    ), gone AS (
        DELETE FROM public.instance_logs WHERE id IN (SELECT id FROM doomed) RETURNING id
    )
    SELECT array_agg(id) FROM gone"""
# Sends that are under way stay. The log's lock comes before the rows, as everywhere: chats are written below.
MESSAGES: LiteralString = """
    WITH guard AS MATERIALIZED (SELECT pg_advisory_xact_lock(%(event_log)s)), oldest AS (
        SELECT id, sent_at FROM guard, public.messages WHERE instance_id = %(id)s ORDER BY sent_at, id LIMIT %(batch)s
    ), doomed AS (
        SELECT m.id FROM public.messages m JOIN oldest USING (id)
        WHERE (oldest.sent_at < now() - make_interval(secs => %(seconds)s) OR m.id <= %(boundary)s) AND m.status NOT IN ('queued', 'sending')
        FOR UPDATE OF m SKIP LOCKED
    ), gone AS (
        DELETE FROM public.messages WHERE id IN (SELECT id FROM doomed) RETURNING id, chat_id
    ), files AS (
        DELETE FROM public.media_files WHERE message_id IN (SELECT id FROM gone)
    ), untitled AS (
        UPDATE public.chats SET last_message_id = NULL FROM gone
        WHERE chats.instance_id = %(id)s AND chats.id = gone.chat_id AND chats.last_message_id = gone.id
    )
    SELECT array_agg(id) FROM gone"""

BOUNDARIES: Mapping[str, LiteralString] = MappingProxyType(
    {
        "events": "SELECT id FROM public.events WHERE instance_id = %(id)s ORDER BY id DESC OFFSET %(newest)s LIMIT 1",
        "deliveries": "SELECT id FROM public.deliveries WHERE instance_id = %(id)s ORDER BY id DESC OFFSET %(newest)s LIMIT 1",
        "status_history": "SELECT id FROM public.status_history WHERE instance_id = %(id)s ORDER BY id DESC OFFSET %(newest)s LIMIT 1",
        "qr_codes": "SELECT id FROM public.qr_codes WHERE instance_id = %(id)s ORDER BY id DESC OFFSET %(newest)s LIMIT 1",
        "reveals": "SELECT id FROM public.reveals WHERE instance_id = %(id)s ORDER BY id DESC OFFSET %(newest)s LIMIT 1",
        "logs": "SELECT id FROM public.instance_logs WHERE instance_id = %(id)s ORDER BY id DESC OFFSET %(newest)s LIMIT 1",
        "messages": "SELECT id FROM public.messages WHERE instance_id = %(id)s ORDER BY id DESC OFFSET %(newest)s LIMIT 1",
    }
)
"""The newest row that is too many, by kind."""

REMOVALS: Mapping[str, LiteralString] = MappingProxyType(
    {
        "events": EVENTS,
        "deliveries": DELIVERIES,
        "status_history": STATUS_HISTORY,
        "qr_codes": QR_CODES,
        "reveals": REVEALS,
        "logs": LOGS,
        "messages": MESSAGES,
    }
)
FOREVER = 1e11
"""Seconds that nothing reaches: PostgreSQL's dates go that far back."""


@dataclass(frozen=True)
class Rule:
    """The rows to keep: those younger than so many seconds, and of these the newest so many. None: no limit."""

    seconds: int | None = None
    newest: int | None = None


async def boundary(database: Database, kind: str, instance_id: UUID, newest: int | None) -> int:
    """Return the number of the newest row of the instance beyond the newest so many; 0: there is none."""
    if newest is None:
        return 0
    return await database.value(BOUNDARIES[kind], {"id": instance_id, "newest": newest}) or 0


async def remove(database: Database, kind: str, instance_id: UUID, rule: Rule, boundary: int) -> list[int]:
    """Remove a batch of what is too old or too many; return its ids, none where nothing is left to remove."""
    seconds = FOREVER if rule.seconds is None else float(rule.seconds)
    params = {"id": instance_id, "batch": BATCH, "seconds": seconds, "boundary": boundary, "event_log": EVENT_LOG}
    return await database.value(REMOVALS[kind], params) or []


ABANDONED: LiteralString = "DELETE FROM public.calls WHERE created_at < now() - interval '1 day'"
ERRORS: LiteralString = "DELETE FROM public.instance_errors WHERE at < now() - make_interval(secs => %(seconds)s)"


async def remove_calls(database: Database) -> int:
    """Remove calls between servers that nobody will answer or read any more."""
    return await database.execute(ABANDONED)


async def remove_errors(database: Database, seconds: int) -> int:
    """Remove errors of instances that have not come again for so long."""
    return await database.execute(ERRORS, {"seconds": float(seconds)})


INSTANCES: LiteralString = "SELECT id FROM public.message_instances ORDER BY id"
OVERRIDES: LiteralString = "SELECT instance_id, kind, seconds, newest FROM public.instance_retention"
OF_INSTANCE: LiteralString = "SELECT instance_id, kind, seconds, newest FROM public.instance_retention WHERE instance_id = %(id)s"
SET: LiteralString = """
    INSERT INTO public.instance_retention (instance_id, kind, seconds, newest) VALUES (%(id)s, %(kind)s, %(seconds)s, %(newest)s)
    ON CONFLICT (instance_id, kind) DO UPDATE SET seconds = excluded.seconds, newest = excluded.newest"""
UNSET: LiteralString = "DELETE FROM public.instance_retention WHERE instance_id = %(id)s AND kind = %(kind)s"


async def instances(database: Database) -> list[UUID]:
    """Return the ids of all instances."""
    return [row[0] for row in await database.rows(INSTANCES)]


async def overrides(database: Database) -> dict[UUID, dict[str, Rule]]:
    """Return the rules of instances that have some, by kind."""
    found: dict[UUID, dict[str, Rule]] = {}
    for instance_id, kind, seconds, newest in await database.rows(OVERRIDES):
        found.setdefault(instance_id, {})[kind] = Rule(seconds, newest)
    return found


async def rules_of(database: Database, instance_id: UUID) -> dict[str, Rule]:
    """Return the instance's rules, by kind; a kind that is missing has the server's rule."""
    return {row[1]: Rule(row[2], row[3]) for row in await database.rows(OF_INSTANCE, {"id": instance_id})}


async def set_rules(database: Database, instance_id: UUID, rules: Mapping[str, Rule | None]) -> None:
    """Set rules of an instance by kind. None: as the server's from now on."""
    for kind, rule in rules.items():
        params = {"id": instance_id, "kind": kind, "seconds": rule and rule.seconds, "newest": rule and rule.newest}
        await database.execute(UNSET if rule is None else SET, params)


PRESENT: LiteralString = "SELECT id FROM public.messages WHERE id = ANY(%(ids)s::bigint[])"


async def present(database: Database, ids: list[int]) -> set[int]:
    """Return those of the messages that are there."""
    return {row[0] for row in await database.rows(PRESENT, {"ids": ids})}
