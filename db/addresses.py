"""The TCP ports of instances' own addresses. They stay the same over restarts, and no two instances have the same one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from db.database import Database


@dataclass(frozen=True, slots=True)
class AddressRow:
    """`tcp_port` is None before one was chosen; `trouble` says why no server can listen, None where nothing is in the way."""

    instance_id: UUID
    tcp_port: int | None
    trouble: str | None


OF_INSTANCES: LiteralString = "SELECT instance_id, tcp_port, trouble FROM public.instance_addresses WHERE instance_id = ANY(%(ids)s)"


async def of_instances(database: Database, instance_ids: Sequence[UUID]) -> dict[UUID, AddressRow]:
    """Return the addresses by instance, without those that have none yet."""
    return {row.instance_id: row for row in await database.all(AddressRow, OF_INSTANCES, {"ids": list(instance_ids)})}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instance that a server may listen for. `is_owned`: by that server."""

    instance_id: UUID
    tcp_port: int | None
    trouble: str | None
    is_owned: bool


# A process that serves HTTP has a lease of itself (see leases.ROOM). A stdio process has none: for its instances a server listens.
NOT_ELSEWHERE: LiteralString = """
    SELECT i.id AS instance_id, a.tcp_port, a.trouble, coalesce(l.owner = %(owner)s, false) AS is_owned
    FROM public.message_instances i
    LEFT JOIN public.instance_addresses a ON a.instance_id = i.id
    LEFT JOIN public.leases l ON l.instance_id = i.id AND l.expires_at >= now()
    WHERE l.owner IS NULL OR l.owner = %(owner)s
       OR NOT EXISTS (SELECT FROM public.leases server WHERE server.instance_id = l.owner AND server.expires_at >= now())
    ORDER BY i.created_at, i.id"""


async def not_elsewhere(database: Database, owner: UUID) -> list[Candidate]:
    """Return every instance but those that another server runs, oldest first."""
    return await database.all(Candidate, NOT_ELSEWHERE, {"owner": owner})


OTHERS: LiteralString = "SELECT EXISTS (SELECT FROM public.leases WHERE instance_id = owner AND owner <> %(owner)s AND expires_at >= now())"


async def has_other_servers(database: Database, owner: UUID) -> bool:
    """Return whether another server works on this store, which may be listening on a port that cannot be had here."""
    return await database.value(OTHERS, {"owner": owner})


GIVE_UP: LiteralString = "DELETE FROM public.instance_addresses WHERE instance_id = %(id)s AND tcp_port IS NOT DISTINCT FROM %(former)s"
CLAIM: LiteralString = """
    INSERT INTO public.instance_addresses (instance_id, tcp_port)
    SELECT id, %(port)s FROM public.message_instances WHERE id = %(id)s
    ON CONFLICT DO NOTHING"""


async def claim(database: Database, instance_id: UUID, port: int, *, former: int | None) -> bool:
    """Give the instance this port in place of `former`. False: another instance has it, or this one has got another one meanwhile."""
    async with database.transaction() as connection:
        await connection.execute(GIVE_UP, {"id": instance_id, "former": former})
        cursor = await connection.execute(CLAIM, {"id": instance_id, "port": port})
        return cursor.rowcount > 0


SET_TROUBLE: LiteralString = """
    INSERT INTO public.instance_addresses (instance_id, trouble) SELECT id, %(trouble)s FROM public.message_instances WHERE id = %(id)s
    ON CONFLICT (instance_id) DO UPDATE SET trouble = excluded.trouble"""


async def set_trouble(database: Database, instance_id: UUID, trouble: str | None) -> None:
    """Write down why no server can listen for the instance, or that nothing is in the way any more (None)."""
    await database.execute(SET_TROUBLE, {"id": instance_id, "trouble": trouble})


USED: LiteralString = """
    SELECT a.tcp_port FROM public.instance_addresses a JOIN public.message_instances i ON i.id = a.instance_id
    WHERE a.tcp_port IS NOT NULL ORDER BY a.tcp_port"""


async def used_ports(database: Database) -> list[int]:
    """Return the ports of all instances, in order."""
    return [row[0] for row in await database.rows(USED)]


# An older process deletes an instance and does not know of its address.
FREE_ORPHANS: LiteralString = """
    DELETE FROM public.instance_addresses a WHERE NOT EXISTS (SELECT FROM public.message_instances i WHERE i.id = a.instance_id)"""


async def free_orphans(database: Database) -> None:
    """Free the ports of instances that are gone."""
    await database.execute(FREE_ORPHANS)
