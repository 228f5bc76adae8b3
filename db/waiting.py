"""Finds chats that wait for an answer, over all instances, and the messages around one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from db.database import Database
from db.messages import MessageRow

LOOKED_AT = 50
"""Messages of a chat among which mentions are counted."""


@dataclass(frozen=True, slots=True)
class WaitingChat:
    instance_id: UUID
    provider: str
    id: str
    kind: str
    title: str
    unread: int
    mentions: int
    unanswered: bool
    last_at: datetime
    account: str | None
    total: int
    """Of such chats from `before` on, shown or not."""

    @property
    def place(self) -> "Place":
        """The place of the chat in their order."""
        return self.mentions > 0, self.kind == "private" and self.unanswered, self.last_at, self.id


Place = tuple[bool, bool, datetime, str]
"""Whether the account is mentioned, whether somebody waits for its answer, the time of the last message, and the chat's id."""


WAITING: LiteralString = """
    SELECT c.instance_id, i.provider, c.id, c.kind, c.title, c.unread, seen.mentions, NOT m.outgoing AND m.kind <> 'system' AS unanswered, c.last_at,
        coalesce(i.account->>'name', i.account->>'username') AS account, count(*) OVER () AS total
    FROM public.chats c JOIN public.message_instances i ON i.id = c.instance_id JOIN public.messages m ON m.id = c.last_message_id
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE newest.content @> '{"mentions_me": true}') AS mentions FROM (
            SELECT content FROM public.messages WHERE instance_id = c.instance_id AND chat_id = c.id AND NOT outgoing
            ORDER BY sent_at DESC, id DESC LIMIT least(c.unread, %(looked_at)s)
        ) AS newest
    ) AS seen
    WHERE (%(instance_ids)s::uuid[] IS NULL OR c.instance_id = ANY(%(instance_ids)s::uuid[]))
      AND c.migrated_to IS NULL AND c.last_at IS NOT NULL AND c.last_at >= %(since)s
      AND (c.unread > 0 OR NOT m.outgoing AND m.kind <> 'system' AND c.kind = 'private')
      AND (%(before_at)s::timestamptz IS NULL
        OR (seen.mentions > 0, c.kind = 'private' AND NOT m.outgoing AND m.kind <> 'system', c.last_at, c.id)
            < (%(before_mentioned)s, %(before_waits)s, %(before_at)s, %(before_id)s))
    ORDER BY seen.mentions > 0 DESC, c.kind = 'private' AND NOT m.outgoing AND m.kind <> 'system' DESC, c.last_at DESC, c.id DESC LIMIT %(limit)s"""


async def waiting_chats(
    database: Database, *, instance_ids: Sequence[UUID] | None, since: datetime, before: Place | None = None, limit: int
) -> list[WaitingChat]:
    """Return chats with something unread, and private ones whose last message is the other side's: mentions first, then those, then the newest."""
    return await database.all(
        WaitingChat,
        WAITING,
        {
            "instance_ids": None if instance_ids is None else list(instance_ids),
            "since": since,
            "limit": limit,
            "looked_at": LOOKED_AT,
            "before_mentioned": before and before[0],
            "before_waits": before and before[1],
            "before_at": before and before[2],
            "before_id": before and before[3],
        },
    )


LAST_WORDS: LiteralString = """
    SELECT id, instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id,
        content, sent_at, edited_at, deleted_at, error
    FROM unnest(%(instance_ids)s::uuid[], %(chat_ids)s::text[]) AS c (of_instance, of_chat) CROSS JOIN LATERAL (
        SELECT id, instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id,
            content, sent_at, edited_at, deleted_at, error
        FROM public.messages WHERE instance_id = c.of_instance AND chat_id = c.of_chat AND NOT outgoing AND deleted_at IS NULL
        ORDER BY sent_at DESC, id DESC LIMIT %(each)s
    ) AS newest ORDER BY sent_at, id"""


async def last_words(database: Database, chats: Sequence[WaitingChat], *, each: int) -> list[MessageRow]:
    """Return the newest incoming messages of each chat, oldest first."""
    params = {"instance_ids": [chat.instance_id for chat in chats], "chat_ids": [chat.id for chat in chats], "each": each}
    return await database.all(MessageRow, LAST_WORDS, params)


@dataclass(frozen=True, slots=True)
class Neighbour:
    of: int
    """The message it is shown beside."""
    id: int
    outgoing: bool
    sender_name: str
    body: str
    sent_at: datetime


AROUND: LiteralString = """
    SELECT hit.id AS of, beside.id, beside.outgoing, beside.sender_name, beside.body, beside.sent_at
    FROM unnest(%(ids)s::bigint[]) AS hits (id) JOIN public.messages hit ON hit.id = hits.id
    CROSS JOIN LATERAL (
        (SELECT id, outgoing, sender_name, left(body, %(length)s) AS body, sent_at FROM public.messages
         WHERE instance_id = hit.instance_id AND chat_id = hit.chat_id AND deleted_at IS NULL AND (sent_at, id) < (hit.sent_at, hit.id)
         ORDER BY sent_at DESC, id DESC LIMIT %(lines)s)
        UNION ALL
        (SELECT id, outgoing, sender_name, left(body, %(length)s) AS body, sent_at FROM public.messages
         WHERE instance_id = hit.instance_id AND chat_id = hit.chat_id AND deleted_at IS NULL AND (sent_at, id) > (hit.sent_at, hit.id)
         ORDER BY sent_at, id LIMIT %(lines)s)
    ) AS beside ORDER BY beside.sent_at, beside.id"""


async def around(database: Database, message_ids: Sequence[int], *, lines: int, length: int) -> list[Neighbour]:
    """Return `lines` messages before and after each, of the same chat, oldest first; their texts are cut to `length` characters."""
    return await database.all(Neighbour, AROUND, {"ids": list(message_ids), "lines": lines, "length": length})
