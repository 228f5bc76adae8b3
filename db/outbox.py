"""What is on its way out. A send is queued, claimed by the instance's owner, and settled: sent, failed or unknown."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db import chat_addresses
from db.advisory_locks import EVENT_LOG, hold_log
from db.database import Database
from db.json import jsonb

QUEUE: LiteralString = """
    WITH known AS (
        SELECT id, content->>'fingerprint' AS fingerprint FROM public.messages
        WHERE instance_id = %(instance_id)s AND idempotency_key = %(idempotency_key)s
    ), queued AS (
        INSERT INTO public.messages (instance_id, chat_id, outgoing, status, kind, body, reply_to, content, idempotency_key, queued)
        SELECT %(instance_id)s, %(chat_id)s, true, 'queued', %(kind)s, %(body)s, %(reply_to)s, %(content)s, %(idempotency_key)s, true
        WHERE NOT EXISTS (SELECT FROM known)
        ON CONFLICT (instance_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
        RETURNING id, content->>'fingerprint' AS fingerprint
    ), waiting AS (
        INSERT INTO public.outbox (message_id, instance_id, chat_id, draft, upload)
        SELECT id, %(instance_id)s, %(chat_id)s, %(draft)s, %(upload)s FROM queued
    )
    SELECT id, fingerprint, true AS is_new FROM queued UNION ALL SELECT id, fingerprint, false FROM known"""


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
) -> Queued:
    """Store a send, or find the one stored before under the same key (then its `fingerprint` tells whether it is the same send)."""
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


# `asked` is the chat as it was written to: the platform may say that the message lies in another one.
SENT: LiteralString = """
    WITH guard AS MATERIALIZED (SELECT pg_advisory_xact_lock(%(event_log)s)), asked AS (
        SELECT chat_id FROM public.messages WHERE id = %(id)s
    ), changed AS (
        UPDATE public.messages SET status = %(status)s, platform_id = %(platform_id)s, sent_at = %(sent_at)s,
            content = content || %(content)s, error = %(error)s,
            chat_id = coalesce(%(chat_id)s, chat_id), thread_id = coalesce(thread_id, %(thread_id)s)
        FROM guard WHERE messages.id = %(id)s AND instance_id = %(instance_id)s AND outgoing AND platform_id IS NULL
        RETURNING messages.id, instance_id, chat_id, sent_at
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
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT id, EXISTS (
        SELECT FROM public.outbox WHERE outbox.instance_id = logged.instance_id AND claimed_epoch IS NULL AND message_id <> %(id)s) AS more,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified,
        (SELECT chat_id FROM asked) AS asked
    FROM logged"""
# The platform's echo was first; its answer to us may know more of the message, such as what its file is called there.
LEARN_CONTENT: LiteralString = """
    UPDATE public.messages SET content = content || %(content)s
    WHERE id = %(id)s AND instance_id = %(instance_id)s AND platform_id = %(platform_id)s AND NOT content @> %(content)s"""
# Who was replaced may know for sure what its successor could only call unknown.
ENDED: LiteralString = """
    WITH guard AS MATERIALIZED (SELECT pg_advisory_xact_lock(%(event_log)s)), changed AS (
        UPDATE public.messages SET status = %(status)s, error = %(error)s
        FROM guard WHERE messages.id = %(id)s AND (status IN ('queued', 'sending') OR status = 'unknown' AND %(status)s = 'failed')
        RETURNING messages.id, instance_id, chat_id
    ), gone AS (
        DELETE FROM public.outbox WHERE message_id = %(id)s RETURNING draft
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), instance_id, %(type)s, chat_id, id,
            %(data)s || coalesce((SELECT jsonb_build_object('trace', draft->'trace') FROM gone WHERE draft ? 'trace'), '{}') FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT id, EXISTS (
        SELECT FROM public.outbox WHERE outbox.instance_id = logged.instance_id AND claimed_epoch IS NULL AND message_id <> %(id)s) AS more,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM logged"""
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

    `chat_id`: where the message lies; None of one that did not go out.
    """

    event_id: int
    more: bool
    chat_id: str | None = None


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
        async with database.transaction() as connection:
            await hold_log(connection)
            status, error, echoed = (await (await connection.execute(ABSORB_ECHO, params)).fetchall())[0]
            lived = {"status": status, "error": error and jsonb(error), "content": jsonb({**echoed, **content})}
            rows = await (await connection.execute(SENT, {**params, **lived})).fetchall()
    if not rows:
        await learn_content(database, instance_id, message_id, platform_id=platform_id, content=content)
    elif chat_id is not None and rows[0][3] != chat_id:
        await chat_addresses.join(database, instance_id, rows[0][3], chat_id, thread_id)
    return SettledSend(rows[0][0], rows[0][1], chat_id or rows[0][3]) if rows else None


async def learn_content(database: Database, instance_id: UUID, message_id: int, *, platform_id: str, content: dict[str, Any]) -> None:
    """Add to a sent message what else its platform says of it."""
    params = {"id": message_id, "instance_id": instance_id, "platform_id": platform_id, "content": jsonb(content)}
    await database.execute(LEARN_CONTENT, params)


async def ended(database: Database, message_id: int, status: str, error: dict[str, Any]) -> SettledSend | None:
    """Store that the message failed, or that its fate is unknown; `error` holds code and message. None: its fate was known already."""
    data = jsonb({"status": status, **error})
    params = {"id": message_id, "status": status, "error": jsonb(error), "type": "receipt", "data": data, "event_log": EVENT_LOG}
    rows = await database.rows(ENDED, params)
    return SettledSend(rows[0][0], rows[0][1]) if rows else None


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
