"""Stores the messages that the messengers report, each with its event and its deliveries in one statement.

Every statement that changes messages takes the log's lock first and holds it until its own commit, so events are numbered in the
order of their commits (see the migration) and two writers never wait for one another crosswise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from db.advisory_locks import EVENT_LOG
from db.database import Database
from db.events import EventRow
from db.json import jsonb


@dataclass(frozen=True, slots=True)
class Appended:
    """The outcome for one row given to `append_messages`, by its position."""

    position: int
    message_id: int | None
    """None: we had it already."""
    event: EventRow | None
    """None for what is not announced, such as messages of a history."""
    has_deliveries: bool
    """Something of the whole call waits to be brought to a webhook or an agent."""


# A message can be brought by a history before it is delivered as new: somebody looks into the chat meanwhile. It is announced then.
# What was erased does not come back out of a history: the search begins at the time of the message, so live ones meet nothing.
# A notice of the platform (kind `system`) is no word of the other side. A live word from an id whose owner moved away is somebody else's.
APPEND_MESSAGES: LiteralString = """
    WITH guard AS MATERIALIZED (SELECT pg_advisory_xact_lock(%(event_log)s)), input AS MATERIALIZED (
        SELECT row.position, row.instance_id, coalesce(alias.chat_id, row.chat_id) AS chat_id, row.platform_id, row.outgoing,
            CASE WHEN row.sender_id = row.chat_id THEN coalesce(alias.chat_id, row.sender_id) ELSE row.sender_id END AS sender_id,
            row.sender_name, row.kind, row.body, row.reply_to, coalesce(row.thread_id, alias.thread_id) AS thread_id, row.content, row.raw,
            row.sent_at, row.backfill, row.chat_kind, row.chat_title, row.chat_username, row.chat_phone,
            row.contact_name, row.contact_username, row.contact_phone, row.contact_is_bot, row.trace,
            NOT row.outgoing AND row.kind <> 'system' AS is_word, row.kind <> 'system' AND NOT row.content ? 'standby' AS may_wake
        FROM guard, jsonb_to_recordset(%(rows)s) AS row (
            position int, instance_id uuid, epoch bigint, chat_id text, platform_id text, outgoing boolean, sender_id text, sender_name text,
            kind text, body text, reply_to text, thread_id text, content jsonb, raw jsonb, sent_at timestamptz, backfill boolean,
            chat_kind text, chat_title text, chat_username text, chat_phone text,
            contact_name text, contact_username text, contact_phone text, contact_is_bot boolean, trace jsonb)
        LEFT JOIN public.chat_aliases AS alias ON alias.instance_id = row.instance_id AND alias.alias = row.chat_id
        WHERE row.epoch IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE leases.instance_id = row.instance_id AND leases.epoch = row.epoch)
    ), inserted AS (
        INSERT INTO public.messages (instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to,
            thread_id, content, raw, sent_at, announced)
        SELECT instance_id, chat_id, platform_id, outgoing, CASE WHEN outgoing THEN 'sent' ELSE 'received' END, sender_id, sender_name,
            kind, body, reply_to, thread_id, content, raw, sent_at, NOT backfill
        FROM input
        WHERE NOT EXISTS (SELECT FROM public.erasures e WHERE e.instance_id = input.instance_id AND e.at >= input.sent_at AND (
            e.kind = 'chat' AND e.digest = sha256(e.salt || convert_to(input.chat_id, 'UTF8'))
            OR e.kind = 'sender' AND e.digest = sha256(e.salt || convert_to(input.sender_id, 'UTF8'))))
        ORDER BY position
        ON CONFLICT (instance_id, platform_id) WHERE platform_id IS NOT NULL DO UPDATE SET announced = true
            WHERE excluded.announced AND NOT messages.announced AND messages.deleted_at IS NULL
        RETURNING id, instance_id, platform_id
    ), fresh AS MATERIALIZED (
        SELECT inserted.id AS message_id, input.position, instance_id, input.chat_id, input.outgoing, input.sender_id, input.sent_at, input.backfill,
            input.chat_kind, input.chat_title, input.chat_username, input.chat_phone, input.contact_name, input.contact_username,
            input.contact_phone, input.contact_is_bot, input.trace, input.is_word, input.may_wake
        FROM inserted JOIN input USING (instance_id, platform_id)
    ), succeeded AS (
        INSERT INTO public.chat_successions (instance_id, chat_id)
        SELECT DISTINCT fresh.instance_id, fresh.chat_id FROM fresh
            JOIN public.chats ON chats.instance_id = fresh.instance_id AND chats.id = fresh.chat_id
        WHERE chats.migrated_to IS NOT NULL AND fresh.is_word AND NOT fresh.backfill
        ON CONFLICT (instance_id, chat_id) DO UPDATE SET at = now()
        RETURNING instance_id, chat_id
    ), distrusted AS (
        DELETE FROM public.trusted_chats t USING succeeded s WHERE t.instance_id = s.instance_id AND t.chat_id = s.chat_id
    ), unpaired AS (
        DELETE FROM public.paired_chats p USING succeeded s WHERE p.instance_id = s.instance_id AND p.chat_id = s.chat_id
    ), unnamed AS (
        DELETE FROM public.contact_names n USING succeeded s WHERE n.instance_id = s.instance_id AND n.chat_id = s.chat_id
    ), unconfirmed AS (
        UPDATE public.identities x SET confirmed_at = NULL FROM succeeded s WHERE x.instance_id = s.instance_id AND x.contact_id = s.chat_id
    ), talked AS (
        INSERT INTO public.chats (instance_id, id, kind, title, username, phone, unread, last_message_id, last_at, last_incoming_at)
        SELECT DISTINCT ON (instance_id, chat_id) instance_id, chat_id, chat_kind, chat_title, chat_username, chat_phone,
            count(*) FILTER (WHERE is_word AND NOT backfill) OVER chat, message_id, sent_at, max(sent_at) FILTER (WHERE is_word) OVER chat
        FROM fresh WINDOW chat AS (PARTITION BY instance_id, chat_id) ORDER BY instance_id, chat_id, sent_at DESC, message_id DESC
        ON CONFLICT (instance_id, id) DO UPDATE SET
            kind = CASE WHEN excluded.kind = 'unknown' THEN chats.kind ELSE excluded.kind END,
            title = CASE WHEN chats.migrated_to IS NOT NULL AND excluded.unread > 0 THEN excluded.title
                ELSE coalesce(nullif(excluded.title, ''), chats.title) END,
            username = CASE WHEN chats.migrated_to IS NOT NULL AND excluded.unread > 0 THEN excluded.username
                ELSE coalesce(excluded.username, chats.username) END,
            phone = coalesce(excluded.phone, chats.phone),
            migrated_to = CASE WHEN excluded.unread > 0 THEN NULL ELSE chats.migrated_to END,
            unread = chats.unread + excluded.unread,
            last_message_id = CASE WHEN chats.last_at > excluded.last_at THEN chats.last_message_id ELSE excluded.last_message_id END,
            last_at = greatest(chats.last_at, excluded.last_at),
            last_incoming_at = greatest(chats.last_incoming_at, excluded.last_incoming_at)
    ), met AS (
        INSERT INTO public.contacts (instance_id, id, name, username, phone, is_bot)
        SELECT DISTINCT ON (instance_id, sender_id) instance_id, sender_id, contact_name, contact_username, contact_phone, contact_is_bot
        FROM fresh WHERE sender_id IS NOT NULL AND contact_name IS NOT NULL ORDER BY instance_id, sender_id, position DESC
        ON CONFLICT (instance_id, id) DO UPDATE SET name = excluded.name, username = excluded.username,
            phone = coalesce(excluded.phone, contacts.phone), is_bot = excluded.is_bot
        WHERE (contacts.name, contacts.username, contacts.is_bot) IS DISTINCT FROM (excluded.name, excluded.username, excluded.is_bot)
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), instance_id, 'message', chat_id, message_id,
            CASE WHEN trace IS NULL THEN '{}' ELSE jsonb_build_object('trace', trace) END
        FROM (SELECT instance_id, chat_id, message_id, trace FROM fresh WHERE NOT backfill ORDER BY position) AS news
        RETURNING id, instance_id, chat_id, message_id, data, at
    ), active AS (
        UPDATE public.message_instances SET last_activity_at = now() FROM (SELECT DISTINCT instance_id FROM fresh WHERE NOT backfill) AS heard
        WHERE id = heard.instance_id AND (last_activity_at IS NULL OR last_activity_at < now() - interval '10 seconds')
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id RETURNING event_id
    ), asked AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target, run_at)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'agno', now() + interval '1.5 seconds'
        FROM logged JOIN fresh USING (message_id) JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE fresh.may_wake AND i.agno_enable AND i.agent_id <> '' ORDER BY logged.id RETURNING event_id
    )
    SELECT input.position, fresh.message_id, EXISTS (SELECT FROM due) OR EXISTS (SELECT FROM asked)
            OR EXISTS (SELECT FROM public.webhooks w WHERE w.instance_id = logged.instance_id) AS has_deliveries,
        logged.id AS event_id, logged.instance_id, logged.chat_id, logged.data, logged.at,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM input LEFT JOIN fresh USING (position) LEFT JOIN logged USING (message_id)"""


async def append_messages(database: Database, rows: Sequence[dict[str, Any]]) -> dict[int, Appended]:
    """Store messages with their chats, contacts, events and deliveries: all or none, each once.

    A position that is missing in the answer was refused: its `epoch` is not the one of the instance's lease any more.
    Two rows of one call must not have the same (instance_id, platform_id).
    """
    answer = await database.rows(APPEND_MESSAGES, {"rows": jsonb(list(rows)), "event_log": EVENT_LOG})
    return {
        position: Appended(position, message_id, None if id is None else EventRow(id, instance_id, "message", chat_id, message_id, data, at), due)
        for position, message_id, due, id, instance_id, chat_id, data, at, _ in answer
    }
