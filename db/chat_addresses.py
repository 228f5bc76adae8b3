"""Which chat an id means: aliases, ids that a chat had before, and chats that take no messages."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

from db.advisory_locks import hold_log
from db.changes import Change, changed, complete
from db.database import Database

if TYPE_CHECKING:
    from psycopg import AsyncConnection


@dataclass(frozen=True, slots=True)
class FoundChat:
    """The chat that an id means. `thread_id`: the id is a thread of it. `title`: None where the store has no such chat, and only knows of its id.
    `closed`: why it takes no messages, None where it does.
    """

    chat_id: str
    thread_id: str | None
    kind: str
    title: str | None
    closed: str | None


# Who has written since then has opened the chat again, also where the platform did not say so.
FIND: LiteralString = """
    SELECT coalesce(moved.id, named.id, alias.chat_id, closure.chat_id) AS chat_id, alias.thread_id,
        coalesce(moved.kind, named.kind, 'unknown') AS kind, coalesce(moved.title, named.title) AS title, closure.reason AS closed
    FROM (SELECT %(instance_id)s::uuid AS instance_id, %(id)s::text AS id) AS asked
    LEFT JOIN public.chat_aliases AS alias ON alias.instance_id = asked.instance_id AND alias.alias = asked.id
    LEFT JOIN public.chats AS named ON named.instance_id = asked.instance_id AND named.id = coalesce(alias.chat_id, asked.id)
    LEFT JOIN public.chats AS moved ON moved.instance_id = asked.instance_id AND moved.id = named.migrated_to
    LEFT JOIN public.chat_closures AS closure ON closure.instance_id = asked.instance_id
        AND closure.chat_id = coalesce(moved.id, named.id, alias.chat_id, asked.id)
        AND (coalesce(moved.last_incoming_at, named.last_incoming_at) > closure.at) IS NOT TRUE
    WHERE coalesce(moved.id, named.id, alias.chat_id, closure.chat_id) IS NOT NULL"""


async def find(database: Database, instance_id: UUID, id: str) -> FoundChat | None:
    """Return the chat that `id` means now; None where nothing is known of it."""
    return await database.one(FoundChat, FIND, {"instance_id": instance_id, "id": id})


# An alias of an alias would be looked up twice. An id that is a chat's own is none of another.
POINT_ALIASES: LiteralString = """
    UPDATE public.chat_aliases SET chat_id = %(chat_id)s WHERE instance_id = %(instance_id)s AND chat_id = %(old_id)s AND alias <> %(chat_id)s"""
DROP_ALIAS: LiteralString = "DELETE FROM public.chat_aliases WHERE instance_id = %(instance_id)s AND alias = %(chat_id)s"
# The words of the event count first, then those of the chat that goes on, then those of the chat that ends.
MOVE_CHAT: LiteralString = """
    INSERT INTO public.chats (instance_id, id, kind, title, username, phone, unread, last_message_id, last_at, last_incoming_at)
    SELECT instance_id, %(chat_id)s, CASE WHEN %(kind)s = 'unknown' THEN kind ELSE %(kind)s END, coalesce(nullif(%(title)s, ''), title),
        coalesce(%(username)s, username), coalesce(%(phone)s, phone), unread, last_message_id, last_at, last_incoming_at
    FROM public.chats WHERE instance_id = %(instance_id)s AND id = %(old_id)s
    ON CONFLICT (instance_id, id) DO UPDATE SET
        kind = CASE WHEN %(kind)s <> 'unknown' OR chats.kind = 'unknown' THEN excluded.kind ELSE chats.kind END,
        title = coalesce(nullif(%(title)s, ''), nullif(chats.title, ''), excluded.title),
        username = coalesce(%(username)s, chats.username, excluded.username), phone = coalesce(%(phone)s, chats.phone, excluded.phone),
        unread = chats.unread + excluded.unread,
        last_message_id = CASE WHEN chats.last_at >= excluded.last_at THEN chats.last_message_id
            ELSE coalesce(excluded.last_message_id, chats.last_message_id) END,
        last_at = greatest(chats.last_at, excluded.last_at),
        last_incoming_at = greatest(chats.last_incoming_at, excluded.last_incoming_at)
    RETURNING id"""
MOVE_MESSAGES: LiteralString = """
    UPDATE public.messages SET chat_id = %(chat_id)s, thread_id = coalesce(thread_id, %(thread_id)s)
    WHERE instance_id = %(instance_id)s AND chat_id = %(old_id)s"""
MOVE_OUTBOX: LiteralString = "UPDATE public.outbox SET chat_id = %(chat_id)s WHERE instance_id = %(instance_id)s AND chat_id = %(old_id)s"
MOVE_NAMES: LiteralString = """
    UPDATE public.contact_names SET chat_id = %(chat_id)s, owners_chat = CASE WHEN owners_chat = chat_id THEN %(chat_id)s END
    WHERE instance_id = %(instance_id)s AND chat_id = %(old_id)s"""
MOVE_SCHEDULED: LiteralString = """
    UPDATE public.scheduled_calls SET chat_id = %(chat_id)s WHERE instance_id = %(instance_id)s AND chat_id = %(old_id)s AND status = 'waiting'"""
MOVE_MARKS: LiteralString = """
    WITH gone AS (DELETE FROM public.chat_marks WHERE instance_id = %(instance_id)s AND chat_id = %(old_id)s
        RETURNING instance_id, pinned, archived, muted, muted_until)
    INSERT INTO public.chat_marks (instance_id, chat_id, pinned, archived, muted, muted_until)
    SELECT instance_id, %(chat_id)s, pinned, archived, muted, muted_until FROM gone ON CONFLICT (instance_id, chat_id) DO NOTHING"""
MOVE_DELIVERIES: LiteralString = """
    UPDATE public.deliveries SET chat_id = %(chat_id)s WHERE instance_id = %(instance_id)s AND chat_id = %(old_id)s AND status = 'pending'"""
EMPTY_CHAT: LiteralString = "UPDATE public.chats SET unread = 0, last_message_id = NULL WHERE instance_id = %(instance_id)s AND id = %(old_id)s"
DROP_CHAT: LiteralString = "DELETE FROM public.chats WHERE instance_id = %(instance_id)s AND id = %(old_id)s"


async def _merge(connection: "AsyncConnection[Any]", params: dict[str, Any]) -> bool:
    """Move everything of the chat `old_id` to `chat_id`; return whether anything was known of the chat."""
    await connection.execute(DROP_ALIAS, params)
    await connection.execute(POINT_ALIASES, params)
    merged = await (await connection.execute(MOVE_CHAT, params)).fetchone()
    for statement in (MOVE_MESSAGES, MOVE_OUTBOX, MOVE_NAMES, MOVE_SCHEDULED, MOVE_MARKS, MOVE_DELIVERIES):
        await connection.execute(statement, params)
    return merged is not None


@dataclass(frozen=True, slots=True)
class NamedChat:
    """A chat by its name. `is_answered`: the account has written there."""

    id: str
    kind: str
    phone: str | None
    last_at: datetime | None
    is_answered: bool


# Names are the same also in full-width letters, in capitals, and in Cyrillic or Greek letters that look like Latin ones.
NAMED: LiteralString = """
    SELECT id, kind, phone, last_at, EXISTS (
            SELECT FROM public.messages m WHERE m.instance_id = %(instance_id)s AND m.chat_id = named.id AND m.outgoing AND m.status <> 'failed'
        ) AS is_answered
    FROM (
        SELECT id, kind, title AS name, phone, last_at FROM public.chats WHERE instance_id = %(instance_id)s AND migrated_to IS NULL
        UNION ALL
        SELECT id, 'private', name, phone, NULL FROM public.contacts c WHERE instance_id = %(instance_id)s
          AND NOT EXISTS (SELECT FROM public.chats WHERE instance_id = %(instance_id)s AND id = c.id)
    ) AS named
    WHERE translate(lower(normalize(name, NFKC)), 'аеорсухіјѕһοαενκρτυ', 'aeopcyxijshoaevkptu')
        = translate(lower(normalize(%(name)s, NFKC)), 'аеорсухіјѕһοαενκρτυ', 'aeopcyxijshoaevkptu')
    ORDER BY last_at DESC NULLS LAST, id LIMIT %(limit)s"""


async def named(database: Database, instance_id: UUID, name: str, *, limit: int) -> list[NamedChat]:
    """Return the chats and contacts whose name looks like this one, those with the newest message first."""
    return await database.all(NamedChat, NAMED, {"instance_id": instance_id, "name": name, "limit": limit})


OF_CONTACT: LiteralString = """
    SELECT id FROM public.contacts WHERE instance_id = %(instance_id)s
      AND (regexp_replace(phone, '[^0-9]', '', 'g') = %(digits)s OR lower(username) = lower(%(username)s)) ORDER BY id LIMIT 2"""


async def of_contact(database: Database, instance_id: UUID, *, digits: str | None, username: str | None) -> list[str]:
    """Return the contacts with this phone number or user name, two of them at most."""
    params = {"instance_id": instance_id, "digits": digits, "username": username}
    return [row[0] for row in await database.rows(OF_CONTACT, params)]


ADD_ALIAS: LiteralString = """
    INSERT INTO public.chat_aliases (instance_id, alias, chat_id, thread_id) VALUES (%(instance_id)s, %(old_id)s, %(chat_id)s, %(thread_id)s)
    ON CONFLICT (instance_id, alias) DO UPDATE SET chat_id = excluded.chat_id, thread_id = excluded.thread_id
    WHERE (chat_aliases.chat_id, chat_aliases.thread_id) IS DISTINCT FROM (excluded.chat_id, excluded.thread_id)
    RETURNING alias"""
LOG_MERGE: LiteralString = """
    WITH logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, data)
        VALUES (nextval('public.event_numbers'), %(instance_id)s, 'chat_migrated', %(chat_id)s, jsonb_build_object('old_id', %(old_id)s::text))
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true'
    )
    SELECT id, pg_notify('mcp_messenger_events', id::text) FROM logged"""


async def join(database: Database, instance_id: UUID, alias: str, chat_id: str, thread_id: str | None = None) -> int | None:
    """Make `alias` another id of the chat (or of a thread in it), and merge what was kept under it.

    Returns the event's number where a chat was merged; None where there was nothing under the alias, or it is known already.
    """
    async with database.transaction() as connection:
        await hold_log(connection)
        return await join_within(connection, instance_id, alias, chat_id, thread_id)


async def join_within(connection: "AsyncConnection[Any]", instance_id: UUID, alias: str, chat_id: str, thread_id: str | None) -> int | None:
    """Do what `join` does, as a part of a transaction that holds the log."""
    params = {"instance_id": instance_id, "old_id": alias, "chat_id": chat_id, "thread_id": thread_id}
    if await (await connection.execute(ADD_ALIAS, params)).fetchone() is None:
        return None
    merged = await _merge(connection, {**params, "kind": "unknown", "title": "", "username": None, "phone": None})
    await connection.execute(DROP_CHAT, params)
    if not merged:
        return None
    row = await (await connection.execute(LOG_MERGE, params)).fetchone()
    return None if row is None else row[0]


MIGRATED: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), moved AS (
        INSERT INTO public.chats (instance_id, id, kind, migrated_to) SELECT %(instance_id)s, %(old_id)s, %(kind)s, %(chat_id)s FROM guard
        ON CONFLICT (instance_id, id) DO UPDATE SET migrated_to = excluded.migrated_to
        WHERE chats.migrated_to IS DISTINCT FROM excluded.migrated_to
        RETURNING id
    ), again AS (
        UPDATE public.chats SET migrated_to = %(chat_id)s FROM moved WHERE instance_id = %(instance_id)s AND migrated_to = %(old_id)s
    ), changed AS (
        SELECT NULL::bigint AS id FROM moved
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, %(chat_id)s, changed.id, %(data)s FROM changed
        RETURNING id, instance_id, type, chat_id, message_id, data, at
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id RETURNING event_id
    )
    SELECT logged.id, logged.instance_id, logged.type, logged.chat_id, logged.message_id, logged.data, logged.at,
        EXISTS (SELECT FROM due) OR EXISTS (SELECT FROM public.webhooks w WHERE w.instance_id = logged.instance_id) AS has_deliveries,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard LEFT JOIN logged ON true"""
# It has moved already, or somebody wrote from the old id since: the notice was brought late or again, and the id may be another's by now.
OVERTAKEN: LiteralString = """
    SELECT 1 FROM public.chats WHERE instance_id = %(instance_id)s AND id = %(old_id)s
        AND (migrated_to IS NOT NULL OR last_incoming_at > %(at)s)"""


async def migrate_chat(database: Database, params: dict[str, Any]) -> Change | None:
    """Move everything of the chat `old_id` to `chat_id`; the old id stays known. Answers as `changes.change` does.

    A notice of the time `at` (None: not known) moves nothing where the chat has moved before, or has a word from the old id that is newer.
    """
    params = complete({"thread_id": None, **params})
    async with database.transaction() as connection:
        await hold_log(connection)
        if params.get("at") is not None and await (await connection.execute(OVERTAKEN, params)).fetchone():
            return Change(None)
        rows = await (await connection.execute(MIGRATED, params)).fetchall()
        if not rows:
            return None
        await _merge(connection, params)
        await connection.execute(EMPTY_CHAT, params)
    return changed(rows)


HOME: LiteralString = """
    SELECT chat_id FROM public.chat_aliases WHERE instance_id = %(instance_id)s AND alias = %(alias)s AND thread_id IS NULL"""


async def home(database: Database, instance_id: UUID, alias: str) -> str | None:
    """Return the chat that an id is an alias of; None where it is none."""
    return await database.value(HOME, {"instance_id": instance_id, "alias": alias})


STORED: LiteralString = "SELECT true FROM public.messages WHERE instance_id = %(instance_id)s AND platform_id = %(platform_id)s"


async def is_stored(database: Database, instance_id: UUID, platform_id: str) -> bool:
    """Return whether a message is known, so that what it shows of its chat's ids is known, too, and may be outdated."""
    return bool(await database.value(STORED, {"instance_id": instance_id, "platform_id": platform_id}))


SUCCESSION: LiteralString = """
    SELECT extract(epoch FROM at)::bigint FROM public.chat_successions WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s"""


async def succession(database: Database, instance_id: UUID, chat_id: str) -> int | None:
    """Return when (in seconds since 1970) somebody else took over the chat's id; None where nobody did."""
    return await database.value(SUCCESSION, {"instance_id": instance_id, "chat_id": chat_id})
