"""What is stored of people, chats and instances, as JSON that another installation can take.

PostgreSQL itself writes the JSON, a row at a time, out of one snapshot. Nothing in it is secret: tokens, keys, webhooks, policies and what
was trusted stay behind.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

from db.advisory_locks import EVENT_LOG
from db.database import Database
from db.erasure import CHATS_OF
from db.json import jsonb

if TYPE_CHECKING:
    from psycopg import AsyncConnection

PAGE = 500
"""Rows that are fetched at once."""


@dataclass(frozen=True)
class Part:
    """Of one instance: all of it, a chat, or a contact with their private chats and what they wrote in groups."""

    instance_id: UUID
    chat_id: str | None = None
    contact_id: str | None = None

    @property
    def is_whole(self) -> bool:
        return self.chat_id is None and self.contact_id is None


SNAPSHOT: LiteralString = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
NO_LIMITS: LiteralString = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
# Settings, agents and whose it is belong to an instance that is exported whole.
INSTANCE: LiteralString = """
    SELECT row_to_json(r)::text FROM (
        SELECT 'instance' AS type, id, provider, name, account, CASE WHEN %(whole)s THEN user_id END AS user_id,
            CASE WHEN %(whole)s THEN type_instance END AS type_instance, CASE WHEN %(whole)s THEN runtime END AS runtime,
            CASE WHEN %(whole)s THEN settings END AS settings, CASE WHEN %(whole)s THEN agent_id END AS agent_id,
            %(whole)s AND agno_enable AS agno_enable, %(whole)s AND stream AS stream, CASE WHEN %(whole)s THEN quiet_hours END AS quiet_hours,
            CASE WHEN %(whole)s THEN agent_routes END AS agent_routes,
            created_at
        FROM public.message_instances WHERE id = %(id)s) AS r"""
CHATS: LiteralString = """
    SELECT row_to_json(r)::text FROM (
        SELECT 'chat' AS type, instance_id, id, kind, title, username, phone, unread, last_at, last_incoming_at, migrated_to
        FROM public.chats WHERE instance_id = %(id)s AND (%(chats)s::text[] IS NULL OR id = ANY(%(chats)s)
            OR %(contact_id)s::text IS NOT NULL AND id IN (
                SELECT chat_id FROM public.messages WHERE instance_id = %(id)s AND sender_id = %(contact_id)s))
        ORDER BY id) AS r"""
CONTACTS: LiteralString = """
    SELECT row_to_json(r)::text FROM (
        SELECT 'contact' AS type, instance_id, id, name, username, phone, is_bot
        FROM public.contacts WHERE instance_id = %(id)s AND (%(chats)s::text[] IS NULL OR id = ANY(%(chats)s)
            OR %(contact_id)s::text IS NULL AND id IN (
                SELECT sender_id FROM public.messages WHERE instance_id = %(id)s AND chat_id = ANY(%(chats)s)))
        ORDER BY id) AS r"""
ALIASES: LiteralString = """
    SELECT row_to_json(r)::text FROM (
        SELECT 'alias' AS type, instance_id, alias, chat_id, thread_id
        FROM public.chat_aliases WHERE instance_id = %(id)s AND (%(chats)s::text[] IS NULL OR chat_id = ANY(%(chats)s))
        ORDER BY alias) AS r"""
MESSAGES: LiteralString = """
    SELECT row_to_json(r)::text, r.id FROM (
        SELECT 'message' AS type, instance_id, id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id,
            content, raw, sent_at, created_at, edited_at, deleted_at, idempotency_key, error, queued
        FROM public.messages WHERE instance_id = %(id)s
            AND (%(chats)s::text[] IS NULL OR chat_id = ANY(%(chats)s) OR sender_id = %(contact_id)s)
        ORDER BY sent_at, id) AS r"""
# Contacts of a person that are of other instances are not in the file.
PEOPLE: LiteralString = """
    SELECT row_to_json(r)::text FROM (
        SELECT 'person' AS type, p.id, p.user_id, p.name, p.created_at, jsonb_agg(jsonb_build_object(
            'instance_id', i.instance_id, 'contact_id', i.contact_id, 'confirmed_at', i.confirmed_at)
            ORDER BY i.instance_id, i.contact_id) AS contacts
        FROM public.people p JOIN public.identities i ON i.person_id = p.id
        WHERE i.instance_id = ANY(%(instances)s) AND (%(person_id)s::uuid IS NULL OR p.id = %(person_id)s)
        GROUP BY p.id ORDER BY p.id) AS r"""


KNOWN: LiteralString = """
    SELECT EXISTS (SELECT FROM public.chats WHERE instance_id = %(id)s AND id = %(subject)s)
        OR EXISTS (SELECT FROM public.contacts WHERE instance_id = %(id)s AND id = %(subject)s)
        OR EXISTS (SELECT FROM public.chat_aliases WHERE instance_id = %(id)s AND alias = %(subject)s)
        OR EXISTS (SELECT FROM public.messages WHERE instance_id = %(id)s AND (chat_id = %(chat_id)s OR sender_id = %(contact_id)s))"""


async def is_known(database: Database, part: Part) -> bool:
    """Return whether anything is stored of a chat or a contact."""
    subject = part.chat_id or part.contact_id
    params = {"id": part.instance_id, "subject": subject, "chat_id": part.chat_id, "contact_id": part.contact_id}
    return await database.value(KNOWN, params)


class Export:
    """Gives the rows of an export as they were at one moment."""

    def __init__(self, connection: "AsyncConnection[Any]") -> None:
        self._connection = connection

    async def lines(self, part: Part) -> AsyncGenerator[tuple[str, int | None]]:
        """Give each row as a line of JSON, and the number of the message where it is one."""
        chats = None
        params: dict[str, object] = {"id": part.instance_id, "chat_id": part.chat_id, "contact_id": part.contact_id, "whole": part.is_whole}
        if not part.is_whole:
            chats = [row[0] for row in await (await self._connection.execute(CHATS_OF, params)).fetchall()]
        params["chats"] = chats
        for statement in (INSTANCE, CHATS, CONTACTS, ALIASES, MESSAGES):
            async with aclosing(self._rows(statement, params)) as found:
                async for row in found:
                    yield row[0], row[1] if len(row) > 1 else None

    async def people(self, instances: Sequence[UUID], person_id: UUID | None) -> AsyncGenerator[str]:
        """Give the people whose contacts are of these instances; with `person_id` that one alone."""
        async with aclosing(self._rows(PEOPLE, {"instances": list(instances), "person_id": person_id})) as found:
            async for row in found:
                yield row[0]

    async def _rows(self, statement: LiteralString, params: Mapping[str, object]) -> AsyncGenerator[tuple[Any, ...]]:
        async with self._connection.cursor("export") as cursor:
            cursor.itersize = PAGE
            await cursor.execute(statement, params)
            async for row in cursor:
                yield row


@asynccontextmanager
async def exporting(database: Database) -> AsyncGenerator[Export]:
    """Read everything of an export out of one snapshot. Raises StoreUnavailable."""
    async with database.transaction() as connection:
        await connection.execute(SNAPSHOT)
        await connection.execute(NO_LIMITS)
        yield Export(connection)


NEW_INSTANCE: LiteralString = """
    WITH back AS (DELETE FROM public.removed_instances WHERE id = %(id)s)
    INSERT INTO public.message_instances (id, user_id, provider, name, type_instance, runtime, desired, status, status_reason, account, settings,
        agent_id, agno_enable, stream, quiet_hours, agent_routes, created_at)
    SELECT %(id)s, %(user_id)s, %(provider)s, %(name)s, %(type_instance)s, %(runtime)s, 'stopped', 'stopped', %(reason)s, %(account)s, %(settings)s,
        %(agent_id)s, %(agno_enable)s, %(stream)s, %(quiet_hours)s, %(agent_routes)s, %(created_at)s
    WHERE NOT EXISTS (SELECT FROM public.message_instances WHERE id = %(id)s)"""


@dataclass(frozen=True, kw_only=True)
class NewInstance:
    """An instance as it is imported: stopped, and without secrets."""

    id: UUID
    user_id: str
    provider: str
    name: str
    type_instance: list[str]
    runtime: str
    reason: str
    account: dict[str, Any] | None
    settings: dict[str, Any]
    agent_id: str | None
    agno_enable: bool
    stream: bool
    quiet_hours: str | None
    agent_routes: list[dict[str, Any]] | None
    created_at: datetime


async def add_instance(database: Database, new: NewInstance) -> int:
    """Store an instance; return 0 where there is one with this id."""
    return await database.execute(
        NEW_INSTANCE,
        {
            "id": new.id,
            "user_id": new.user_id,
            "provider": new.provider,
            "name": new.name,
            "type_instance": new.type_instance,
            "runtime": new.runtime,
            "reason": new.reason,
            "account": None if new.account is None else jsonb(new.account),
            "settings": jsonb(new.settings),
            "agent_id": new.agent_id,
            "agno_enable": new.agno_enable,
            "stream": new.stream,
            "quiet_hours": new.quiet_hours,
            "agent_routes": None if new.agent_routes is None else jsonb(new.agent_routes),
            "created_at": new.created_at,
        },
    )


# What was erased here does not come back, nor does what is newer here change.
ADD_CHATS: LiteralString = """
    WITH input AS (
        SELECT instance_id, id, kind, title, username, phone, unread, last_at, last_incoming_at, migrated_to
        FROM jsonb_to_recordset(%(rows)s) AS row (instance_id uuid, id text, kind text, title text, username text, phone text, unread int,
            last_at timestamptz, last_incoming_at timestamptz, migrated_to text)
    ), added AS (
        INSERT INTO public.chats (instance_id, id, kind, title, username, phone, unread, last_at, last_incoming_at, migrated_to)
        SELECT instance_id, id, kind, title, username, phone, unread, last_at, last_incoming_at, migrated_to FROM input
        WHERE NOT EXISTS (SELECT FROM public.erasures e WHERE e.instance_id = input.instance_id
            AND (input.last_at IS NULL OR e.at >= input.last_at) AND e.digest = sha256(e.salt || convert_to(input.id, 'UTF8')))
        ON CONFLICT (instance_id, id) DO NOTHING RETURNING 1
    )
    SELECT count(*) FROM added"""
ADD_CONTACTS: LiteralString = """
    WITH input AS (
        SELECT instance_id, id, name, username, phone, is_bot
        FROM jsonb_to_recordset(%(rows)s) AS row (instance_id uuid, id text, name text, username text, phone text, is_bot boolean)
    ), added AS (
        INSERT INTO public.contacts (instance_id, id, name, username, phone, is_bot)
        SELECT instance_id, id, name, username, phone, is_bot FROM input
        WHERE NOT EXISTS (SELECT FROM public.erasures e WHERE e.instance_id = input.instance_id
            AND e.digest = sha256(e.salt || convert_to(input.id, 'UTF8')))
        ON CONFLICT (instance_id, id) DO NOTHING RETURNING 1
    )
    SELECT count(*) FROM added"""
ADD_ALIASES: LiteralString = """
    WITH added AS (
        INSERT INTO public.chat_aliases (instance_id, alias, chat_id, thread_id)
        SELECT instance_id, alias, chat_id, thread_id
        FROM jsonb_to_recordset(%(rows)s) AS row (instance_id uuid, alias text, chat_id text, thread_id text)
        WHERE NOT EXISTS (SELECT FROM public.erasures e WHERE e.instance_id = row.instance_id
            AND e.digest IN (sha256(e.salt || convert_to(row.chat_id, 'UTF8')), sha256(e.salt || convert_to(row.alias, 'UTF8'))))
        ON CONFLICT (instance_id, alias) DO NOTHING RETURNING 1
    )
    SELECT count(*) FROM added"""
ADD_PEOPLE: LiteralString = """
    WITH input AS (
        SELECT id, user_id, name, created_at, contacts
        FROM jsonb_to_recordset(%(rows)s) AS row (id uuid, user_id text, name text, created_at timestamptz, contacts jsonb)
    ), links AS (
        SELECT input.id AS person_id, input.user_id, contact.instance_id, contact.contact_id, contact.confirmed_at
        FROM input CROSS JOIN LATERAL jsonb_to_recordset(input.contacts)
            AS contact (instance_id uuid, contact_id text, confirmed_at timestamptz)
        JOIN public.message_instances i ON i.id = contact.instance_id AND i.user_id = input.user_id
        WHERE NOT EXISTS (SELECT FROM public.people p WHERE p.id = input.id AND p.user_id <> input.user_id)
            AND NOT EXISTS (SELECT FROM public.erasures e WHERE e.instance_id = contact.instance_id
                AND e.digest = sha256(e.salt || convert_to(contact.contact_id, 'UTF8')))
    ), added AS (
        INSERT INTO public.people (id, user_id, name, created_at)
        SELECT input.id, input.user_id, input.name, input.created_at FROM input WHERE input.id IN (SELECT person_id FROM links)
        ON CONFLICT (id) DO NOTHING RETURNING 1
    ), linked AS (
        INSERT INTO public.identities (instance_id, contact_id, person_id, confirmed_at)
        SELECT instance_id, contact_id, person_id, confirmed_at FROM links ON CONFLICT DO NOTHING
    )
    SELECT count(*) FROM added"""
# The log's lock is taken by all who store messages, so no number that is free now is given to another one meanwhile; and the numbers that
# are kept are behind those that the sequence gives next. A message without the platform's id is known by all that is seen of it.
ADD_MESSAGES: LiteralString = """
    WITH guard AS MATERIALIZED (SELECT pg_advisory_xact_lock(%(event_log)s)), input AS MATERIALIZED (
        SELECT row.position, row.id, row.instance_id, row.chat_id, row.platform_id, row.outgoing, row.status, row.sender_id, row.sender_name,
            row.kind, row.body, row.reply_to, row.thread_id, row.content, row.raw, row.sent_at, row.created_at, row.edited_at, row.deleted_at,
            row.idempotency_key, row.error, row.queued
        FROM guard, jsonb_to_recordset(%(rows)s) AS row (
            position int, id bigint, instance_id uuid, chat_id text, platform_id text, outgoing boolean, status text, sender_id text,
            sender_name text, kind text, body text, reply_to text, thread_id text, content jsonb, raw jsonb, sent_at timestamptz,
            created_at timestamptz, edited_at timestamptz, deleted_at timestamptz, idempotency_key text, error jsonb, queued boolean)
    ), known AS MATERIALIZED (
        SELECT input.position, found.id FROM input CROSS JOIN LATERAL (
            SELECT m.id FROM public.messages m WHERE m.instance_id = input.instance_id AND m.platform_id = input.platform_id
            UNION ALL
            SELECT m.id FROM public.messages m WHERE input.platform_id IS NULL AND m.platform_id IS NULL AND m.instance_id = input.instance_id
                AND m.chat_id = input.chat_id AND m.sent_at = input.sent_at AND m.outgoing = input.outgoing AND m.kind = input.kind
                AND m.body = input.body
            LIMIT 1) AS found
    ), fresh AS MATERIALIZED (
        SELECT input.position, input.instance_id, input.idempotency_key,
            CASE WHEN input.id <= %(highest)s AND NOT EXISTS (SELECT FROM public.messages m WHERE m.id = input.id) THEN input.id END AS id
        FROM input WHERE position NOT IN (SELECT position FROM known) AND NOT EXISTS (
            SELECT FROM public.erasures e WHERE e.instance_id = input.instance_id AND e.at >= input.sent_at AND (
                e.kind = 'chat' AND e.digest = sha256(e.salt || convert_to(input.chat_id, 'UTF8'))
                OR e.kind = 'sender' AND e.digest = sha256(e.salt || convert_to(input.sender_id, 'UTF8'))))
    ), sequence AS MATERIALIZED (
        SELECT setval('public.messages_id_seq', greatest(max(fresh.id), (SELECT last_value FROM public.messages_id_seq)))
        FROM fresh HAVING count(id) > 0
    ), numbered AS MATERIALIZED (
        SELECT fresh.position, coalesce(fresh.id, nextval('public.messages_id_seq')) AS id,
            CASE WHEN NOT EXISTS (SELECT FROM public.messages m WHERE m.instance_id = fresh.instance_id AND m.idempotency_key = fresh.idempotency_key)
                THEN fresh.idempotency_key END AS idempotency_key
        FROM fresh LEFT JOIN sequence ON true
    ), added AS (
        INSERT INTO public.messages (id, instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id,
            content, raw, sent_at, created_at, edited_at, deleted_at, idempotency_key, error, queued)
        SELECT numbered.id, input.instance_id, input.chat_id, input.platform_id, input.outgoing, input.status, input.sender_id, input.sender_name,
            input.kind, input.body, input.reply_to, input.thread_id, input.content, input.raw, input.sent_at, input.created_at, input.edited_at,
            input.deleted_at, numbered.idempotency_key, input.error, input.queued
        FROM numbered JOIN input USING (position)
    )
    SELECT input.position, coalesce(known.id, numbered.id), numbered.id IS NOT NULL
    FROM input LEFT JOIN known USING (position) LEFT JOIN numbered USING (position)"""
HIGHEST = 2**50
"""Of a number that is kept: a larger one would use the sequence up."""
LAST_MESSAGES: LiteralString = """
    UPDATE public.chats SET last_message_id = newest.id, last_at = greatest(chats.last_at, newest.sent_at)
    FROM public.chats AS c CROSS JOIN LATERAL (
        SELECT m.id, m.sent_at FROM public.messages m WHERE m.instance_id = c.instance_id AND m.chat_id = c.id
        ORDER BY m.sent_at DESC, m.id DESC LIMIT 1
    ) AS newest
    WHERE c.instance_id = ANY(%(instances)s) AND chats.instance_id = c.instance_id AND chats.id = c.id
        AND (chats.last_message_id IS NULL OR chats.last_at IS NULL OR newest.sent_at > chats.last_at)"""
ADDITIONS: Mapping[str, LiteralString] = MappingProxyType({"chat": ADD_CHATS, "contact": ADD_CONTACTS, "alias": ADD_ALIASES, "person": ADD_PEOPLE})


@dataclass(frozen=True, slots=True)
class AddedMessage:
    """`id` is its number here; None: it was erased here before."""

    position: int
    id: int | None
    is_new: bool


async def add(database: Database, type: str, rows: Sequence[dict[str, Any]]) -> int:
    """Store chats, contacts, aliases or people that are not there yet; return how many were new."""
    return await database.value(ADDITIONS[type], {"rows": jsonb(list(rows))})


async def add_messages(database: Database, rows: Sequence[dict[str, Any]]) -> list[AddedMessage]:
    """Store messages that are not there yet, under their own numbers where these are free. No event is made of them.

    No two rows may have the same number, platform_id or idempotency key in one instance.
    """
    params = {"rows": jsonb(list(rows)), "event_log": EVENT_LOG, "highest": HIGHEST}
    return [AddedMessage(*row) for row in await database.rows(ADD_MESSAGES, params)]


async def set_last_messages(database: Database, instances: Sequence[UUID]) -> None:
    """Let the chats of these instances show their newest messages."""
    await database.execute(LAST_MESSAGES, {"instances": list(instances)})
