"""Keys with scopes. They are stored as keyed digests; whoever holds one alone has the key itself."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db.database import Database
from db.json import jsonb


@dataclass(frozen=True, slots=True)
class NewAccessKey:
    """`instance_ids` None: all instances of the user."""

    id: UUID
    user_id: str
    name: str
    prefix: str
    digest: bytes
    scopes: list[str]
    instance_ids: list[UUID] | None
    created_by: str
    expires_at: datetime | None
    policy: dict[str, Any] | None = None
    """What it narrows of its instances' policies."""


@dataclass(frozen=True, slots=True)
class AccessKeyRow:
    """`kind` token: a user's token, which has every scope."""

    id: UUID
    kind: str
    user_id: str
    name: str
    prefix: str
    scopes: list[str] | None
    instance_ids: list[UUID] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    policy: dict[str, Any] | None


ADD: LiteralString = """
    INSERT INTO public.access_keys (id, user_id, name, prefix, digest, scopes, instance_ids, created_by, expires_at, policy)
    VALUES (%(id)s, %(user_id)s, %(name)s, %(prefix)s, %(digest)s, %(scopes)s, %(instance_ids)s, %(created_by)s, %(expires_at)s, %(policy)s)"""


async def add(database: Database, key: NewAccessKey) -> None:
    """Store a key."""
    await database.execute(
        ADD,
        {
            "id": key.id,
            "user_id": key.user_id,
            "name": key.name,
            "prefix": key.prefix,
            "digest": key.digest,
            "scopes": key.scopes,
            "instance_ids": key.instance_ids,
            "created_by": key.created_by,
            "expires_at": key.expires_at,
            "policy": None if key.policy is None else jsonb(key.policy),
        },
    )


LIST: LiteralString = """
    SELECT id, 'key' AS kind, user_id, name, prefix, scopes, instance_ids, created_at, expires_at, last_used_at, revoked_at,
        policy
    FROM public.access_keys
    WHERE %(user_id)s::text IS NULL OR user_id = %(user_id)s
    UNION ALL
    SELECT id, 'token', user_id, '', prefix, NULL, NULL, created_at, NULL, NULL, revoked_at, NULL FROM public.user_tokens
    WHERE %(user_id)s::text IS NULL OR user_id = %(user_id)s
    ORDER BY created_at DESC, id LIMIT %(limit)s"""


async def listing(database: Database, *, user_id: str | None, limit: int) -> list[AccessKeyRow]:
    """Return keys and tokens of a user (None: of all), newest first, without the keys themselves."""
    return await database.all(AccessKeyRow, LIST, {"user_id": user_id, "limit": limit})


GET: LiteralString = """
    SELECT id, 'key' AS kind, user_id, name, prefix, scopes, instance_ids, created_at, expires_at, last_used_at, revoked_at, policy
    FROM public.access_keys WHERE id = %(id)s"""


async def get(database: Database, key_id: UUID) -> AccessKeyRow | None:
    """Return a key with scopes; None: there is none with this id."""
    return await database.one(AccessKeyRow, GET, {"id": key_id})


COUNT: LiteralString = "SELECT count(*) FROM public.access_keys WHERE user_id = %(user_id)s AND revoked_at IS NULL"


async def count(database: Database, user_id: str) -> int:
    """Return how many keys of a user are valid."""
    return await database.value(COUNT, {"user_id": user_id})


REVOKE: LiteralString = """
    WITH of_key AS (
        UPDATE public.access_keys SET revoked_at = now()
        WHERE id = %(id)s AND revoked_at IS NULL AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s) RETURNING id
    ), of_token AS (
        UPDATE public.user_tokens SET revoked_at = now()
        WHERE id = %(id)s AND revoked_at IS NULL AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s) RETURNING id
    ), revoked AS (SELECT id FROM of_key UNION ALL SELECT id FROM of_token)
    SELECT id, pg_notify('mcp_messenger_keys', id::text)::text FROM revoked"""


async def revoke(database: Database, key_id: UUID, *, user_id: str | None) -> bool:
    """Revoke one key or token of a user (None: of anybody), and say so to all servers; return whether it was valid."""
    return bool(await database.rows(REVOKE, {"id": key_id, "user_id": user_id}))


USED: LiteralString = """
    UPDATE public.access_keys SET last_used_at = now()
    WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < now() - interval '10 minutes')"""


async def used(database: Database, key_id: UUID) -> None:
    """Store that a key is used, unless that was stored in the last ten minutes."""
    await database.execute(USED, {"id": key_id})


ENDED: LiteralString = """
    SELECT id FROM unnest(%(ids)s::uuid[]) AS asked (id) WHERE NOT EXISTS (
        SELECT FROM public.access_keys k WHERE k.id = asked.id AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
        UNION ALL SELECT FROM public.user_tokens t WHERE t.id = asked.id AND revoked_at IS NULL
        UNION ALL SELECT FROM public.api_keys a WHERE a.id = asked.id AND revoked_at IS NULL)"""


async def ended(database: Database, ids: Collection[UUID]) -> list[UUID]:
    """Return which of these keys and tokens are not valid any more."""
    return [row[0] for row in await database.rows(ENDED, {"ids": list(ids)})]
