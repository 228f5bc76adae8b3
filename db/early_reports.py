"""Reports about messages that are not stored yet, kept until they are: a restart in between loses none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db.database import Database
from db.json import jsonb

OF_ONE = 100
"""Such reports of one message: a crowd may react to one that is never stored."""
OF_INSTANCE = 5000
"""Such reports of an instance; the oldest give way."""
DAYS = 7
"""Platforms bring what they could not deliver for so long."""


@dataclass(frozen=True, slots=True)
class EarlyReport:
    """One report, and the message that it is about."""

    instance_id: UUID
    platform_id: str
    subject: str
    report: dict[str, Any]
    at: datetime


KEEP: LiteralString = """
    WITH surplus AS (
        DELETE FROM public.early_reports WHERE instance_id = %(instance_id)s AND (platform_id, subject) IN (
            SELECT platform_id, subject FROM public.early_reports WHERE instance_id = %(instance_id)s
                AND (platform_id, subject) <> (%(platform_id)s, %(subject)s) ORDER BY kept_at DESC OFFSET %(of_instance)s - 1)
    )
    INSERT INTO public.early_reports AS known (instance_id, platform_id, subject, report, at)
    SELECT %(instance_id)s, %(platform_id)s, %(subject)s, %(report)s, %(at)s
    WHERE (SELECT count(*) FROM public.early_reports o WHERE o.instance_id = %(instance_id)s AND o.platform_id = %(platform_id)s
        AND o.subject <> %(subject)s) < %(of_one)s
    ON CONFLICT (instance_id, platform_id, subject) DO UPDATE SET report = excluded.report, at = excluded.at, kept_at = now()
        WHERE known.at <= excluded.at"""
INSTANCES: LiteralString = """
    SELECT wanted.id FROM unnest(%(instance_ids)s::uuid[]) AS wanted (id)
    WHERE EXISTS (SELECT FROM public.early_reports e WHERE e.instance_id = wanted.id)"""
FIND: LiteralString = """
    SELECT e.instance_id, e.platform_id, e.subject, e.report, e.at
    FROM unnest(%(instance_ids)s::uuid[], %(platform_ids)s::text[]) AS wanted (instance_id, platform_id)
        JOIN public.early_reports e ON e.instance_id = wanted.instance_id AND e.platform_id = wanted.platform_id
    ORDER BY e.at, e.kept_at, e.subject"""
# A report that was replaced meanwhile stays.
FORGET: LiteralString = """
    DELETE FROM public.early_reports
    WHERE instance_id = %(instance_id)s AND platform_id = %(platform_id)s AND subject = %(subject)s AND at <= %(at)s"""
EXPIRE: LiteralString = "DELETE FROM public.early_reports WHERE kept_at < now() - make_interval(days => %(days)s)"


async def keep(database: Database, report: EarlyReport) -> None:
    """Keep a report in place of an older one of the same subject; one that is older than that changes nothing."""
    bounds = {"of_one": OF_ONE, "of_instance": OF_INSTANCE}
    await database.execute(KEEP, {**_key(report), **bounds, "report": jsonb(report.report)})


async def having(database: Database, instance_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these instances have a report that is kept."""
    return {row[0] for row in await database.rows(INSTANCES, {"instance_ids": list(instance_ids)})}


async def find(database: Database, messages: Sequence[tuple[UUID, str]]) -> list[EarlyReport]:
    """Return what is kept about these messages, which are named by instance and platform id, in its order."""
    params = {"instance_ids": [instance_id for instance_id, _ in messages], "platform_ids": [id for _, id in messages]}
    return await database.all(EarlyReport, FIND, params)


async def forget(database: Database, report: EarlyReport) -> None:
    """Remove a report that was booked."""
    await database.execute(FORGET, _key(report))


async def expire(database: Database) -> int:
    """Remove the reports about messages that nobody will bring any more; return how many."""
    return await database.execute(EXPIRE, {"days": DAYS})


def _key(report: EarlyReport) -> dict[str, object]:
    return {"instance_id": report.instance_id, "platform_id": report.platform_id, "subject": report.subject, "at": report.at}
