"""Secrets, keys and tokens. What comes here is sealed or a keyed digest already; nothing in the clear is stored."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

from db.database import Database

if TYPE_CHECKING:
    from psycopg import AsyncConnection


@dataclass(frozen=True, slots=True)
class SecretRow:
    field: str
    sealed: bytes
    rotated_at: datetime


SECRETS: LiteralString = "SELECT field, sealed, rotated_at FROM public.instance_secrets WHERE instance_id = %(id)s ORDER BY field"


async def of_instance(database: Database, instance_id: UUID) -> list[SecretRow]:
    """Return the sealed secrets of an instance, by field."""
    return await database.all(SecretRow, SECRETS, {"id": instance_id})


PUT: LiteralString = """
    INSERT INTO public.instance_secrets (instance_id, field, sealed)
    SELECT %(id)s, s.field, s.sealed FROM unnest(%(fields)s::text[], %(sealed)s::bytea[]) AS s (field, sealed)
    ON CONFLICT (instance_id, field) DO UPDATE SET sealed = excluded.sealed, rotated_at = now()"""


async def put(database: Database, instance_id: UUID, sealed: dict[str, bytes]) -> None:
    """Set sealed secrets by field; the others stay."""
    if sealed:
        await database.execute(PUT, {"id": instance_id, "fields": list(sealed), "sealed": list(sealed.values())})


REMOVE: LiteralString = "DELETE FROM public.instance_secrets WHERE instance_id = %(id)s AND field = ANY(%(fields)s)"


async def remove(database: Database, instance_id: UUID, fields: Collection[str]) -> None:
    """Delete sealed secrets by field; those that are not there are ignored."""
    if fields:
        await database.execute(REMOVE, {"id": instance_id, "fields": list(fields)})


@dataclass(frozen=True, slots=True)
class KeyRow:
    id: UUID
    prefix: str
    created_at: datetime
    revealed_at: datetime | None
    revoked_at: datetime | None
    sealed: bytes | None


NEW_KEY: LiteralString = """
    WITH revoked AS (
        UPDATE public.api_keys SET revoked_at = now(), sealed = NULL WHERE instance_id = %(instance_id)s AND revoked_at IS NULL RETURNING id
    ), told AS MATERIALIZED (SELECT pg_notify('mcp_messenger_keys', id::text)::text AS told FROM revoked)
    INSERT INTO public.api_keys (id, instance_id, prefix, digest, sealed) VALUES (%(id)s, %(instance_id)s, %(prefix)s, %(digest)s, %(sealed)s)"""


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key as it is kept: its keyed digest to know it by, and itself sealed for its owner."""

    id: UUID
    prefix: str
    digest: bytes
    sealed: bytes

    def params(self, instance_id: UUID) -> dict[str, object]:
        """Return the parameters of NEW_KEY."""
        return {"id": self.id, "instance_id": instance_id, "prefix": self.prefix, "digest": self.digest, "sealed": self.sealed}


async def new_key(database: Database, instance_id: UUID, key: NewKey) -> None:
    """Make this the instance's key; the one before is revoked."""
    await database.execute(NEW_KEY, key.params(instance_id))


KEYS: LiteralString = """
    SELECT id, prefix, created_at, revealed_at, revoked_at, NULL::bytea AS sealed FROM public.api_keys
    WHERE instance_id = %(id)s ORDER BY created_at DESC LIMIT %(limit)s"""


async def keys(database: Database, instance_id: UUID, *, limit: int) -> list[KeyRow]:
    """Return the keys of an instance, newest first, without the keys themselves."""
    return await database.all(KeyRow, KEYS, {"id": instance_id, "limit": limit})


REVEAL_KEY: LiteralString = """
    UPDATE public.api_keys SET revealed_at = now() WHERE instance_id = %(id)s AND revoked_at IS NULL
    RETURNING id, prefix, created_at, revealed_at, revoked_at, sealed"""


async def reveal_key(database: Database, instance_id: UUID) -> KeyRow | None:
    """Return the current key, sealed, and store that it was shown. None: there is none."""
    return await database.one(KeyRow, REVEAL_KEY, {"id": instance_id})


CURRENT_KEY: LiteralString = """
    SELECT id, prefix, created_at, revealed_at, revoked_at, NULL::bytea AS sealed FROM public.api_keys
    WHERE instance_id = %(id)s AND revoked_at IS NULL"""


async def current_key(database: Database, instance_id: UUID) -> KeyRow | None:
    """Return the current key without the key itself; None: there is none."""
    return await database.one(KeyRow, CURRENT_KEY, {"id": instance_id})


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a key or token speaks for: an instance (with its user), or a user."""

    id: UUID
    digest: bytes
    user_id: str
    instance_id: UUID | None
    scopes: list[str] | None
    """None: everything that its user, or the instance's own key, may do."""
    instance_ids: list[UUID] | None
    seconds: float | None
    """Until it expires."""
    is_used: bool
    """That it is used was stored of late, or is not to be."""
    policy: dict[str, Any] | None
    """What the key narrows of its instances' policies."""


BEARER: LiteralString = """
    SELECT k.id, k.digest, i.user_id, i.id AS instance_id, NULL::text[] AS scopes, NULL::uuid[] AS instance_ids, NULL::float8 AS seconds,
        true AS is_used, NULL::jsonb AS policy
    FROM public.api_keys k JOIN public.message_instances i ON i.id = k.instance_id WHERE k.digest = %(digest)s AND k.revoked_at IS NULL
    UNION ALL
    SELECT id, digest, user_id, NULL, NULL, NULL, NULL, true, NULL FROM public.user_tokens WHERE digest = %(digest)s AND revoked_at IS NULL
    UNION ALL
    SELECT id, digest, user_id, NULL, scopes, instance_ids, extract(epoch FROM expires_at - now())::float8,
        coalesce(last_used_at > now() - interval '10 minutes', false), policy
    FROM public.access_keys WHERE digest = %(digest)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"""


async def bearer(database: Database, digest: bytes) -> Bearer | None:
    """Return the owner of a key or token with this digest; None: nobody, or it was revoked."""
    return await database.read_one(Bearer, BEARER, {"digest": digest})


ADD_TOKEN: LiteralString = "INSERT INTO public.user_tokens (user_id, prefix, digest) VALUES (%(user_id)s, %(prefix)s, %(digest)s) RETURNING id"  # noqa: S105 - SQL, not a token


async def new_token(database: Database, user_id: str, *, prefix: str, digest: bytes) -> UUID:
    """Store a user's token by its digest; return its id."""
    return await database.value(ADD_TOKEN, {"user_id": user_id, "prefix": prefix, "digest": digest})


REVOKE_TOKENS: LiteralString = """
    WITH revoked AS (
        UPDATE public.user_tokens SET revoked_at = now() WHERE user_id = %(user_id)s AND revoked_at IS NULL RETURNING id
    )
    SELECT id, pg_notify('mcp_messenger_keys', id::text)::text FROM revoked"""


async def revoke_tokens(database: Database, user_id: str) -> int:
    """Revoke a user's tokens; return how many were valid."""
    return len(await database.rows(REVOKE_TOKENS, {"user_id": user_id}))


# Codes to log in with are not looked at: they are valid for a minute.
KEY_IDS: LiteralString = """
    SELECT DISTINCT substr(sealed, 2, 8) FROM public.instance_secrets
    UNION SELECT DISTINCT substr(sealed, 2, 8) FROM public.api_keys WHERE sealed IS NOT NULL"""
HAS_DIGESTS: LiteralString = """
    SELECT EXISTS (SELECT FROM public.api_keys WHERE revoked_at IS NULL) OR EXISTS (SELECT FROM public.user_tokens WHERE revoked_at IS NULL)
        OR EXISTS (SELECT FROM public.access_keys WHERE revoked_at IS NULL)"""


async def key_ids(connection: "AsyncConnection[Any]") -> tuple[frozenset[bytes], bool]:
    """Return the ids of the keys that secrets are sealed with, and whether there are API keys or tokens, which are known by the key too."""
    ids = frozenset(bytes(row[0]) for row in await (await connection.execute(KEY_IDS)).fetchall())
    row = await (await connection.execute(HAS_DIGESTS)).fetchone()
    return ids, bool(row and row[0])


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A sealed secret, by the field that it is bound to."""

    instance_id: UUID
    field: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Resealed:
    """A secret under another key. `former` is what it replaces; `digest` is that of an API key."""

    row: SealedRow
    sealed: bytes
    digest: bytes | None = None


# An API key is bound to the field api_key/<its id>.
SEALED_AFTER: LiteralString = """
    SELECT instance_id, field, sealed FROM (
        SELECT instance_id, field, sealed FROM public.instance_secrets
        UNION ALL SELECT instance_id, 'api_key/' || id, sealed FROM public.api_keys WHERE sealed IS NOT NULL
    ) AS stored
    WHERE substr(sealed, 2, 8) <> %(key_id)s AND (instance_id, field) > (%(instance_id)s, %(field)s)
    ORDER BY instance_id, field LIMIT %(limit)s"""


async def not_sealed_with(database: Database, key_id: bytes, after: tuple[UUID, str], *, limit: int) -> list[SealedRow]:
    """Return a page of the secrets and API keys that are under other keys, in the order of instance and field."""
    return await database.all(SealedRow, SEALED_AFTER, {"key_id": key_id, "instance_id": after[0], "field": after[1], "limit": limit})


# Only where nobody has set the secret meanwhile. `rotated_at` stays: the secret itself is the same.
RESEAL: LiteralString = """
    WITH given AS (
        SELECT instance_id, field, former, sealed, digest
        FROM unnest(%(ids)s::uuid[], %(fields)s::text[], %(former)s::bytea[], %(sealed)s::bytea[], %(digests)s::bytea[])
            AS given (instance_id, field, former, sealed, digest)
    ), secret AS (
        UPDATE public.instance_secrets AS s SET sealed = given.sealed FROM given
        WHERE s.instance_id = given.instance_id AND s.field = given.field AND s.sealed = given.former RETURNING 1
    ), key AS (
        UPDATE public.api_keys AS k SET sealed = given.sealed, digest = given.digest FROM given
        WHERE k.instance_id = given.instance_id AND 'api_key/' || k.id = given.field AND k.sealed = given.former RETURNING 1
    )
    SELECT (SELECT count(*) FROM secret) + (SELECT count(*) FROM key)"""


async def reseal(database: Database, changed: Sequence[Resealed]) -> int:
    """Replace secrets by the same ones under another key, all or none; return how many were still as they were read."""
    params = {
        "ids": [one.row.instance_id for one in changed],
        "fields": [one.row.field for one in changed],
        "former": [one.row.sealed for one in changed],
        "sealed": [one.sealed for one in changed],
        "digests": [one.digest for one in changed],
    }
    return await database.value(RESEAL, params)


MOVE_TOKEN: LiteralString = """
    WITH of_key AS (UPDATE public.access_keys SET digest = %(digest)s WHERE digest = %(former)s)
    UPDATE public.user_tokens SET digest = %(digest)s WHERE digest = %(former)s"""  # noqa: S105 - SQL, not a token


async def move_token(database: Database, former: bytes, digest: bytes) -> None:
    """Store a user's token under the current key: only its bearer has the token, so it is moved when it is used."""
    await database.execute(MOVE_TOKEN, {"former": former, "digest": digest})


TOKENS: LiteralString = "SELECT count(*) FROM public.user_tokens WHERE revoked_at IS NULL"


TOKENS_OF: LiteralString = "SELECT count(*) FROM public.user_tokens WHERE user_id = %(user_id)s AND revoked_at IS NULL"


async def count_tokens_of(database: Database, user_id: str) -> int:
    """Return how many tokens of a user are valid."""
    return await database.value(TOKENS_OF, {"user_id": user_id})


async def count_tokens(database: Database) -> int:
    """Return how many user tokens are valid."""
    return await database.value(TOKENS, {})


RECORD_REVEAL: LiteralString = "INSERT INTO public.reveals (instance_id, what, caller) VALUES (%(id)s, %(what)s, %(caller)s)"


async def record_reveal(database: Database, instance_id: UUID, *, what: str, caller: str) -> None:
    """Store that a secret was shown to a caller."""
    await database.execute(RECORD_REVEAL, {"id": instance_id, "what": what, "caller": caller})
