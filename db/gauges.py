"""How things stand now, counted for monitoring."""

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from db.database import Database
from db.leases import HORIZON


@dataclass(frozen=True, slots=True)
class Gauge:
    """Of one instance. Ages in seconds, 0 where nothing waits."""

    id: UUID
    provider: str
    name: str
    status: str
    leased: bool
    queued: int
    queued_age: float
    pending: dict[str, int]
    """Deliveries that wait, by target."""
    dead: dict[str, int]
    pending_age: float


GAUGES: LiteralString = """
    WITH mail AS (
        SELECT instance_id, count(*) AS queued, extract(epoch FROM now() - min(not_before))::float8 AS age FROM public.outbox GROUP BY instance_id
    ), waiting AS (
        SELECT instance_id, target, count(*) AS n, extract(epoch FROM now() - min(run_at))::float8 AS age
        FROM public.deliveries WHERE status = 'pending' GROUP BY instance_id, target
    ), dead AS (SELECT instance_id, target, count(*) AS n FROM public.deliveries WHERE status = 'dead' GROUP BY instance_id, target)
    SELECT i.id, i.provider, i.name, i.status, coalesce(l.expires_at BETWEEN now() AND now() + %(horizon)s::interval, false) AS leased,
        coalesce(mail.queued, 0) AS queued, greatest(coalesce(mail.age, 0), 0) AS queued_age,
        coalesce((SELECT jsonb_object_agg(target, n) FROM waiting WHERE instance_id = i.id), '{}') AS pending,
        coalesce((SELECT jsonb_object_agg(target, n) FROM dead WHERE instance_id = i.id), '{}') AS dead,
        greatest(coalesce((SELECT max(age) FROM waiting WHERE instance_id = i.id), 0), 0) AS pending_age
    FROM public.message_instances i LEFT JOIN public.leases l ON l.instance_id = i.id LEFT JOIN mail ON mail.instance_id = i.id"""


async def gauges(database: Database) -> list[Gauge]:
    """Return the figures of every instance."""
    return await database.all(Gauge, GAUGES, {"horizon": HORIZON})


@dataclass(frozen=True, slots=True)
class Standing:
    """`now` is the database's clock, in seconds since 1970. `queue_age` is of the oldest send that is due in a ready instance, in seconds."""

    now: float
    queue_age: float
    silent_agents: int
    """Instances whose agent has failed several times in a row."""
    backup_age: float | None
    """Seconds since the last backup that a server made by itself; None: never."""
    backup_trouble: str | None
    """Why the last try failed."""


STANDING: LiteralString = """
    SELECT extract(epoch FROM clock_timestamp())::float8 AS now,
        greatest(0, (SELECT coalesce(extract(epoch FROM now() - min(o.not_before)), 0) FROM public.outbox o
            JOIN public.message_instances i ON i.id = o.instance_id WHERE i.status = 'ready'))::float8 AS queue_age,
        (SELECT count(DISTINCT instance_id) FROM public.deliveries
            WHERE target = 'agno' AND status = 'pending' AND attempts > 1 AND last_error IS NOT NULL)::int AS silent_agents,
        (SELECT extract(epoch FROM now() - done_at) FROM public.chores WHERE name = 'backup')::float8 AS backup_age,
        (SELECT trouble FROM public.chores WHERE name = 'backup') AS backup_trouble"""


async def standing(database: Database) -> Standing:
    """Return what may be going wrong over all instances."""
    found = await database.one(Standing, STANDING)
    assert found is not None
    return found
