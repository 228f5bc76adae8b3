"""How often each caller may come, counted over all processes by the database's clock: the generic cell rate algorithm in one statement."""

from dataclasses import dataclass
from datetime import timedelta
from typing import LiteralString

from db.database import Database
from db.errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class Grant:
    """`granted` calls may be made; `ahead` is in seconds, until the whole quota is there again."""

    granted: int
    ahead: float


# Each call spends `each` of time; who is `quota` calls ahead of the clock waits. now() is the statement's: a later one can only grant less.
TAKE: LiteralString = """
    INSERT INTO public.rate_limits AS known (key, spent_until, granted)
    VALUES (%(key)s, now() + least(%(wanted)s::int, %(quota)s::int) * %(each)s::interval, least(%(wanted)s::int, %(quota)s::int))
    ON CONFLICT (key) DO UPDATE SET (spent_until, granted) = (
        SELECT spent + free * %(each)s::interval, free
        FROM (SELECT greatest(known.spent_until, now()) AS spent) AS before,
             LATERAL (SELECT greatest(0, least(%(wanted)s::numeric, floor(
                 extract(epoch FROM now() + %(quota)s::int * %(each)s::interval - spent) / extract(epoch FROM %(each)s::interval)
             )))::int AS free) AS room)
    RETURNING granted, extract(epoch FROM spent_until - now())::float8 AS ahead"""


async def take(database: Database, key: bytes, wanted: int, *, quota: int, each: timedelta) -> Grant:
    """Grant up to `wanted` calls to a caller that has `quota` at once and one more every `each`. Raises StoreUnavailable."""
    from psycopg import Error

    try:
        taken = await database.one(Grant, TAKE, {"key": key, "wanted": wanted, "quota": quota, "each": each})
    except Error as error:
        raise StoreUnavailable from error
    assert taken is not None
    return taken


FORGET: LiteralString = "DELETE FROM public.rate_limits WHERE spent_until < now()"


async def forget_idle(database: Database) -> int:
    """Delete the callers that have their whole quota again; return how many."""
    return await database.execute(FORGET)
