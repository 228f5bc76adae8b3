"""Stores changes that the messengers report besides new messages, each with its event and its deliveries in one statement.

Every statement takes the log's lock first, as those of db/inbound.py do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from db.advisory_locks import EVENT_LOG
from db.database import Database
from db.events import EventRow
from db.json import jsonb

# Edits come late and out of order, too: an older one takes back no newer one. Some platforms tell times in whole seconds.
EDIT: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), changed AS (
        UPDATE public.messages SET body = %(text)s, content = content || %(content)s, edited_at = %(at)s
        FROM guard WHERE instance_id = %(instance_id)s AND platform_id = %(message_id)s AND (body <> %(text)s OR NOT content @> %(content)s)
            AND (edited_at IS NULL OR date_trunc('second', edited_at) <= %(at)s)
        RETURNING messages.id, messages.chat_id
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, changed.chat_id, changed.id, %(data)s FROM changed
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
CHAT: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), written AS (
        INSERT INTO public.chats (instance_id, id, kind, title, username, phone)
        SELECT %(instance_id)s, %(chat_id)s, %(kind)s, %(title)s, %(username)s, %(phone)s FROM guard
        WHERE NOT EXISTS (SELECT FROM public.erasures e
                WHERE e.instance_id = %(instance_id)s AND e.digest = sha256(e.salt || convert_to(%(chat_id)s, 'UTF8')))
            OR EXISTS (SELECT FROM public.chats k WHERE k.instance_id = %(instance_id)s AND k.id = %(chat_id)s)
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
NOTICE: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), written AS (
        INSERT INTO public.instance_errors (instance_id, code, message) SELECT %(instance_id)s, %(code)s, %(text)s FROM guard WHERE %(is_error)s
        ON CONFLICT (instance_id, code, message) DO UPDATE SET count = instance_errors.count + 1, at = now()
        RETURNING code
    ), changed AS (
        SELECT NULL::bigint AS id FROM guard
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
# All of a batch ends, not only the messages of the thread: one run answers them together. The chat may have been named by a former id.
STOP: LiteralString = """
    WITH guard AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%(event_log)s) WHERE %(epoch)s::bigint IS NULL OR EXISTS (
            SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
    ), home AS (
        SELECT coalesce((SELECT a.chat_id FROM public.chat_aliases a WHERE a.instance_id = %(instance_id)s AND a.alias = %(chat_id)s),
            %(chat_id)s) AS chat_id
    ), running AS (
        SELECT DISTINCT d.batch FROM guard, home, public.deliveries d LEFT JOIN public.events e ON e.id = d.event_id
            LEFT JOIN public.messages m ON m.id = e.message_id
        WHERE d.target = 'agno' AND d.instance_id = %(instance_id)s AND coalesce(d.chat_id, '') = home.chat_id AND d.status = 'pending'
            AND d.lease_until > now() AND (%(thread_id)s::text IS NULL OR %(thread_id)s IN (m.thread_id, m.platform_id))
    ), ended AS (
        UPDATE public.deliveries SET status = 'done', lease_until = NULL, done_at = now(), answer = NULL, last_error = %(reason)s
        FROM running WHERE deliveries.batch = running.batch AND deliveries.status = 'pending'
        RETURNING deliveries.id
    ), changed AS (
        SELECT NULL::bigint AS id, home.chat_id FROM guard, home
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), %(instance_id)s, %(type)s, changed.chat_id, changed.id, %(data)s FROM changed
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


@dataclass(frozen=True, slots=True)
class Change:
    event: EventRow | None
    """None: it was so already."""
    has_deliveries: bool = False
    """Something waits to be brought to a webhook of the instance."""


async def change(database: Database, statement: LiteralString, params: dict[str, Any]) -> Change | None:
    """Run one of the statements above. None: refused, since `epoch` (unless it is None) is not the lease's any more."""
    return changed(await database.rows(statement, complete(params)))


def changed(rows: Sequence[Sequence[Any]]) -> Change | None:
    """Return the answer of such a statement."""
    if not rows:
        return None
    *event, has_deliveries, _ = rows[0]
    return Change(None if event[0] is None else EventRow(*event), bool(has_deliveries))


def complete(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a statement with those that have a default."""
    return {"chat_id": None, "data": jsonb({}), "event_log": EVENT_LOG, **params}
