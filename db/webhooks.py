"""Further webhooks of instances, beside the one in message_instances: webhook 1. Each has its target among the deliveries."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db.database import Database
from db.json import jsonb

FIRST = 1
NUMBERS = range(2, 11)
TARGET = "webhook"
"""Of deliveries to webhook 1."""


def target_of(number: int) -> str:
    """Return the target of a webhook's deliveries."""
    return TARGET if number == FIRST else f"{TARGET}:{number}"


def number_of(target: str) -> int:
    """Return the number of the webhook that has this target."""
    return int(target.partition(":")[2] or FIRST)


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A webhook, and how it fares: `failures` in a row, and until when it is left alone."""

    number: int
    config: dict[str, Any] | None
    failures: int
    paused_until: datetime | None


LIST: LiteralString = """
    SELECT w.number, w.config, coalesce(p.failures, 0) AS failures, p.paused_until
    FROM (
        SELECT 1 AS number, api_webhook_schema AS config FROM public.message_instances
        WHERE id = %(id)s AND coalesce(api_webhook_schema->>'url', '') <> ''
        UNION ALL SELECT number, config FROM public.webhooks WHERE instance_id = %(id)s
    ) AS w LEFT JOIN public.delivery_endpoints p
        ON p.instance_id = %(id)s AND p.target = CASE w.number WHEN 1 THEN 'webhook' ELSE 'webhook:' || w.number END
    ORDER BY w.number"""


async def listing(database: Database, instance_id: UUID) -> list[WebhookRow]:
    """Return the webhooks of an instance by number, webhook 1 only where it has an address."""
    return await database.all(WebhookRow, LIST, {"id": instance_id})


# The first webhook of all begins with the newest event: what was logged before is for none.
ADD: LiteralString = """
    WITH newest AS (SELECT coalesce(max(id), 0) AS id FROM public.events
    ), begun AS (
        UPDATE public.webhook_progress SET event_id = newest.id FROM newest
        WHERE webhook_progress.event_id < newest.id AND NOT EXISTS (SELECT FROM public.webhooks)
    ), added AS (
        INSERT INTO public.webhooks (instance_id, number, config, since)
        SELECT i.id, (SELECT min(n) FROM generate_series(2, 10) AS n
            WHERE NOT EXISTS (SELECT FROM public.webhooks w WHERE w.instance_id = i.id AND w.number = n)), %(config)s, newest.id
        FROM public.message_instances i, newest WHERE i.id = %(id)s
            AND (SELECT count(*) FROM public.webhooks w WHERE w.instance_id = i.id) < 9
        ON CONFLICT DO NOTHING RETURNING number
    )
    SELECT number FROM added"""
COUNT: LiteralString = "SELECT count(*) FROM public.webhooks WHERE instance_id = %(id)s"


async def add(database: Database, instance_id: UUID, config: dict[str, Any]) -> int | None:
    """Store a further webhook; return its number. None: the instance has as many as there may be."""
    while (number := await database.value(ADD, {"id": instance_id, "config": jsonb(config)})) is None:
        # Somebody else may have taken the number in the same moment.
        if await database.value(COUNT, {"id": instance_id}) in {0, len(NUMBERS)}:
            return None
    return number


SET: LiteralString = """
    WITH newest AS (SELECT coalesce(max(id), 0) AS id FROM public.events)
    UPDATE public.webhooks SET config = %(config)s,
        since = CASE WHEN config->'enabled' = 'true' THEN since ELSE newest.id END
    FROM newest WHERE instance_id = %(id)s AND number = %(number)s"""


async def set_config(database: Database, instance_id: UUID, number: int, config: dict[str, Any]) -> bool:
    """Change a further webhook; one that is enabled again gets no events of before. False: there is none."""
    return await database.execute(SET, {"id": instance_id, "number": number, "config": jsonb(config)}) > 0


REMOVE: LiteralString = """
    WITH gone AS (DELETE FROM public.webhooks WHERE instance_id = %(id)s AND number = %(number)s RETURNING number),
        deliveries AS (DELETE FROM public.deliveries WHERE instance_id = %(id)s AND target = %(target)s AND EXISTS (SELECT FROM gone)),
        endpoints AS (DELETE FROM public.delivery_endpoints WHERE instance_id = %(id)s AND target = %(target)s AND EXISTS (SELECT FROM gone)),
        secrets AS (DELETE FROM public.instance_secrets WHERE instance_id = %(id)s AND starts_with(field, %(prefix)s) AND EXISTS (SELECT FROM gone))
    SELECT number FROM gone"""


async def remove(database: Database, instance_id: UUID, number: int, *, prefix: str) -> bool:
    """Delete a further webhook with its deliveries and its secrets, whose fields begin with the prefix. False: there is none."""
    params = {"id": instance_id, "number": number, "target": target_of(number), "prefix": prefix}
    return bool(await database.rows(REMOVE, params))


# An event has its number under the lock of the log, so none with a lower one comes later. One server at a time does this.
SPREAD: LiteralString = """
    WITH progress AS MATERIALIZED (
        SELECT event_id FROM public.webhook_progress WHERE EXISTS (SELECT FROM public.webhooks) FOR UPDATE SKIP LOCKED
    ), fresh AS MATERIALIZED (
        SELECT e.id, e.instance_id, e.chat_id FROM progress CROSS JOIN LATERAL (
            SELECT id, instance_id, chat_id FROM public.events WHERE id > progress.event_id ORDER BY id LIMIT %(limit)s) AS e
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT fresh.id, fresh.instance_id, fresh.chat_id, 'webhook:' || w.number
        FROM fresh JOIN public.webhooks w ON w.instance_id = fresh.instance_id AND w.since < fresh.id
        WHERE w.config->'enabled' = 'true' ORDER BY fresh.id
    ), moved AS (
        UPDATE public.webhook_progress SET event_id = newest.id FROM (SELECT max(id) AS id FROM fresh) AS newest WHERE newest.id IS NOT NULL
    )
    SELECT count(*)::int FROM fresh"""


async def spread(database: Database, *, limit: int) -> bool:
    """Write the deliveries of new events to further webhooks; return whether there may be more events."""
    return (await database.value(SPREAD, {"limit": limit}) or 0) == limit


@dataclass(frozen=True, slots=True)
class Work:
    """`targets`: of webhooks for which deliveries wait, be they due or not; `is_behind`: events were not looked at for further webhooks."""

    targets: list[str]
    is_behind: bool


WORK: LiteralString = """
    SELECT ARRAY(
            SELECT target FROM (SELECT 'webhook' AS target UNION SELECT 'webhook:' || number FROM public.webhooks) AS known
            WHERE EXISTS (SELECT FROM public.deliveries d WHERE d.status = 'pending' AND d.target = known.target)
        ) AS targets,
        EXISTS (SELECT FROM public.webhooks) AND EXISTS (
            SELECT FROM public.events WHERE id > (SELECT event_id FROM public.webhook_progress)) AS is_behind"""


async def work(database: Database) -> Work:
    """Return what there is to do."""
    found = await database.one(Work, WORK)
    assert found is not None
    return found
