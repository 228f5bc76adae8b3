"""Counts what a user has and sends."""

from datetime import datetime
from typing import LiteralString

from db.database import Database

MESSAGES: LiteralString = """
    SELECT date_trunc('day', m.sent_at AT TIME ZONE 'UTC') AS day, m.outgoing, count(*)
    FROM public.message_instances i JOIN public.messages m ON m.instance_id = i.id
    WHERE i.user_id = %(user_id)s AND m.sent_at >= %(since)s
    GROUP BY day, m.outgoing ORDER BY day"""


async def messages_by_day(database: Database, user_id: str, *, since: datetime) -> list[tuple[datetime, bool, int]]:
    """Return (start of the day in UTC, outgoing, number), oldest first."""
    return [(row[0], row[1], row[2]) for row in await database.rows(MESSAGES, {"user_id": user_id, "since": since})]


STATES: LiteralString = "SELECT status, count(*) FROM public.message_instances WHERE user_id = %(user_id)s GROUP BY status ORDER BY status"


async def instances_by_state(database: Database, user_id: str) -> dict[str, int]:
    """Return how many instances are in which state."""
    return {row[0]: row[1] for row in await database.rows(STATES, {"user_id": user_id})}


DELIVERIES: LiteralString = """
    SELECT d.status, count(*) FROM public.message_instances i JOIN public.deliveries d ON d.instance_id = i.id
    WHERE i.user_id = %(user_id)s AND d.status IN ('pending', 'dead') AND starts_with(d.target, 'webhook')
    GROUP BY d.status"""


async def deliveries(database: Database, user_id: str) -> dict[str, int]:
    """Return how many deliveries to webhooks wait, and how many were given up."""
    return {row[0]: row[1] for row in await database.rows(DELIVERIES, {"user_id": user_id})}
