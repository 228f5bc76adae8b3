"""Work that one of several servers does for all, now and then."""

from typing import LiteralString
from uuid import UUID

from db.database import Database

CLAIM: LiteralString = """
    INSERT INTO public.chores (name, owner, until) VALUES (%(name)s, %(owner)s, now() + make_interval(secs => %(for)s))
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
    WHERE (chores.until <= now() OR chores.owner = excluded.owner OR chores.until > now() + make_interval(secs => 2 * %(for)s))
        AND (chores.done_at IS NULL OR chores.done_at <= now() - make_interval(secs => %(every)s) OR chores.done_at > now())
        AND (chores.failed_at IS NULL OR chores.failed_at <= now() - make_interval(secs => %(again)s) OR chores.failed_at > now())
    RETURNING name"""
HOLD: LiteralString = """
    UPDATE public.chores SET until = now() + make_interval(secs => %(for)s) WHERE name = %(name)s AND owner = %(owner)s RETURNING name"""
DONE: LiteralString = """
    UPDATE public.chores SET until = '-infinity', done_at = now(), failed_at = NULL, trouble = NULL WHERE name = %(name)s AND owner = %(owner)s"""
FAILED: LiteralString = """
    UPDATE public.chores SET until = '-infinity', failed_at = now(), trouble = %(trouble)s WHERE name = %(name)s AND owner = %(owner)s"""


async def claim(database: Database, name: str, owner: UUID, *, every: float, seconds: float, again: float = 0.0) -> bool:
    """Take the work for so many seconds.

    False where another server has it, where it was done less than `every` seconds ago, or failed less than `again` seconds ago.
    """
    params = {"name": name, "owner": owner, "every": every, "for": seconds, "again": again}
    return await database.value(CLAIM, params) is not None


async def hold(database: Database, name: str, owner: UUID, *, seconds: float) -> bool:
    """Keep the work for so many seconds more; False where another server has taken it."""
    return await database.value(HOLD, {"name": name, "owner": owner, "for": seconds}) is not None


async def done(database: Database, name: str, owner: UUID) -> None:
    """Note that the work was done now."""
    await database.execute(DONE, {"name": name, "owner": owner})


async def failed(database: Database, name: str, owner: UUID, trouble: str) -> None:
    """Note that the work failed now, and why, in words for people."""
    await database.execute(FAILED, {"name": name, "owner": owner, "trouble": trouble})
