"""What a database is like, looked at from outside and changed in nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

from db import listen
from db.database import Params
from db.errors import translated
from db.migrate import READ_APPLIED, packaged
from db.pool import connect
from db.webhooks import FIRST

if TYPE_CHECKING:
    from psycopg import AsyncConnection

SECRETS_MAX = 10_000


@dataclass(frozen=True)
class Sealed:
    """A stored secret."""

    instance_id: UUID
    field: str
    blob: bytes


@dataclass(frozen=True)
class KnownInstance:
    id: UUID
    provider: str
    runtime: str
    status: str
    status_reason: str | None
    webhooks: Sequence[tuple[int, dict[str, Any] | None]]
    """Each with its number."""


@dataclass(frozen=True)
class Room:
    """`size` is in bytes, of our tables with their indexes. `messages` is PostgreSQL's estimate where there are many."""

    size: int
    messages: int
    week: int
    """Messages that were stored in the last seven days."""


@dataclass(frozen=True)
class Diagnosis:
    """`version` is as PostgreSQL writes it; `pending` and `unknown` are migrations; `pooled`: connections go through a pooler, in whatever mode."""

    major: int
    version: str
    is_local: bool
    tls: bool
    pooled: bool
    applied: Sequence[str]
    pending: Sequence[str]
    unknown: Sequence[str]
    known: Sequence[str]
    """Migrations of this program."""
    exposed: Sequence[str]
    """Tables, views and sequences of ours that anybody may use, each with who: "messages: anon". Empty where all is closed."""
    instances: Sequence[KnownInstance]
    sealed: Sequence[Sealed]
    room: Room | None
    """None where there are no messages."""


STATE: LiteralString = """
    SELECT current_setting('server_version_num')::int / 10000, current_setting('server_version'), pg_backend_pid(),
           to_regclass('public.schema_migrations') IS NOT NULL, to_regclass('public.instance_secrets') IS NOT NULL,
           to_regclass('public.webhooks') IS NOT NULL"""
# By name: the database may hold tables of other programs, which are not ours to judge.
EXPOSED: LiteralString = """
    WITH ours AS (
        SELECT to_regclass('public.' || name) AS relation FROM unnest(ARRAY[
            'schema_migrations', 'message_instances', 'all_instances', 'messages', 'chats', 'contacts', 'events', 'event_numbers', 'deliveries',
            'outbox', 'leases', 'status_history', 'qr_codes', 'api_keys', 'user_tokens', 'instance_secrets', 'reveals', 'instance_errors', 'calls',
            'rate_limits', 'delivery_endpoints', 'agent_chats', 'people', 'identities', 'installation', 'instance_addresses',
            'chat_aliases', 'chat_closures', 'chat_successions', 'message_words', 'search_eras', 'search_pending',
            'search_progress', 'instance_policies', 'trusted_chats', 'paired_chats', 'shown_chats', 'approvals', 'chores',
            'instance_retention', 'event_horizons', 'erasures', 'removed_instances', 'access_keys',
            'audit_log', 'audit_head', 'instance_logs', 'user_quotas', 'scheduled_calls', 'page_links',
            'webhooks', 'webhook_progress', 'contact_names', 'chat_marks', 'channels', 'media_files', 'early_reports']) AS name
        UNION SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = to_regclass('public.message_instances')
    )
    SELECT c.relname || ': ' || coalesce(r.rolname, 'everybody')
    FROM ours JOIN pg_class c ON c.oid = ours.relation CROSS JOIN LATERAL aclexplode(c.relacl) AS given LEFT JOIN pg_roles r ON r.oid = given.grantee
    WHERE given.grantee = 0 OR r.rolname IN ('anon', 'authenticated')
    UNION
    SELECT c.relname || ': no row security' FROM ours JOIN pg_class c ON c.oid = ours.relation WHERE c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
    ORDER BY 1"""
INSTANCES: LiteralString = "SELECT id, provider, runtime, status, status_reason, api_webhook_schema FROM public.message_instances ORDER BY created_at"
WEBHOOKS: LiteralString = "SELECT instance_id, number, config FROM public.webhooks ORDER BY number"
# An API key is bound to the field api_key/<its id>.
SEALED: LiteralString = """
    SELECT instance_id, field, sealed FROM public.instance_secrets
    UNION ALL SELECT instance_id, 'api_key/' || id, sealed FROM public.api_keys WHERE sealed IS NOT NULL
    ORDER BY instance_id, field LIMIT %(limit)s"""
# The policy is on every table of ours. Messages are numbered as they are stored, so the first of this week is found by halves, in some forty
# looks into the primary key; numbers that were left out do not count.
ROOM: LiteralString = """
    WITH RECURSIVE ours AS (
        SELECT c.oid, c.relname, c.reltuples FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE p.polname = 'mcp_messenger' AND n.nspname = 'public'
    ), halves (low, high) AS (
        SELECT min(id) - 1, max(id) FROM public.messages
        UNION ALL
        SELECT CASE WHEN next.is_old THEN next.id ELSE low END, CASE WHEN next.is_old THEN high ELSE middle.id END
        FROM halves CROSS JOIN LATERAL (SELECT (low + high) / 2 AS id) AS middle CROSS JOIN LATERAL (
            SELECT m.id, m.created_at < now() - interval '7 days' AS is_old FROM public.messages m WHERE m.id > middle.id ORDER BY m.id LIMIT 1
        ) AS next
        WHERE high - low > 1
    )
    SELECT (SELECT sum(pg_total_relation_size(oid)) FROM ours)::bigint,
        (SELECT CASE WHEN reltuples > %(many)s THEN reltuples ELSE (SELECT count(*) FROM public.messages) END
            FROM ours WHERE relname = 'messages')::bigint,
        (SELECT count(*) FROM public.messages WHERE id > (SELECT max(low) FROM halves) AND created_at >= now() - interval '7 days')"""
MANY = 1_000_000


async def diagnose(url: str) -> Diagnosis:
    """Return the state of a database, without changing anything. Raises StoreUnavailable when it cannot be reached."""
    with translated():
        async with await connect(url) as connection:
            major, version, pid, migrated, has_secrets, has_webhooks = (await (await connection.execute(STATE)).fetchall())[0]
            applied = [row[0] for row in await _rows(connection, READ_APPLIED)] if migrated else []
            known = packaged()
            sealed = await _rows(connection, SEALED, {"limit": SECRETS_MAX}) if has_secrets else []
            room = Room(*(await _rows(connection, ROOM, {"many": MANY}))[0]) if has_secrets else None
            return Diagnosis(
                major=major,
                version=version,
                is_local=(connection.info.host or "/").startswith(("/", "127.", "localhost", "::1")),
                tls=connection.pgconn.ssl_in_use,
                # A pooler answers with its own process number.
                pooled=connection.info.backend_pid != pid,
                applied=sorted(applied),
                pending=[version for version in known if version not in applied],
                unknown=sorted(set(applied) - set(known)),
                known=known,
                exposed=[row[0] for row in await _rows(connection, EXPOSED)],
                instances=await _instances(connection, has_webhooks=has_webhooks) if known[0] in applied else [],
                sealed=[Sealed(*row) for row in sealed],
                room=room if room is not None and room.messages else None,
            )


async def _instances(connection: "AsyncConnection[Any]", *, has_webhooks: bool) -> list[KnownInstance]:
    further: dict[UUID, list[tuple[int, dict[str, Any] | None]]] = {}
    for id, number, config in await _rows(connection, WEBHOOKS) if has_webhooks else ():
        further.setdefault(id, []).append((number, config))
    return [KnownInstance(*row, webhooks=[(FIRST, webhook), *further.get(row[0], ())]) for *row, webhook in await _rows(connection, INSTANCES)]


async def _rows(connection: "AsyncConnection[Any]", sql: LiteralString, params: Params | None = None) -> list[Any]:
    return await (await connection.execute(sql, params)).fetchall()


async def wakes(url: str) -> bool:
    """Return whether wake-ups arrive through this connection. Raises StoreUnavailable."""
    async for _ in listen.wakeups(url):
        return True
    return False
