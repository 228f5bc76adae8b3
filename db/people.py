"""One person over several messengers: contacts that were proposed to be one, and confirmed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from db.database import Database


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """A contact, of whom it is proposed or confirmed to be."""

    person_id: UUID
    person_name: str
    instance_id: UUID
    provider: str
    contact_id: str
    name: str
    username: str | None
    phone: str | None
    confirmed_at: datetime | None


PROPOSE: LiteralString = """
    WITH person AS (
        INSERT INTO public.people (user_id, name) SELECT %(user_id)s, %(name)s WHERE %(person_id)s::uuid IS NULL RETURNING id
    )
    INSERT INTO public.identities (instance_id, contact_id, person_id)
    SELECT c.instance_id, c.contact_id, coalesce(%(person_id)s::uuid, person.id)
    FROM unnest(%(instance_ids)s::uuid[], %(contact_ids)s::text[]) AS c (instance_id, contact_id) LEFT JOIN person ON true
    ON CONFLICT (person_id, instance_id, contact_id) DO UPDATE SET proposed_at = identities.proposed_at
    RETURNING person_id"""


async def propose(database: Database, *, user_id: str, person_id: UUID | None, name: str, contacts: Sequence[tuple[UUID, str]]) -> UUID:
    """Store that the contacts, by instance and id, may be one person (None: a new one); return the person."""
    params = {
        "user_id": user_id,
        "person_id": person_id,
        "name": name,
        "instance_ids": [instance_id for instance_id, _ in contacts],
        "contact_ids": [contact_id for _, contact_id in contacts],
    }
    return await database.value(PROPOSE, params)


# A contact that is confirmed to be somebody else stays theirs until that is taken back.
CONFIRM: LiteralString = """
    UPDATE public.identities SET confirmed_at = coalesce(confirmed_at, now()) WHERE person_id = %(person_id)s AND NOT EXISTS (
        SELECT FROM public.identities AS other WHERE other.instance_id = identities.instance_id AND other.contact_id = identities.contact_id
            AND other.person_id <> identities.person_id AND other.confirmed_at IS NOT NULL)"""


async def confirm(database: Database, person_id: UUID) -> int:
    """Confirm all contacts that are proposed for the person; return how many. 0 where another confirmation took one of them meanwhile."""
    from psycopg.errors import UniqueViolation

    try:
        return await database.execute(CONFIRM, {"person_id": person_id})
    except UniqueViolation:
        return 0


TAKE_BACK: LiteralString = """
    WITH gone AS (
        DELETE FROM public.identities WHERE person_id = %(person_id)s
            AND (%(contact_id)s::text IS NULL OR (instance_id, contact_id) = (%(instance_id)s::uuid, %(contact_id)s::text))
        RETURNING instance_id, contact_id
    ), nobody AS (
        DELETE FROM public.people WHERE id = %(person_id)s AND NOT EXISTS (
            SELECT FROM public.identities WHERE person_id = %(person_id)s
                AND (instance_id, contact_id) NOT IN (SELECT gone.instance_id, gone.contact_id FROM gone))
    )
    SELECT count(*) FROM gone"""


async def take_back(database: Database, person_id: UUID, *, instance_id: UUID | None = None, contact_id: str | None = None) -> int:
    """Separate one contact from the person, or all; a person without contacts is deleted. Return how many were separated."""
    return await database.value(TAKE_BACK, {"person_id": person_id, "instance_id": instance_id, "contact_id": contact_id})


LIST: LiteralString = """
    SELECT p.id AS person_id, p.name AS person_name, x.instance_id, i.provider, x.contact_id,
        coalesce(c.name, '') AS name, c.username, c.phone, x.confirmed_at
    FROM public.people p JOIN public.identities x ON x.person_id = p.id JOIN public.message_instances i ON i.id = x.instance_id
    LEFT JOIN public.contacts c ON c.instance_id = x.instance_id AND c.id = x.contact_id
    WHERE p.id IN (
        SELECT id FROM public.people WHERE (%(user_id)s::text IS NULL OR user_id = %(user_id)s) AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
        ORDER BY id LIMIT %(limit)s
    ) ORDER BY p.id, i.provider, x.contact_id"""


async def listing(database: Database, *, user_id: str | None, after: UUID | None, limit: int) -> list[IdentityRow]:
    """Return the contacts of `limit` people (not so many contacts), person by person."""
    return await database.all(IdentityRow, LIST, {"user_id": user_id, "after": after, "limit": limit})


GET: LiteralString = """
    SELECT p.id AS person_id, p.name AS person_name, x.instance_id, i.provider, x.contact_id,
        coalesce(c.name, '') AS name, c.username, c.phone, x.confirmed_at
    FROM public.people p JOIN public.identities x ON x.person_id = p.id JOIN public.message_instances i ON i.id = x.instance_id
    LEFT JOIN public.contacts c ON c.instance_id = x.instance_id AND c.id = x.contact_id
    WHERE p.id = %(id)s AND (%(user_id)s::text IS NULL OR p.user_id = %(user_id)s) ORDER BY i.provider, x.contact_id"""


async def get(database: Database, person_id: UUID, *, user_id: str | None) -> list[IdentityRow]:
    """Return the contacts of a person; nothing where the person is unknown, or another user's."""
    return await database.all(IdentityRow, GET, {"id": person_id, "user_id": user_id})


# The same number on two messengers is a good reason to ask, and no proof.
ALIKE: LiteralString = """
    SELECT a.instance_id, a.id, b.instance_id, b.id
    FROM public.contacts a JOIN public.contacts b ON b.phone = a.phone AND b.phone <> '' AND (b.instance_id, b.id) > (a.instance_id, a.id)
    JOIN public.message_instances i ON i.id = a.instance_id JOIN public.message_instances j ON j.id = b.instance_id AND j.user_id = i.user_id
    WHERE a.phone <> '' AND (%(user_id)s::text IS NULL OR i.user_id = %(user_id)s) AND NOT EXISTS (
        SELECT FROM public.identities x JOIN public.identities y ON y.person_id = x.person_id
        WHERE (x.instance_id, x.contact_id) = (a.instance_id, a.id) AND (y.instance_id, y.contact_id) = (b.instance_id, b.id))
    ORDER BY a.phone, a.instance_id, a.id LIMIT %(limit)s"""


async def alike(database: Database, *, user_id: str | None, limit: int) -> list[tuple[UUID, str, UUID, str]]:
    """Return pairs of contacts, by instance and id, that have one phone number and were not proposed yet."""
    return [(row[0], row[1], row[2], row[3]) for row in await database.rows(ALIKE, {"user_id": user_id, "limit": limit})]
