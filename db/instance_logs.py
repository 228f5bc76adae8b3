"""Log lines of instances. Retention bounds their age and number."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from db.database import Database

LogLine = tuple[UUID, datetime, str]
"""Instance, time, line."""

# Of an instance that is gone nobody could read or remove them.
APPEND: LiteralString = """
    INSERT INTO public.instance_logs (instance_id, at, line)
    SELECT new.instance_id, new.at, new.line
    FROM unnest(%(instance_ids)s::uuid[], %(times)s::timestamptz[], %(lines)s::text[]) WITH ORDINALITY AS new (instance_id, at, line, number)
    WHERE EXISTS (SELECT FROM public.message_instances i WHERE i.id = new.instance_id) ORDER BY number"""
NEWEST: LiteralString = "SELECT id, line FROM public.instance_logs WHERE instance_id = %(id)s ORDER BY id DESC LIMIT %(limit)s"
AFTER: LiteralString = "SELECT id, line FROM public.instance_logs WHERE instance_id = %(id)s AND id > %(after)s ORDER BY id LIMIT %(limit)s"


async def append(database: Database, lines: Sequence[LogLine]) -> None:
    """Store lines, in their order."""
    if lines:
        instance_ids, times, texts = zip(*lines, strict=True)
        await database.execute(APPEND, {"instance_ids": list(instance_ids), "times": list(times), "lines": list(texts)})


async def newest(database: Database, instance_id: UUID, limit: int) -> list[tuple[int, str]]:
    """Return the newest lines of an instance with their numbers, oldest first."""
    return [(row[0], row[1]) for row in reversed(await database.rows(NEWEST, {"id": instance_id, "limit": limit}))]


async def after(database: Database, instance_id: UUID, number: int, limit: int) -> list[tuple[int, str]]:
    """Return the lines of an instance after this number, oldest first."""
    return [(row[0], row[1]) for row in await database.rows(AFTER, {"id": instance_id, "after": number, "limit": limit})]
