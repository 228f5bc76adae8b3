"""Leases: the process that owns each instance. The clock is the database's; the epoch fences an owner that has been replaced."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

from db.database import Database

TTL = 10.0
"""Seconds until an owner that does not renew is replaced."""

HORIZON = timedelta(seconds=TTL + 2.0)
"""No lease ends later from now than this, but one that was written before the database's clock was set back: it counts as expired."""

# Rows are locked in the order of their ids, here and in RENEW: two processes never wait for one another crosswise.
ACQUIRE: LiteralString = """
    INSERT INTO public.leases (instance_id, owner, expires_at)
    SELECT free.id, %(owner)s, now() + make_interval(secs => %(ttl)s) FROM (
        SELECT i.id FROM public.message_instances i LEFT JOIN public.leases l ON l.instance_id = i.id
        WHERE i.desired = 'running' AND i.runtime = ANY(%(runtimes)s)
          AND (l.expires_at IS NULL OR l.expires_at NOT BETWEEN now() AND now() + %(horizon)s::interval) AND i.id <> ALL(%(handed_over)s::uuid[])
          AND NOT EXISTS (
            SELECT FROM unnest(%(but)s::uuid[], %(as_of)s::timestamptz[]) AS but (id, as_of) WHERE but.id = i.id AND but.as_of = i.updated_at)
        ORDER BY random() LIMIT %(limit)s::bigint
    ) AS free
    ORDER BY free.id
    ON CONFLICT (instance_id) DO UPDATE
        SET owner = excluded.owner, epoch = leases.epoch + 1, expires_at = excluded.expires_at
        -- By the clock and not by the beginning of a statement that may have waited for the row.
        WHERE leases.expires_at < now() OR leases.expires_at > clock_timestamp() + %(horizon)s::interval
    RETURNING instance_id, epoch"""


async def acquire(
    database: Database,
    owner: UUID,
    runtimes: Sequence[str],
    *,
    but: Mapping[UUID, datetime] | None = None,
    handed_over: Collection[UUID] = (),
    limit: int | None = None,
) -> dict[UUID, int]:
    """Take every instance (or at most `limit` of them) that should run and has no owner; return its new epoch by instance.

    `but` leaves instances out as long as they are as they were then (`updated_at`), `handed_over` in any case.
    """
    but = but or {}
    left_out = {"but": list(but), "as_of": list(but.values()), "handed_over": list(handed_over)}
    params = {"owner": owner, "ttl": TTL, "runtimes": list(runtimes), "limit": limit, "horizon": HORIZON, **left_out}
    return {row[0]: row[1] for row in await database.rows(ACQUIRE, params)}


# A process that shares has a lease of itself, under its own id, by which the others count it.
CAPACITY: LiteralString = """
    WITH here AS (
        INSERT INTO public.leases (instance_id, owner, expires_at) VALUES (%(owner)s, %(owner)s, now() + make_interval(secs => %(ttl)s))
        ON CONFLICT (instance_id) DO UPDATE SET expires_at = excluded.expires_at
    ), forgotten AS (
        DELETE FROM public.leases WHERE instance_id = owner AND owner <> %(owner)s AND expires_at < now() - interval '1 hour'
    )
    SELECT ceil(all_of_them.wanted::float8 / (1 + others.count))::int - all_of_them.ours::int
    FROM (
        SELECT count(*) AS wanted,
            count(*) FILTER (WHERE l.owner = %(owner)s AND l.expires_at BETWEEN now() AND now() + %(horizon)s::interval) AS ours
        FROM public.message_instances i LEFT JOIN public.leases l ON l.instance_id = i.id WHERE i.desired = 'running' AND i.runtime = %(runtime)s
    ) AS all_of_them, (
        SELECT count(*) AS count FROM public.leases WHERE instance_id = owner AND owner <> %(owner)s
            AND expires_at BETWEEN now() AND now() + %(horizon)s::interval
    ) AS others"""


async def capacity(database: Database, owner: UUID, runtime: str) -> int:
    """Return how many more instances of the runtime are this process's share; below zero: how many it has too many.

    To be called as often as leases are renewed: who does not is not counted any more.
    """
    return await database.value(CAPACITY, {"owner": owner, "ttl": TTL, "horizon": HORIZON, "runtime": runtime})


LEAVE: LiteralString = """
    WITH gone AS (
        DELETE FROM public.leases WHERE instance_id = owner AND owner = %(owner)s
    ), ours AS MATERIALIZED (
        SELECT instance_id FROM public.leases WHERE owner = %(owner)s AND instance_id <> owner AND instance_id <> ALL(%(owned)s::uuid[])
          AND expires_at > now() ORDER BY instance_id FOR UPDATE
    ), freed AS (
        UPDATE public.leases SET expires_at = '-infinity' FROM ours WHERE leases.instance_id = ours.instance_id RETURNING ours.instance_id
    )
    SELECT pg_notify('mcp_messenger_instances', instance_id::text) FROM freed"""


async def leave(database: Database, owner: UUID, *, owned: Collection[UUID]) -> None:
    """Give up the process's share and the leases it does not know it has: all but `owned` were taken by a call that was cut short."""
    await database.rows(LEAVE, {"owner": owner, "owned": list(owned)})


# A renewal that is under way when the lease is released must not bring it back.
RENEW: LiteralString = """
    WITH ours AS MATERIALIZED (
        SELECT leases.instance_id, leases.expires_at > now() + %(horizon)s::interval AS is_ahead FROM public.leases
        JOIN unnest(%(ids)s::uuid[], %(epochs)s::bigint[]) AS mine (id, epoch) ON leases.instance_id = mine.id AND leases.epoch = mine.epoch
        WHERE leases.expires_at > '-infinity'
        ORDER BY leases.instance_id FOR UPDATE OF leases
    )
    UPDATE public.leases SET expires_at = now() + make_interval(secs => %(ttl)s) FROM ours WHERE leases.instance_id = ours.instance_id
    RETURNING leases.instance_id, ours.is_ahead"""


async def renew(database: Database, owned: Mapping[UUID, int]) -> tuple[set[UUID], bool]:
    """Renew leases, by instance and epoch; return the instances that are still ours, and whether the clock was set back since they were written."""
    params = {"ttl": TTL, "ids": list(owned), "epochs": list(owned.values()), "horizon": HORIZON}
    found = await database.rows(RENEW, params, urgent=True)
    return {row[0] for row in found}, any(row[1] for row in found)


RELEASE: LiteralString = """
    WITH freed AS (
        UPDATE public.leases SET expires_at = '-infinity' WHERE instance_id = %(id)s AND epoch = %(epoch)s RETURNING instance_id
    )
    SELECT pg_notify('mcp_messenger_instances', instance_id::text) FROM freed"""


async def release(database: Database, instance_id: UUID, epoch: int) -> None:
    """Give an instance up; the row stays, so that the next epoch is higher."""
    await database.rows(RELEASE, {"id": instance_id, "epoch": epoch})


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The state that is wanted of an instance (running or stopped), and whether something queued waits to be sent."""

    id: UUID
    desired: str
    has_queued_sends: bool


DESIRED_STATES: LiteralString = """
    SELECT i.id, i.desired,
        EXISTS (SELECT FROM public.outbox WHERE instance_id = i.id AND claimed_epoch IS NULL AND not_before <= now()) AS has_queued_sends
    FROM public.message_instances i WHERE i.id = ANY(%(ids)s)"""


async def desired_states(database: Database, instance_ids: Sequence[UUID]) -> dict[UUID, DesiredState]:
    """Return the wanted states by instance; instances that are gone are missing."""
    return {state.id: state for state in await database.all(DesiredState, DESIRED_STATES, {"ids": list(instance_ids)})}


ORPHANED_INSTANCES: LiteralString = """
    SELECT i.id FROM public.message_instances i LEFT JOIN public.leases l ON l.instance_id = i.id
    WHERE i.desired = 'stopped' AND i.status IN ('starting', 'qr_ready', 'authenticated', 'ready', 'degraded')
      AND (l.expires_at IS NULL OR l.expires_at NOT BETWEEN now() AND now() + %(horizon)s::interval)"""


async def orphaned_instances(database: Database) -> list[UUID]:
    """Return instances that should be stopped and do not run, though their status says they do: their owner died on the way."""
    return [row[0] for row in await database.rows(ORPHANED_INSTANCES, {"horizon": HORIZON})]


WAITING: LiteralString = """
    SELECT i.id FROM public.message_instances i LEFT JOIN public.leases l ON l.instance_id = i.id
    WHERE i.desired = 'running' AND i.runtime = %(runtime)s AND i.status_reason IS DISTINCT FROM %(reason)s
      AND (l.expires_at IS NULL OR l.expires_at NOT BETWEEN now() AND now() + %(horizon)s::interval)"""


async def waiting(database: Database, runtime: str, reason: str) -> list[UUID]:
    """Return instances of the runtime that should run, have no owner, and do not give this reason yet."""
    return [row[0] for row in await database.rows(WAITING, {"runtime": runtime, "reason": reason, "horizon": HORIZON})]


@dataclass(frozen=True, slots=True)
class Fate:
    """The fate of the container or process that an instance ran in."""

    id: UUID
    desired: str
    is_owned: bool


FATES: LiteralString = """
    SELECT i.id, i.desired, coalesce(l.expires_at BETWEEN now() AND now() + %(horizon)s::interval, false) AS is_owned
    FROM public.message_instances i LEFT JOIN public.leases l ON l.instance_id = i.id WHERE i.id = ANY(%(ids)s)"""


async def fates(database: Database, instance_ids: Sequence[UUID]) -> dict[UUID, Fate]:
    """Return by instance what should become of its container; instances that are gone are missing."""
    return {fate.id: fate for fate in await database.all(Fate, FATES, {"ids": list(instance_ids), "horizon": HORIZON})}


OWNER: LiteralString = """
    SELECT owner FROM public.leases WHERE instance_id = %(id)s AND expires_at BETWEEN now() AND now() + %(horizon)s::interval"""


async def owner_of(database: Database, instance_id: UUID) -> UUID | None:
    """Return the process that owns the instance; None: none does."""
    return await database.value(OWNER, {"id": instance_id, "horizon": HORIZON})


TELL_OWNER: LiteralString = "SELECT pg_notify('mcp_messenger_outbox', %(id)s::text)"


async def tell_owner(database: Database, instance_id: UUID) -> None:
    """Wake the process that sends for the instance."""
    await database.rows(TELL_OWNER, {"id": instance_id})
