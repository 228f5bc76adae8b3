"""Who holds the connection of which instance. The clock is the database's; the epoch fences a holder that has been replaced."""

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

from db.database import Database

TTL = 15.0
"""Seconds until an owner that does not renew is replaced."""

ACQUIRE: LiteralString = """
    INSERT INTO leases (instance_id, owner, expires_at)
    SELECT id, %(owner)s, now() + make_interval(secs => %(ttl)s) FROM message_instances
    WHERE desired = 'running' AND runtime = ANY(%(runtimes)s) AND (%(only)s::uuid IS NULL OR id = %(only)s)
    ON CONFLICT (instance_id) DO UPDATE
        SET owner = excluded.owner, epoch = leases.epoch + 1, expires_at = excluded.expires_at
        WHERE leases.expires_at < now()
    RETURNING instance_id, epoch"""


async def acquire(database: Database, owner: UUID, runtimes: Sequence[str], *, only: UUID | None = None) -> dict[UUID, int]:
    """Take every instance (or one) that should run and that nobody holds; its new epoch by instance."""
    rows = await database.rows(ACQUIRE, {"owner": owner, "ttl": TTL, "runtimes": list(runtimes), "only": only})
    return {row[0]: row[1] for row in rows}


RENEW: LiteralString = """
    UPDATE leases SET expires_at = now() + make_interval(secs => %(ttl)s)
    FROM unnest(%(ids)s::uuid[], %(epochs)s::bigint[]) AS mine (id, epoch)
    WHERE leases.instance_id = mine.id AND leases.epoch = mine.epoch AND owner = %(owner)s
    RETURNING leases.instance_id"""


async def renew(database: Database, owner: UUID, held: dict[UUID, int]) -> set[UUID]:
    """Those still ours."""
    rows = await database.rows(RENEW, {"owner": owner, "ttl": TTL, "ids": list(held), "epochs": list(held.values())})
    return {row[0] for row in rows}


RELEASE: LiteralString = """
    WITH freed AS (
        UPDATE leases SET expires_at = '-infinity'
        FROM unnest(%(ids)s::uuid[], %(epochs)s::bigint[]) AS mine (id, epoch)
        WHERE leases.instance_id = mine.id AND leases.epoch = mine.epoch AND owner = %(owner)s
        RETURNING leases.instance_id
    )
    SELECT pg_notify('mcp_messenger_instances', instance_id::text) FROM freed"""


async def release(database: Database, owner: UUID, held: dict[UUID, int]) -> None:
    """Give instances up; the row stays, so that the next epoch is higher."""
    await database.rows(RELEASE, {"owner": owner, "ids": list(held), "epochs": list(held.values())})


DESIRED: LiteralString = """
    SELECT i.id, i.desired FROM message_instances i WHERE i.id = ANY(%(ids)s)"""


async def desired(database: Database, instance_ids: Sequence[UUID]) -> dict[UUID, str]:
    """What is wanted of instances: running or stopped; those that are gone are missing."""
    return {row[0]: row[1] for row in await database.rows(DESIRED, {"ids": list(instance_ids)})}


HOLDER: LiteralString = "SELECT owner FROM leases WHERE instance_id = %(id)s AND expires_at >= now()"


async def holder(database: Database, instance_id: UUID) -> UUID | None:
    return await database.value(HOLDER, {"id": instance_id})


TELL_OWNER: LiteralString = "SELECT pg_notify('mcp_messenger_outbox', %(id)s::text)"


async def tell_owner(database: Database, instance_id: UUID) -> None:
    """Wake the process that sends for the instance."""
    await database.rows(TELL_OWNER, {"id": instance_id})
