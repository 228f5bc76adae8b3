"""What is on its way out. A send is queued, claimed by the instance's owner, and settled: sent, failed or unknown."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db import chat_addresses
from db.advisory_locks import EVENT_LOG, hold_log
from db.audit import Entry, parameters
from db.database import Database
from db.events import EventRow
from db.json import jsonb

QUEUE: LiteralString = """
    WITH known AS (
        SELECT id, content->>'fingerprint' AS fingerprint FROM public.messages
        WHERE instance_id = %(instance_id)s AND idempotency_key = %(idempotency_key)s
    ), again AS (
        SELECT id, content->>'fingerprint' AS fingerprint FROM public.messages
        WHERE %(again_within)s::float8 > 0 AND instance_id = %(instance_id)s AND chat_id = %(chat_id)s AND outgoing
            AND sent_at > now() - make_interval(secs => %(again_within)s::float8 + 600)
            AND created_at > now() - make_interval(secs => %(again_within)s::float8)
            AND status <> 'failed' AND deleted_at IS NULL AND content->>'fingerprint' = %(fingerprint)s
        ORDER BY sent_at DESC, id DESC LIMIT 1
    ), queued AS (
        INSERT INTO public.messages (instance_id, chat_id, outgoing, status, kind, body, reply_to, content, idempotency_key, queued)
        SELECT %(instance_id)s, %(chat_id)s, true, 'queued', %(kind)s, %(body)s, %(reply_to)s, %(content)s, %(idempotency_key)s, true
        WHERE NOT EXISTS (SELECT FROM known) AND NOT EXISTS (SELECT FROM again)
        ON CONFLICT (instance_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
        RETURNING id, content->>'fingerprint' AS fingerprint
    ), waiting AS (
        INSERT INTO public.outbox (message_id, instance_id, chat_id, draft, upload)
        SELECT id, %(instance_id)s, %(chat_id)s, %(draft)s, %(upload)s FROM queued
    ), audited AS (
        INSERT INTO public.audit_log (id, at, user_id, caller, key_id, session, client, operation, instance_id, chat_id, target, message_id,
            outcome, rule, decided_by, approval_id, code, content, salt, mac)
        SELECT %(audit_id)s, %(audit_at)s, %(audit_user_id)s, %(audit_caller)s, %(audit_key_id)s, %(audit_session)s, %(audit_client)s,
            %(audit_operation)s, %(audit_instance_id)s, %(audit_chat_id)s, %(audit_target)s, queued.id, %(audit_outcome)s, %(audit_rule)s,
            %(audit_decided_by)s, %(audit_approval_id)s, %(audit_code)s, %(audit_content)s, %(audit_salt)s, %(audit_mac)s
        FROM queued WHERE %(audit_id)s::uuid IS NOT NULL
    )
    SELECT id, fingerprint, true AS is_new FROM queued UNION ALL SELECT id, fingerprint, false FROM known
    UNION ALL SELECT id, fingerprint, false FROM again"""


@dataclass(frozen=True, slots=True)
class Queued:
    id: int
    fingerprint: str | None
    is_new: bool


KNOWN: LiteralString = """
    SELECT id, content->>'fingerprint' AS fingerprint, false AS is_new FROM public.messages
    WHERE instance_id = %(instance_id)s AND idempotency_key = %(idempotency_key)s"""


async def known(database: Database, instance_id: UUID, idempotency_key: str) -> Queued | None:
    """Return the send that was asked for before under this key; None: there is none."""
    return await database.one(Queued, KNOWN, {"instance_id": instance_id, "idempotency_key": idempotency_key})


async def queue(
    database: Database,
    *,
    instance_id: UUID,
    chat_id: str,
    kind: str,
    body: str,
    reply_to: str | None,
    content: dict[str, Any],
    idempotency_key: str | None,
    draft: dict[str, Any],
    upload: bytes | None,
    entry: Entry | None = None,
    again_within: float = 0.0,
) -> Queued:
    """Store a send with its row of the audit log, or find the one stored before under the same key (its `fingerprint` tells if it is the same).

    `again_within`: seconds in which the same content to the same chat is taken for a repetition, and the earlier message is found instead;
    0: it is sent. What a platform's clock is wrong by is allowed for up to ten minutes.
    """
    params = {
        "instance_id": instance_id,
        "chat_id": chat_id,
        "kind": kind,
        "body": body,
        "reply_to": reply_to,
        "content": jsonb(content),
        "idempotency_key": idempotency_key,
        "draft": jsonb(draft),
        "upload": upload,
        "again_within": again_within,
        "fingerprint": content.get("fingerprint"),
        **parameters(entry),
    }
    # Two callers with one key at the same moment: the loser sees neither row in its snapshot, and sees the winner's on the second look.
    row = await database.one(Queued, QUEUE, params) or await database.one(Queued, QUEUE, params)
    assert row is not None
    return row


# `heads` is the message of each chat that may be in flight: the one that is, or else the first. This keeps the order of a chat.
CLAIM: LiteralString = """
    WITH guard AS MATERIALIZED (SELECT pg_advisory_xact_lock(%(event_log)s)), heads AS (
        SELECT DISTINCT ON (chat_id) message_id, claimed_epoch, not_before FROM public.outbox
        WHERE instance_id = %(instance_id)s ORDER BY chat_id, claimed_epoch IS NULL, message_id
    ), claimed AS (
        UPDATE public.outbox SET claimed_epoch = %(epoch)s FROM guard, heads
        WHERE outbox.message_id = heads.message_id AND coalesce(outbox.claimed_epoch, %(epoch)s) = %(epoch)s
          AND outbox.message_id <> ALL(%(in_flight)s::bigint[]) AND heads.not_before <= now()
          AND EXISTS (SELECT FROM public.leases WHERE instance_id = %(instance_id)s AND epoch = %(epoch)s)
        RETURNING outbox.message_id, outbox.chat_id, outbox.draft, outbox.upload, outbox.attempts
    ), shown AS (
        UPDATE public.messages SET status = 'sending' FROM claimed WHERE messages.id = claimed.message_id
    )
    SELECT message_id, chat_id, draft, upload, attempts FROM claimed ORDER BY message_id"""


@dataclass(frozen=True, slots=True)
class ClaimedSend:
    message_id: int
    chat_id: str
    draft: dict[str, Any]
    upload: bytes | None
    attempts: int
    """Before this one."""


async def claim(database: Database, instance_id: UUID, *, epoch: int, in_flight: Collection[int]) -> list[ClaimedSend]:
    """Claim the next message of every chat of the instance and mark it as being sent. Nothing when the lease is not ours.

    `in_flight` are those that were claimed with this epoch and have not been settled. What is claimed with it besides them was claimed by
    a call whose answer was lost, so it has not been tried: it is given now.
    """
    params = {"instance_id": instance_id, "epoch": epoch, "in_flight": list(in_flight), "event_log": EVENT_LOG}
    return await database.all(ClaimedSend, CLAIM, params)


NEXT_DUE: LiteralString = """
    SELECT extract(epoch FROM min(not_before) - now())::float8 FROM (
        SELECT DISTINCT ON (chat_id) message_id, claimed_epoch, not_before FROM public.outbox
        WHERE instance_id = %(instance_id)s ORDER BY chat_id, claimed_epoch IS NULL, message_id
    ) AS heads WHERE claimed_epoch IS NULL"""


async def next_due(database: Database, instance_id: UUID) -> float | None:
    """Return the seconds until the next message may go (below zero: now); None: nothing waits, but behind a send under way."""
    return await database.value(NEXT_DUE, {"instance_id": instance_id})


# A message that lies in another chat than it was written to is left to the transaction that joins the two.
SENT: LiteralString = """
    WITH guard AS MATERIALIZED (SELECT pg_advisory_xact_lock(%(event_log)s)), changed AS (
        UPDATE public.messages SET status = %(status)s, platform_id = %(platform_id)s, sent_at = %(sent_at)s,
            content = content || %(content)s, error = %(error)s, thread_id = coalesce(thread_id, %(thread_id)s)
        FROM guard WHERE messages.id = %(id)s AND instance_id = %(instance_id)s AND outgoing AND platform_id IS NULL
            AND chat_id = coalesce(%(chat_id)s, chat_id)
        RETURNING messages.id, instance_id, chat_id, sent_at, status, error
    ), talked AS (
        INSERT INTO public.chats (instance_id, id, last_message_id, last_at)
        SELECT instance_id, chat_id, id, sent_at FROM changed
        ON CONFLICT (instance_id, id) DO UPDATE SET
            last_message_id = CASE WHEN chats.last_at > excluded.last_at THEN chats.last_message_id ELSE excluded.last_message_id END,
            last_at = greatest(chats.last_at, excluded.last_at)
    ), gone AS (
        DELETE FROM public.outbox WHERE message_id = %(id)s RETURNING draft
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), instance_id, %(type)s, chat_id, id,
            %(data)s || coalesce((SELECT jsonb_build_object('trace', draft->'trace') FROM gone WHERE draft ? 'trace'), '{}') FROM changed
        RETURNING id, instance_id, chat_id, data, at
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id RETURNING event_id
    )
    SELECT logged.id AS event_id, logged.instance_id, logged.data, logged.at, EXISTS (
        SELECT FROM public.outbox WHERE outbox.instance_id = logged.instance_id AND claimed_epoch IS NULL AND message_id <> %(id)s) AS more,
        EXISTS (SELECT FROM due) OR EXISTS (SELECT FROM public.webhooks w WHERE w.instance_id = logged.instance_id) AS has_deliveries,
        changed.chat_id, changed.status, changed.error,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM logged CROSS JOIN changed"""
WRITTEN_TO: LiteralString = """
    SELECT chat_id FROM public.messages WHERE id = %(id)s AND instance_id = %(instance_id)s AND outgoing AND platform_id IS NULL"""
# The platform's echo was first; its answer to us may know more of the message, such as what its file is called there.
LEARN_CONTENT: LiteralString = """
    UPDATE public.messages SET content = content || %(content)s
    WHERE id = %(id)s AND instance_id = %(instance_id)s AND platform_id = %(platform_id)s AND NOT content @> %(content)s"""
# Who was replaced may know for sure what its successor could only call unknown.
ENDED: LiteralString = """
    WITH guard AS MATERIALIZED (SELECT pg_advisory_xact_lock(%(event_log)s)), changed AS (
        UPDATE public.messages SET status = %(status)s, error = %(error)s
        FROM guard WHERE messages.id = %(id)s AND (status IN ('queued', 'sending') OR status = 'unknown' AND %(status)s = 'failed')
        RETURNING messages.id, instance_id, chat_id, status, error
    ), gone AS (
        DELETE FROM public.outbox WHERE message_id = %(id)s RETURNING draft
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), instance_id, %(type)s, chat_id, id,
            %(data)s || coalesce((SELECT jsonb_build_object('trace', draft->'trace') FROM gone WHERE draft ? 'trace'), '{}') FROM changed
        RETURNING id, instance_id, chat_id, data, at
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id RETURNING event_id
    )
    SELECT logged.id AS event_id, logged.instance_id, logged.data, logged.at, EXISTS (
        SELECT FROM public.outbox WHERE outbox.instance_id = logged.instance_id AND claimed_epoch IS NULL AND message_id <> %(id)s) AS more,
        EXISTS (SELECT FROM due) OR EXISTS (SELECT FROM public.webhooks w WHERE w.instance_id = logged.instance_id) AS has_deliveries,
        changed.chat_id, changed.status, changed.error,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM logged CROSS JOIN changed"""
# The platform's echo of our own message came in before its answer to us: the two rows are one message.
ABSORB_ECHO: LiteralString = """
    WITH echo AS (
        DELETE FROM public.messages WHERE instance_id = %(instance_id)s AND platform_id = %(platform_id)s AND id <> %(id)s
        RETURNING id, status, error, content
    ), moved AS (UPDATE public.events SET message_id = %(id)s FROM echo WHERE message_id = echo.id),
    shown AS (UPDATE public.chats SET last_message_id = %(id)s FROM echo WHERE last_message_id = echo.id AND instance_id = %(instance_id)s)
    SELECT status, error, content FROM echo"""


@dataclass(frozen=True, slots=True)
class SettledSend:
    """`more`: something else of the instance waits to be claimed. What is queued later wakes its owner by itself.

    `has_deliveries`: something waits to be brought to the instance's webhooks. `chat_id`: where the message lies.
    """

    event: EventRow
    more: bool
    has_deliveries: bool
    chat_id: str
    status: str
    error: dict[str, Any] | None


def _settled(row: Sequence[Any], params: dict[str, Any]) -> SettledSend:
    event_id, instance_id, data, at, more, has_deliveries, chat_id, status, error, _ = row
    event = EventRow(event_id, instance_id, params["type"], chat_id, params["id"], data, at)
    return SettledSend(event, more, has_deliveries, chat_id, status, error)


async def sent(
    database: Database,
    instance_id: UUID,
    message_id: int,
    *,
    platform_id: str,
    sent_at: datetime,
    content: dict[str, Any],
    chat_id: str | None = None,
    thread_id: str | None = None,
) -> SettledSend | None:
    """Record that a message went out. None: that was known already.

    `chat_id` and `thread_id` say where it really lies; the chat it was written to becomes an alias of that. None: where it was written to.
    """
    from psycopg.errors import UniqueViolation

    params: dict[str, Any] = {
        "id": message_id,
        "instance_id": instance_id,
        "platform_id": platform_id,
        "sent_at": sent_at,
        "status": "sent",
        "error": None,
        "content": jsonb(content),
        "type": "message",
        "data": jsonb({}),
        "event_log": EVENT_LOG,
        "chat_id": chat_id,
        "thread_id": thread_id,
    }
    try:
        rows = await database.rows(SENT, params)
    except UniqueViolation:
        rows = []
    if not rows:
        rows = await _sent_and_joined(database, params, content)
    if not rows:
        await learn_content(database, instance_id, message_id, platform_id=platform_id, content=content)
    return _settled(rows[0], params) if rows else None


async def _sent_and_joined(database: Database, params: dict[str, Any], content: dict[str, Any]) -> list[Any]:
    """Record a message whose echo is stored already, or that lies in another chat: whoever sees it sent finds it under both ids."""
    async with database.transaction() as connection:
        await hold_log(connection)
        written_to = await (await connection.execute(WRITTEN_TO, params)).fetchone()
        if written_to is None:
            return []
        if params["chat_id"] not in {None, written_to[0]}:
            await chat_addresses.join_within(connection, params["instance_id"], written_to[0], params["chat_id"], params["thread_id"])
        lived: dict[str, Any] = {}
        if (echo := await (await connection.execute(ABSORB_ECHO, params)).fetchone()) is not None:
            status, error, echoed = echo
            lived = {"status": status, "error": error and jsonb(error), "content": jsonb({**echoed, **content})}
        return await (await connection.execute(SENT, {**params, **lived})).fetchall()


async def learn_content(database: Database, instance_id: UUID, message_id: int, *, platform_id: str, content: dict[str, Any]) -> None:
    """Add to a sent message what else its platform says of it."""
    params = {"id": message_id, "instance_id": instance_id, "platform_id": platform_id, "content": jsonb(content)}
    await database.execute(LEARN_CONTENT, params)


async def ended(database: Database, message_id: int, status: str, error: dict[str, Any]) -> SettledSend | None:
    """Store that the message failed, or that its fate is unknown; `error` holds code and message. None: its fate was known already."""
    data = jsonb({"status": status, **error})
    params = {"id": message_id, "status": status, "error": jsonb(error), "type": "receipt", "data": data, "event_log": EVENT_LOG}
    rows = await database.rows(ENDED, params)
    return _settled(rows[0], params) if rows else None


REQUEUE: LiteralString = """
    WITH guard AS MATERIALIZED (SELECT pg_advisory_xact_lock(%(event_log)s)), back AS (
        UPDATE public.outbox SET claimed_epoch = NULL, not_before = now() + make_interval(secs => %(delay)s), attempts = attempts + %(tried)s::int
        FROM guard WHERE message_id = %(id)s AND claimed_epoch = %(epoch)s RETURNING message_id
    )
    UPDATE public.messages SET status = 'queued', error = %(error)s FROM back WHERE messages.id = back.message_id AND status = 'sending'"""


async def requeue(database: Database, message_id: int, *, epoch: int, delay: float, tried: bool, error: dict[str, Any]) -> None:
    """Let a message that surely did not go out be tried again after `delay` seconds. `tried` counts as an attempt."""
    params = {"id": message_id, "epoch": epoch, "delay": delay, "tried": tried, "error": jsonb(error), "event_log": EVENT_LOG}
    await database.execute(REQUEUE, params)


# What its owner has claimed meanwhile is not touched: the row's lock lets the later of the two see what the first has done.
CANCEL: LiteralString = """
    WITH guard AS MATERIALIZED (SELECT pg_advisory_xact_lock(%(event_log)s)), gone AS (
        DELETE FROM public.outbox USING guard WHERE message_id = %(id)s AND instance_id = %(instance_id)s AND claimed_epoch IS NULL
        RETURNING message_id
    ), changed AS (
        UPDATE public.messages SET status = 'failed', error = %(error)s FROM gone WHERE messages.id = gone.message_id
        RETURNING messages.id, instance_id, chat_id
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), instance_id, 'receipt', chat_id, id, %(data)s FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true'
    )
    SELECT id, pg_notify('mcp_messenger_events', id::text) FROM logged"""


async def cancel(database: Database, instance_id: UUID, message_id: int) -> bool:
    """Take back a message that waits in the queue. False: it is being sent, or it is not queued any more."""
    error = {"code": "cancelled", "message": "It was taken back before it was sent."}
    params = {
        "id": message_id,
        "instance_id": instance_id,
        "error": jsonb(error),
        "data": jsonb({"status": "failed", **error}),
        "event_log": EVENT_LOG,
    }
    return bool(await database.rows(CANCEL, params))


ORPHANED: LiteralString = """
    SELECT message_id FROM public.outbox WHERE instance_id = %(instance_id)s AND claimed_epoch < %(epoch)s"""


async def orphaned(database: Database, instance_id: UUID, *, epoch: int) -> list[int]:
    """Return messages that an earlier owner was sending when it went away: they may have gone out."""
    return [row[0] for row in await database.rows(ORPHANED, {"instance_id": instance_id, "epoch": epoch})]


DEPTH: LiteralString = "SELECT count(*), coalesce(extract(epoch FROM now() - min(not_before)), 0)::float8 FROM public.outbox"


async def depth(database: Database) -> tuple[int, float]:
    """Return (messages waiting, seconds that the oldest has been due)."""
    row = (await database.rows(DEPTH))[0]
    return row[0], max(0.0, row[1])
