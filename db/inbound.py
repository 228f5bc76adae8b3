"""Stores what the messengers report, each with its event and its deliveries in one statement.

Every statement that changes messages takes the log's lock first and holds it until its own commit, so events are numbered in the
order of their commits (see the migration) and two writers never wait for one another crosswise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from db.advisory_locks import EVENT_LOG
from db.database import Database
from db.json import jsonb

if TYPE_CHECKING:
    from psycopg import AsyncConnection

# For a transaction of several statements: everybody waits for its end, so the server ends it when its process is frozen or cut off.
HOLD_LOG: LiteralString = """
    SELECT set_config('idle_in_transaction_session_timeout', '5s', true), pg_advisory_xact_lock(%(event_log)s)"""


async def hold_log(connection: "AsyncConnection[Any]") -> None:
    """Take the event log's lock until the transaction of this connection ends. Take it before any row is locked."""
    await connection.execute(HOLD_LOG, {"event_log": EVENT_LOG})


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of one row given to `append_messages`, by its position."""

    position: int
    message_id: int | None
    """None: we had it already."""
    event_id: int | None
    """The newest event of the whole call."""


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
            thread_id, content, raw, sent_at)
        SELECT instance_id, chat_id, platform_id, outgoing, CASE WHEN outgoing THEN 'sent' ELSE 'received' END, sender_id, sender_name,
            kind, body, reply_to, thread_id, content, raw, sent_at
        FROM input ORDER BY position
        ON CONFLICT (instance_id, platform_id) WHERE platform_id IS NOT NULL DO NOTHING
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
        RETURNING id, instance_id, chat_id, message_id
    ), active AS (
        UPDATE public.message_instances SET last_activity_at = now() FROM (SELECT DISTINCT instance_id FROM fresh WHERE NOT backfill) AS heard
        WHERE id = heard.instance_id AND (last_activity_at IS NULL OR last_activity_at < now() - interval '10 seconds')
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    ), asked AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target, run_at)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'agno', now() + interval '1.5 seconds'
        FROM logged JOIN fresh USING (message_id) JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE fresh.may_wake AND i.agno_enable AND i.agent_id <> '' ORDER BY logged.id
    )
    SELECT input.position, fresh.message_id, (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM input LEFT JOIN fresh USING (position)"""


async def append_messages(database: Database, rows: Sequence[dict[str, Any]]) -> dict[int, Appended]:
    """Store messages with their chats, contacts, events and deliveries: all or none, each once.

    A position that is missing in the answer was refused: its `epoch` is not the one of the instance's lease any more.
    Two rows of one call must not have the same (instance_id, platform_id).
    """
    answer = await database.rows(APPEND_MESSAGES, {"rows": jsonb(list(rows)), "event_log": EVENT_LOG})
    return {row[0]: Appended(row[0], row[1], row[2]) for row in answer}


EDIT: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), changed AS (
        UPDATE public.messages SET body = %(text)s, content = content || %(content)s, edited_at = %(at)s
        FROM guard WHERE instance_id = %(instance_id)s AND platform_id = %(message_id)s AND (body <> %(text)s OR NOT content @> %(content)s)
        RETURNING messages.id, messages.chat_id
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, changed.chat_id, changed.id, %(data)s FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard"""
DELETE: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), changed AS (
        UPDATE public.messages SET deleted_at = %(at)s
        FROM guard WHERE instance_id = %(instance_id)s AND platform_id = %(message_id)s AND deleted_at IS NULL
        RETURNING messages.id, messages.chat_id
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, changed.chat_id, changed.id, %(data)s FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard"""
REACT: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), changed AS (
        UPDATE public.messages SET content = jsonb_set(content, '{reactions}',
            coalesce(content->'reactions', '{}') || jsonb_build_object(%(sender_id)s::text, to_jsonb(%(emojis)s::text[])))
        FROM guard WHERE instance_id = %(instance_id)s AND platform_id = %(message_id)s
            AND content->'reactions'->%(sender_id)s::text IS DISTINCT FROM to_jsonb(%(emojis)s::text[])
        RETURNING messages.id, messages.chat_id
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, changed.chat_id, changed.id, %(data)s FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard"""
# Receipts come late and out of order: a message never goes back from read to delivered, and what was delivered has not failed.
RECEIPT: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), changed AS (
        UPDATE public.messages SET status = %(status)s, error = %(error)s
        FROM guard WHERE instance_id = %(instance_id)s AND platform_id = %(message_id)s AND outgoing
            AND array_position(ARRAY['sent', 'failed', 'delivered', 'read'], status)
                < array_position(ARRAY['sent', 'failed', 'delivered', 'read'], %(status)s)
        RETURNING messages.id, messages.chat_id
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, changed.chat_id, changed.id, %(data)s FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard"""
VOTE: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), changed AS (
        UPDATE public.messages SET content = jsonb_set(content, '{votes}',
            coalesce(content->'votes', '{}') || jsonb_build_object(%(sender_id)s::text, %(vote)s::jsonb))
        FROM guard WHERE instance_id = %(instance_id)s AND platform_id = %(message_id)s
            AND content->'votes'->%(sender_id)s::text IS DISTINCT FROM %(vote)s::jsonb
        RETURNING messages.id, messages.chat_id
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, changed.chat_id, changed.id, %(data)s FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard"""
CHAT: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), written AS (
        INSERT INTO public.chats (instance_id, id, kind, title, username, phone)
        SELECT %(instance_id)s, %(chat_id)s, %(kind)s, %(title)s, %(username)s, %(phone)s FROM guard
        ON CONFLICT (instance_id, id) DO UPDATE SET
            kind = CASE WHEN excluded.kind = 'unknown' THEN chats.kind ELSE excluded.kind END,
            title = coalesce(nullif(excluded.title, ''), chats.title),
            username = coalesce(excluded.username, chats.username), phone = coalesce(excluded.phone, chats.phone)
        WHERE (excluded.kind NOT IN ('unknown', chats.kind)) OR excluded.title NOT IN ('', chats.title)
            OR excluded.username <> coalesce(chats.username, '') OR excluded.phone <> coalesce(chats.phone, '')
        RETURNING chats.id
    ), changed AS (
        SELECT NULL::bigint AS id FROM written
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, %(chat_id)s, changed.id, %(data)s FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard"""
CHAT_CLOSED: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), written AS (
        INSERT INTO public.chat_closures (instance_id, chat_id, reason, at) SELECT %(instance_id)s, %(chat_id)s, %(reason)s, %(at)s FROM guard
        ON CONFLICT (instance_id, chat_id) DO UPDATE SET reason = excluded.reason, at = excluded.at
        WHERE chat_closures.reason <> excluded.reason
        RETURNING chat_id
    ), changed AS (
        SELECT NULL::bigint AS id FROM written
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, %(chat_id)s, changed.id, %(data)s FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard"""
CHAT_OPENED: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), written AS (
        DELETE FROM public.chat_closures USING guard WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s RETURNING chat_id
    ), changed AS (
        SELECT NULL::bigint AS id FROM written
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, %(chat_id)s, changed.id, %(data)s FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard"""
NOTICE: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), written AS (
        INSERT INTO public.instance_errors (instance_id, code, message) SELECT %(instance_id)s, %(code)s, %(text)s FROM guard
        ON CONFLICT (instance_id, code, message) DO UPDATE SET count = instance_errors.count + 1, at = now()
        RETURNING code
    ), changed AS (
        SELECT NULL::bigint AS id FROM written
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, %(chat_id)s, changed.id, %(data)s FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard"""
# Told again, a state is no news: neither an event nor a line of history. A QR code is, each time.
STATE: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), former AS (SELECT status, status_reason FROM public.message_instances WHERE id = %(instance_id)s), written AS (
        UPDATE public.message_instances SET status = %(status)s, status_reason = %(reason)s, needs = %(needs)s,
            account = coalesce(%(account)s, account), updated_at = now()
        FROM guard
        WHERE id = %(instance_id)s AND ((status, status_reason, needs) IS DISTINCT FROM (%(status)s, %(reason)s, %(needs)s)
            OR account IS DISTINCT FROM coalesce(%(account)s, account) OR %(qr_sequence)s::int IS NOT NULL)
        RETURNING id
    ), remembered AS (
        INSERT INTO public.status_history (instance_id, status, reason) SELECT %(instance_id)s, %(status)s, %(reason)s FROM written, former
        WHERE (former.status, former.status_reason) IS DISTINCT FROM (%(status)s, %(reason)s)
    ), shown AS (
        UPDATE public.qr_codes SET sealed = %(qr_sealed)s, expires_at = %(qr_expires_at)s FROM written
        WHERE instance_id = %(instance_id)s AND outcome = 'current'
            AND (sequence, issued_at) = (%(qr_sequence)s, %(qr_issued_at)s::timestamptz)
        RETURNING qr_codes.id
    ), replaced AS (
        UPDATE public.qr_codes SET outcome = %(qr_outcome)s, sealed = NULL FROM written
        WHERE instance_id = %(instance_id)s AND outcome = 'current' AND NOT EXISTS (SELECT FROM shown)
    ), issued AS (
        INSERT INTO public.qr_codes (instance_id, sequence, issued_at, expires_at, sealed)
        SELECT %(instance_id)s, %(qr_sequence)s, %(qr_issued_at)s, %(qr_expires_at)s, %(qr_sealed)s FROM written
        WHERE %(qr_sequence)s::int IS NOT NULL AND NOT EXISTS (SELECT FROM shown)
    ), changed AS (
        SELECT NULL::bigint AS id FROM written
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, %(chat_id)s, changed.id, %(data)s FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard"""


@dataclass(frozen=True, slots=True)
class Change:
    event_id: int | None
    """None: it was so already."""


async def change(database: Database, statement: LiteralString, params: dict[str, Any]) -> Change | None:
    """Run one of the statements above. None: refused, since `epoch` (unless it is None) is not the lease's any more."""
    rows = await database.rows(statement, _complete(params))
    return Change(rows[0][0]) if rows else None


def _complete(params: dict[str, Any]) -> dict[str, Any]:
    return {"chat_id": None, "data": jsonb({}), "event_log": EVENT_LOG, **params}


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
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard"""
MOVE_CHAT: LiteralString = """
    INSERT INTO public.chats (instance_id, id, kind, title, username, phone, unread, last_message_id, last_at, last_incoming_at)
    SELECT instance_id, %(chat_id)s, CASE WHEN %(kind)s = 'unknown' THEN kind ELSE %(kind)s END, coalesce(nullif(%(title)s, ''), title),
        coalesce(%(username)s, username), coalesce(%(phone)s, phone), unread, last_message_id, last_at, last_incoming_at
    FROM public.chats WHERE instance_id = %(instance_id)s AND id = %(old_id)s
    ON CONFLICT (instance_id, id) DO UPDATE SET
        kind = CASE WHEN excluded.kind = 'unknown' THEN chats.kind ELSE excluded.kind END,
        title = coalesce(nullif(excluded.title, ''), chats.title),
        username = coalesce(excluded.username, chats.username), phone = coalesce(excluded.phone, chats.phone),
        unread = chats.unread + excluded.unread,
        last_message_id = CASE WHEN chats.last_at >= excluded.last_at THEN chats.last_message_id
            ELSE coalesce(excluded.last_message_id, chats.last_message_id) END,
        last_at = greatest(chats.last_at, excluded.last_at),
        last_incoming_at = greatest(chats.last_incoming_at, excluded.last_incoming_at)"""
EMPTY_CHAT: LiteralString = "UPDATE public.chats SET unread = 0, last_message_id = NULL WHERE instance_id = %(instance_id)s AND id = %(old_id)s"
MOVE_MESSAGES: LiteralString = "UPDATE public.messages SET chat_id = %(chat_id)s WHERE instance_id = %(instance_id)s AND chat_id = %(old_id)s"
MOVE_OUTBOX: LiteralString = "UPDATE public.outbox SET chat_id = %(chat_id)s WHERE instance_id = %(instance_id)s AND chat_id = %(old_id)s"


MOVE_DELIVERIES: LiteralString = """
    UPDATE public.deliveries SET chat_id = %(chat_id)s WHERE instance_id = %(instance_id)s AND chat_id = %(old_id)s AND status = 'pending'"""
# It has moved already, or somebody wrote from the old id since: the notice was brought late or again, and the id may be another's by now.
OVERTAKEN: LiteralString = """
    SELECT 1 FROM public.chats WHERE instance_id = %(instance_id)s AND id = %(old_id)s
        AND (migrated_to IS NOT NULL OR last_incoming_at > %(at)s)"""


async def migrate_chat(database: Database, params: dict[str, Any]) -> Change | None:
    """Move everything of the chat `old_id` to `chat_id`; the old id stays known as an alias. Answers as `change` does.

    A notice of the time `at` (None: not known) moves nothing where the chat has moved before, or has a word from the old id that is newer.
    """
    params = _complete(params)
    async with database.transaction() as connection:
        await hold_log(connection)
        if params.get("at") is not None and await (await connection.execute(OVERTAKEN, params)).fetchone():
            return Change(None)
        rows = await (await connection.execute(MIGRATED, params)).fetchall()
        if not rows:
            return None
        for statement in (MOVE_CHAT, EMPTY_CHAT, MOVE_MESSAGES, MOVE_OUTBOX, MOVE_DELIVERIES):
            await connection.execute(statement, params)
    return Change(rows[0][0])
