"""People who may reach agents: who is known, who was let in, and the codes that strangers were given.

A code is an approval of the kind pairing, so it is decided and expires as every other one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, LiteralString
from uuid import UUID

from db import approvals
from db.advisory_locks import hold_log
from db.approvals import NewApproval
from db.audit import ADD, Entry
from db.database import Database

KIND = "pairing"
PENDING_MAX = 3
"""Codes of one instance that wait for its owner."""
CODES_MAX = 2
"""Codes that one stranger is given."""


@dataclass(frozen=True, slots=True)
class Known:
    """How a chat, or whoever has its id, is known. `trusted`: a person approved it for good, or confirmed who it is; `paired`: a person let it
    reach agents.
    """

    instance_id: UUID
    chat_id: str
    kind: str
    provider: str
    is_bot: bool
    trusted: bool
    paired: bool


KNOWN: LiteralString = """
    SELECT asked.instance_id, asked.chat_id, coalesce(c.kind, 'unknown') AS kind, coalesce(i.provider, '') AS provider,
        coalesce(b.is_bot, false) AS is_bot,
        EXISTS (SELECT FROM public.trusted_chats AS t WHERE t.instance_id = asked.instance_id AND t.chat_id = asked.chat_id) OR EXISTS (
            SELECT FROM public.identities AS x
            WHERE x.instance_id = asked.instance_id AND x.contact_id = asked.chat_id AND x.confirmed_at IS NOT NULL
        ) AS trusted,
        EXISTS (SELECT FROM public.paired_chats AS p WHERE p.instance_id = asked.instance_id AND p.chat_id = asked.chat_id) AS paired
    FROM unnest(%(instance_ids)s::uuid[], %(chat_ids)s::text[]) AS asked (instance_id, chat_id)
    LEFT JOIN public.message_instances AS i ON i.id = asked.instance_id
    LEFT JOIN public.chats AS c ON c.instance_id = asked.instance_id AND c.id = asked.chat_id
    LEFT JOIN public.contacts AS b ON b.instance_id = asked.instance_id AND b.id = asked.chat_id"""


async def known(database: Database, chats: Sequence[tuple[UUID, str]]) -> list[Known]:
    """Return how these chats, each by its instance and its id, are known."""
    return await database.all(Known, KNOWN, {"instance_ids": [one[0] for one in chats], "chat_ids": [one[1] for one in chats]})


HOLDING_BACK: LiteralString = """
    SELECT instance_id, document FROM public.instance_policies
    WHERE (%(instance_ids)s::uuid[] IS NULL OR instance_id = ANY(%(instance_ids)s))
        AND (coalesce(document->'inbound'->>'wake', 'anyone') <> 'anyone' OR document->'inbound'->>'group_words' = 'mentions')"""


async def holding_back(database: Database, instance_ids: Sequence[UUID] | None) -> dict[UUID, dict[str, Any]]:
    """Return the policies, of these instances or of all, by which not everybody's words wake an agent."""
    return {row[0]: row[1] for row in await database.rows(HOLDING_BACK, {"instance_ids": None if instance_ids is None else list(instance_ids)})}


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody who wrote in a private chat, whom nobody knows, and who may be given a code. `codes`: so many they were given before."""

    instance_id: UUID
    chat_id: str
    name: str
    user_id: str
    provider: str
    codes: int


# Whom the account wrote to first is no stranger to it: a friend would wonder about a code.
STRANGERS: LiteralString = """
    SELECT c.instance_id, c.id AS chat_id, c.title AS name, i.user_id, i.provider, given.codes
    FROM public.message_instances AS i JOIN public.chats AS c ON c.instance_id = i.id
    CROSS JOIN LATERAL (
        SELECT count(*)::int AS codes, max(a.created_at) AS newest,
            coalesce(bool_or(a.status = 'denied' OR a.status = 'pending' AND a.expires_at > now()), false) AS is_settled
        FROM public.approvals AS a WHERE a.instance_id = c.instance_id AND a.chat_id = c.id AND a.kind = 'pairing'
    ) AS given
    WHERE i.id = ANY(%(instance_ids)s) AND c.kind = 'private' AND c.migrated_to IS NULL
        AND coalesce(c.last_at, '-infinity'::timestamptz) > now() - interval '1 hour' AND c.last_incoming_at > now() - interval '1 hour'
        AND NOT given.is_settled AND given.codes < %(codes_max)s AND (given.newest IS NULL OR c.last_incoming_at > given.newest)
        AND NOT EXISTS (SELECT FROM public.trusted_chats AS t WHERE t.instance_id = c.instance_id AND t.chat_id = c.id)
        AND NOT EXISTS (SELECT FROM public.paired_chats AS p WHERE p.instance_id = c.instance_id AND p.chat_id = c.id)
        AND NOT EXISTS (SELECT FROM public.identities AS x
            WHERE x.instance_id = c.instance_id AND x.contact_id = c.id AND x.confirmed_at IS NOT NULL)
        AND NOT EXISTS (SELECT FROM public.contacts AS b WHERE b.instance_id = c.instance_id AND b.id = c.id AND b.is_bot)
        AND NOT EXISTS (SELECT FROM public.messages AS m WHERE m.instance_id = c.instance_id AND m.chat_id = c.id AND m.outgoing
            AND (m.idempotency_key LIKE 'approval:%%') IS NOT TRUE)
    ORDER BY c.last_incoming_at LIMIT 100"""


async def strangers(database: Database, instance_ids: Sequence[UUID]) -> list[Stranger]:
    """Return who wrote to these instances in the last hour and may be given a code, who waits longest first; at most 100."""
    return await database.all(Stranger, STRANGERS, {"instance_ids": list(instance_ids), "codes_max": CODES_MAX})


ROOM: LiteralString = """
    SELECT count(*) FILTER (WHERE status = 'pending' AND expires_at > now()) < %(pending_max)s
        AND count(*) FILTER (WHERE chat_id = %(chat_id)s) < %(codes_max)s
        AND count(*) FILTER (WHERE chat_id = %(chat_id)s AND status = 'pending' AND expires_at > now()) = 0
    FROM public.approvals WHERE instance_id = %(instance_id)s AND kind = 'pairing'"""


async def give(database: Database, new: NewApproval) -> bool:
    """Store a code for a stranger; False where too many wait, or another server was first."""
    params = asdict(new)
    async with database.transaction() as connection:
        await hold_log(connection)
        room = await (await connection.execute(ROOM, {**params, "pending_max": PENDING_MAX, "codes_max": CODES_MAX})).fetchone()
        if room is None or not room[0]:
            return False
        await connection.execute(approvals.INSERT, params)
        await connection.execute(approvals.LOG, {"id": new.id})
    return True


@dataclass(frozen=True, slots=True)
class Unsaid:
    """Something that a stranger is to be told: the code, while `status` is pending, or that they were let in."""

    id: UUID
    instance_id: UUID
    chat_id: str
    code: str
    status: str


# By the message's own key, which is written with the message: what was told before a crash is not told again.
UNSAID: LiteralString = """
    SELECT a.id, a.instance_id, a.chat_id, a.code, a.status FROM public.approvals AS a JOIN public.message_instances AS i ON i.id = a.instance_id
    WHERE a.kind = 'pairing' AND (a.status = 'pending' AND a.expires_at > now() OR a.status = 'done' AND a.decided_at > now() - interval '1 hour')
        AND NOT EXISTS (SELECT FROM public.messages AS m WHERE m.instance_id = a.instance_id
            AND m.idempotency_key = 'approval:' || a.id || ':' || a.status)"""


async def unsaid(database: Database) -> list[Unsaid]:
    """Return what strangers are still to be told."""
    return await database.all(Unsaid, UNSAID, {})


ACCEPT: LiteralString = """
    UPDATE public.approvals SET status = 'done', decided_by = %(by)s, decided_at = now(), page_digest = NULL
    WHERE id = %(id)s AND status = 'pending' AND expires_at > now() RETURNING instance_id, chat_id"""
PAIR: LiteralString = """
    INSERT INTO public.paired_chats (instance_id, chat_id, paired_by) VALUES (%(instance_id)s, %(chat_id)s, %(by)s)
    ON CONFLICT (instance_id, chat_id) DO NOTHING"""
UNPAIR: LiteralString = "DELETE FROM public.paired_chats WHERE instance_id = %(instance_id)s AND chat_id = ANY(%(chat_ids)s)"
PAIRED: LiteralString = "SELECT chat_id FROM public.paired_chats WHERE instance_id = %(instance_id)s ORDER BY paired_at, chat_id LIMIT 1000"


async def accept(database: Database, id: UUID, *, by: str, entry: Entry) -> bool:
    """Let the stranger with this code reach agents; False: it was decided before, or is over. `entry` goes into the audit log with it."""
    async with database.transaction() as connection:
        await hold_log(connection)
        found = await (await connection.execute(ACCEPT, {"id": id, "by": by})).fetchone()
        if found is None:
            return False
        await connection.execute(PAIR, {"instance_id": found[0], "chat_id": found[1], "by": by})
        await connection.execute(ADD, asdict(entry))
        await connection.execute(approvals.LOG, {"id": id})
    return True


async def pair(database: Database, instance_id: UUID, chat_id: str, *, by: str) -> None:
    """Let a chat reach agents."""
    await database.execute(PAIR, {"instance_id": instance_id, "chat_id": chat_id, "by": by})


async def unpair(database: Database, instance_id: UUID, chat_ids: Sequence[str]) -> None:
    """Take back that chats may reach agents."""
    await database.execute(UNPAIR, {"instance_id": instance_id, "chat_ids": list(chat_ids)})


async def paired(database: Database, instance_id: UUID) -> list[str]:
    """Return the chats that were let in, the first 1000."""
    return [row[0] for row in await database.rows(PAIRED, {"instance_id": instance_id})]
