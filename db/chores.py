"""Work that one of several servers does for all, now and then."""

from typing import LiteralString
from uuid import UUID

from db.database import Database

CLAIM: LiteralString = """
    INSERT INTO public.chores (name, owner, until) VALUES (%(name)s, %(owner)s, now() + make_interval(secs => %(for)s))
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
    WHERE (chores.until <= now() OR chores.owner = excluded.owner OR chores.until > now() + make_interval(secs => 2 * %(for)s))
        AND (chores.done_at IS NULL OR chores.done_at <= now() - make_interval(secs => %(every)s) OR chores.done_at > now())
    RETURNING name"""
DONE: LiteralString = "UPDATE public.chores SET until = '-infinity', done_at = now() WHERE name = %(name)s AND owner = %(owner)s"


async def claim(database: Database, name: str, owner: UUID, *, every: float, seconds: float) -> bool:
    """Take the work for so many seconds, unless another server has it, or it was done less than `every` seconds ago."""
    return await database.value(CLAIM, {"name": name, "owner": owner, "every": every, "for": seconds}) is not None


async def done(database: Database, name: str, owner: UUID) -> None:
    """Note that the work was done now."""
    await database.execute(DONE, {"name": name, "owner": owner})
