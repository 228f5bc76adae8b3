"""Calls that wait for a person: each is a row, answered once, carried out once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db.advisory_locks import hold_log
from db.audit import ADD, Entry
from db.database import Database
from db.json import jsonb


@dataclass(frozen=True, slots=True, kw_only=True)
class _Approval:
    """`kind` is call, draft or question. `caller_user_id` and `caller_instance_id` are whose rights it is carried out with."""

    id: UUID
    code: str
    kind: str
    user_id: str
    instance_id: UUID | None
    operation: str
    sealed: bytes
    binding: str
    chat_id: str | None
    rule: str
    reason: str
    asker: str
    caller_user_id: str | None
    caller_instance_id: UUID | None
    idempotency_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRow(_Approval):
    """`status`: pending, approved (being carried out), done, failed, denied, answered, cancelled or expired."""

    status: str
    decided_by: str | None
    decided_at: datetime | None
    outcome: dict[str, Any] | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApproval(_Approval):
    minutes: int


LOG: LiteralString = """
    WITH logged AS (
        INSERT INTO public.events (id, instance_id, type, data)
        SELECT nextval('public.event_numbers'), a.instance_id, 'approval',
            jsonb_build_object('approval_id', a.id, 'status', a.status, 'kind', a.kind, 'operation', a.operation, 'expires_at', a.expires_at)
        FROM public.approvals AS a JOIN public.message_instances AS i ON i.id = a.instance_id WHERE a.id = %(id)s
        RETURNING id, instance_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, target)
        SELECT logged.id, logged.instance_id, 'webhook' FROM logged JOIN public.message_instances AS i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true'
    )
    SELECT id, pg_notify('mcp_messenger_events', id::text) FROM logged"""
# The same call again, while it waits, is the same approval.
INSERT: LiteralString = """
    INSERT INTO public.approvals (id, code, kind, user_id, instance_id, operation, sealed, binding, chat_id, rule, reason, asker,
        caller_user_id, caller_instance_id, idempotency_key, expires_at)
    VALUES (%(id)s, %(code)s, %(kind)s, %(user_id)s, %(instance_id)s, %(operation)s, %(sealed)s, %(binding)s, %(chat_id)s, %(rule)s, %(reason)s,
        %(asker)s, %(caller_user_id)s, %(caller_instance_id)s, %(idempotency_key)s, now() + make_interval(mins => %(minutes)s))
    ON CONFLICT (asker, operation, binding) WHERE status = 'pending' DO NOTHING
    RETURNING id"""
SAME: LiteralString = """
    SELECT id, code, kind, user_id, instance_id, operation, sealed, binding, chat_id, rule, reason, asker, caller_user_id, caller_instance_id,
        idempotency_key, status, decided_by, decided_at, outcome, created_at, expires_at
    FROM public.approvals WHERE asker = %(asker)s AND operation = %(operation)s AND binding = %(binding)s AND status = 'pending'"""
EXPIRE_ONE: LiteralString = """
    UPDATE public.approvals SET status = 'expired' WHERE asker = %(asker)s AND operation = %(operation)s AND binding = %(binding)s
        AND status = 'pending' AND expires_at <= now()"""
GET: LiteralString = """
    SELECT id, code, kind, user_id, instance_id, operation, sealed, binding, chat_id, rule, reason, asker, caller_user_id, caller_instance_id,
        idempotency_key, CASE WHEN status = 'pending' AND expires_at <= now() THEN 'expired' ELSE status END AS status, decided_by, decided_at,
        outcome, created_at, expires_at
    FROM public.approvals WHERE id = %(id)s"""


async def ask(database: Database, new: NewApproval) -> tuple[ApprovalRow, bool]:
    """Store a call that waits for a person; return it, or the same one that waits already, and whether it is new."""
    params = asdict(new)
    made = False
    async with database.transaction() as connection:
        await hold_log(connection)
        await connection.execute(EXPIRE_ONE, params)
        made = await (await connection.execute(INSERT, params)).fetchone() is not None
        if made:
            await connection.execute(LOG, {"id": new.id})
    row = await get(database, new.id) if made else await database.one(ApprovalRow, SAME, params)
    # Answered in the very moment: who asks again finds out.
    return (row, made) if row is not None else await ask(database, new)


async def get(database: Database, id: UUID) -> ApprovalRow | None:
    """Return an approval; None: there is none with this id."""
    return await database.one(ApprovalRow, GET, {"id": id})


LIST: LiteralString = """
    SELECT id, code, kind, user_id, instance_id, operation, sealed, binding, chat_id, rule, reason, asker, caller_user_id, caller_instance_id,
        idempotency_key, CASE WHEN status = 'pending' AND expires_at <= now() THEN 'expired' ELSE status END AS status, decided_by, decided_at,
        outcome, created_at, expires_at
    FROM public.approvals
    WHERE (%(user_id)s::text IS NULL OR user_id = %(user_id)s) AND (%(instance_id)s::uuid IS NULL OR instance_id = %(instance_id)s)
        AND (NOT %(pending)s OR status = 'pending' AND expires_at > now())
        AND (%(after)s::timestamptz IS NULL OR (created_at, id) < (%(after)s, %(after_id)s))
    ORDER BY created_at DESC, id DESC LIMIT %(limit)s"""


async def listing(
    database: Database,
    *,
    user_id: str | None,
    instance_id: UUID | None = None,
    pending: bool,
    after: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[ApprovalRow]:
    """Return approvals, newest first; with `pending` those that wait. `after` is the (created_at, id) of the last one of the page before."""
    params = {
        "user_id": user_id,
        "instance_id": instance_id,
        "pending": pending,
        "after": after and after[0],
        "after_id": after and after[1],
        "limit": limit,
    }
    return await database.all(ApprovalRow, LIST, params)


WAITING: LiteralString = "SELECT count(*) FROM public.approvals WHERE asker = %(asker)s AND status = 'pending' AND expires_at > now()"


async def waiting(database: Database, asker: str) -> int:
    """Return how many calls of an agent wait for a person."""
    return await database.value(WAITING, {"asker": asker})


# The row's lock makes one answer the first, also between servers.
DECIDE: LiteralString = """
    UPDATE public.approvals SET status = %(status)s, decided_by = %(by)s, decided_at = now(), outcome = coalesce(%(outcome)s, outcome),
        sealed = coalesce(%(sealed)s, sealed), page_digest = NULL,
        claimed_until = CASE WHEN %(status)s = 'approved' THEN now() + make_interval(secs => %(lease)s) END
    WHERE id = %(id)s AND status = 'pending' AND expires_at > now()
    RETURNING id"""


async def decide(
    database: Database,
    id: UUID,
    status: str,
    *,
    by: str,
    entry: Entry,
    outcome: dict[str, Any] | None = None,
    sealed: bytes | None = None,
    lease: float = 0.0,
) -> bool:
    """Store the answer to an approval, and the row of the audit log that says so. False: it was answered, withdrawn, or is over.

    `sealed` is the call as the person has changed it.

    With `approved` the caller carries it out within `lease` seconds, or somebody else does.
    """
    params = {
        "id": id,
        "status": status,
        "by": by,
        "outcome": None if outcome is None else jsonb(outcome),
        "sealed": sealed,
        "lease": lease,
    }
    async with database.transaction() as connection:
        await hold_log(connection)
        decided = await (await connection.execute(DECIDE, params)).fetchone()
        if decided is not None:
            await connection.execute(LOG, {"id": id})
            await connection.execute(ADD, asdict(entry))
    return decided is not None


SETTLE: LiteralString = """
    UPDATE public.approvals SET status = %(status)s, outcome = %(outcome)s, claimed_until = NULL WHERE id = %(id)s AND status = 'approved'
    RETURNING id"""


async def settle(database: Database, id: UUID, status: str, outcome: dict[str, Any]) -> None:
    """Store what became of an approved call."""
    async with database.transaction() as connection:
        await hold_log(connection)
        if await (await connection.execute(SETTLE, {"id": id, "status": status, "outcome": jsonb(outcome)})).fetchone() is not None:
            await connection.execute(LOG, {"id": id})


CLAIM: LiteralString = """
    UPDATE public.approvals SET claimed_until = now() + make_interval(secs => %(lease)s)
    WHERE id = ANY(ARRAY(
        SELECT id FROM public.approvals WHERE status = 'approved' AND claimed_until <= now()
        ORDER BY claimed_until LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING id"""


async def claim(database: Database, *, lease: float, limit: int) -> list[UUID]:
    """Claim approved calls that nobody has carried out to its end: their process has died."""
    return [row[0] for row in await database.rows(CLAIM, {"lease": lease, "limit": limit})]


RENEW: LiteralString = """
    UPDATE public.approvals SET claimed_until = now() + make_interval(secs => %(lease)s) WHERE id = %(id)s AND status = 'approved'"""


async def renew(database: Database, id: UUID, *, lease: float) -> None:
    """Say that an approved call is still being carried out."""
    await database.execute(RENEW, {"id": id, "lease": lease})


UNDER_FORMER: LiteralString = """
    SELECT id, sealed FROM public.approvals WHERE substr(sealed, 2, 8) <> %(key_id)s AND id > %(after)s ORDER BY id LIMIT %(limit)s"""
RESEAL: LiteralString = """
    UPDATE public.approvals AS a SET sealed = given.sealed
    FROM unnest(%(ids)s::uuid[], %(former)s::bytea[], %(sealed)s::bytea[]) AS given (id, former, sealed)
    WHERE a.id = given.id AND a.sealed = given.former"""


@dataclass(frozen=True, slots=True)
class SealedCall:
    """The call of an approval as it is stored."""

    id: UUID
    sealed: bytes


async def under_former(database: Database, key_id: bytes, after: UUID, *, limit: int) -> list[SealedCall]:
    """Return a page of the calls that are sealed with other keys, in the order of their ids."""
    return await database.all(SealedCall, UNDER_FORMER, {"key_id": key_id, "after": after, "limit": limit})


async def reseal(database: Database, changed: Sequence[tuple[SealedCall, bytes]]) -> int:
    """Replace calls by the same ones under another key; return how many were still as they were read."""
    params = {"ids": [row.id for row, _ in changed], "former": [row.sealed for row, _ in changed], "sealed": [sealed for _, sealed in changed]}
    return await database.execute(RESEAL, params)


EXPIRED: LiteralString = """
    SELECT id FROM public.approvals WHERE status = 'pending' AND expires_at <= now() ORDER BY expires_at LIMIT %(limit)s"""
EXPIRE: LiteralString = "UPDATE public.approvals SET status = 'expired' WHERE id = %(id)s AND status = 'pending' AND expires_at <= now() RETURNING id"


async def expire(database: Database, *, limit: int) -> Sequence[UUID]:
    """End approvals that nobody answered in time; return them."""
    ended = [row[0] for row in await database.rows(EXPIRED, {"limit": limit})]
    for id in ended:
        async with database.transaction() as connection:
            await hold_log(connection)
            if await (await connection.execute(EXPIRE, {"id": id})).fetchone() is not None:
                await connection.execute(LOG, {"id": id})
    return ended


FORGET: LiteralString = "DELETE FROM public.approvals WHERE status <> 'pending' AND status <> 'approved' AND created_at < now() - interval '90 days'"


async def forget(database: Database) -> None:
    """Delete what was answered long ago."""
    await database.execute(FORGET)


SET_PAGE: LiteralString = "UPDATE public.approvals SET page_digest = %(digest)s WHERE id = %(id)s AND status = 'pending'"
BY_PAGE: LiteralString = """
    SELECT id, code, kind, user_id, instance_id, operation, sealed, binding, chat_id, rule, reason, asker, caller_user_id, caller_instance_id,
        idempotency_key, status, decided_by, decided_at, outcome, created_at, expires_at
    FROM public.approvals WHERE page_digest = ANY(%(digests)s) AND status = 'pending' AND expires_at > now()"""


async def set_page(database: Database, id: UUID, digest: bytes) -> None:
    """Store the digest of the secret in the address of its page; a former address ends."""
    await database.execute(SET_PAGE, {"id": id, "digest": digest})


async def by_page(database: Database, digests: Sequence[bytes]) -> ApprovalRow | None:
    """Return the approval that waits under an address; None: it is answered, or over."""
    return await database.one(ApprovalRow, BY_PAGE, {"digests": list(digests)})


OWNER_CHATS: LiteralString = """
    SELECT DISTINCT document->'owner'->>'instance_id', document->'owner'->>'chat_id' FROM public.instance_policies
    WHERE document->'owner'->>'chat_id' IS NOT NULL"""


async def owner_chats(database: Database) -> set[tuple[str, str]]:
    """Return the chats in which owners decide, each by its instance and its id."""
    return {(row[0], row[1]) for row in await database.rows(OWNER_CHATS)}


BY_CODE: LiteralString = """
    SELECT a.id, a.code, a.kind, a.user_id, a.instance_id, a.operation, a.sealed, a.binding, a.chat_id, a.rule, a.reason, a.asker,
        a.caller_user_id, a.caller_instance_id, a.idempotency_key, a.status, a.decided_by, a.decided_at, a.outcome, a.created_at, a.expires_at
    FROM public.approvals AS a JOIN public.instance_policies AS p ON p.instance_id = a.instance_id
    WHERE a.code = %(code)s AND a.status = 'pending' AND a.expires_at > now()
        AND p.document->'owner'->>'instance_id' = %(instance_id)s AND p.document->'owner'->>'chat_id' = %(chat_id)s"""


async def by_code(database: Database, code: str, *, instance_id: str, chat_id: str) -> ApprovalRow | None:
    """Return what waits under a code for the owner in this chat; None: nothing does."""
    return await database.one(ApprovalRow, BY_CODE, {"code": code, "instance_id": instance_id, "chat_id": chat_id})


# By the key under which the request was queued. Whoever has written in the chat from the other side is the owner; the account is not.
BY_REQUEST: LiteralString = """
    SELECT a.id, a.code, a.kind, a.user_id, a.instance_id, a.operation, a.sealed, a.binding, a.chat_id, a.rule, a.reason, a.asker,
        a.caller_user_id, a.caller_instance_id, a.idempotency_key, a.status, a.decided_by, a.decided_at, a.outcome, a.created_at, a.expires_at
    FROM public.messages AS m
    JOIN public.approvals AS a
        ON a.id = CASE WHEN m.idempotency_key ~ '^approval:[0-9a-f-]{36}:asked$' THEN substr(m.idempotency_key, 10, 36)::uuid END
    JOIN public.instance_policies AS p ON p.instance_id = a.instance_id
    JOIN public.message_instances AS i ON i.id = m.instance_id
    WHERE m.id = %(message_id)s AND m.instance_id = %(instance_id)s AND m.outgoing AND a.status = 'pending' AND a.expires_at > now()
        AND p.document->'owner'->>'instance_id' = m.instance_id::text AND p.document->'owner'->>'chat_id' = m.chat_id
        AND (i.account->>'id') IS DISTINCT FROM %(sender_id)s
        AND EXISTS (SELECT FROM public.messages AS w WHERE w.instance_id = m.instance_id AND w.chat_id = m.chat_id AND NOT w.outgoing
            AND w.sender_id = %(sender_id)s)"""


async def by_request(database: Database, instance_id: UUID, message_id: int, *, sender_id: str) -> ApprovalRow | None:
    """Return what waits by a request to the owner that this sender reacts to in the owner's chat; None: nothing does, or it is not the owner."""
    return await database.one(ApprovalRow, BY_REQUEST, {"instance_id": instance_id, "message_id": message_id, "sender_id": sender_id})
