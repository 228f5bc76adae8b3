"""Messages: one row each, in and out, from before it leaves until long after."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db.database import Database


@dataclass(frozen=True, slots=True)
class MessageRow:
    id: int
    instance_id: UUID
    chat_id: str
    platform_id: str | None
    outgoing: bool
    status: str
    sender_id: str | None
    sender_name: str
    kind: str
    body: str
    reply_to: str | None
    thread_id: str | None
    content: dict[str, Any]
    sent_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    error: dict[str, Any] | None


Position = tuple[datetime, int]

HEARD_UNTIL: LiteralString = """
    SELECT sent_at FROM public.messages WHERE instance_id = %(instance_id)s AND NOT outgoing ORDER BY sent_at DESC, id DESC LIMIT 1"""


async def heard_until(database: Database, instance_id: UUID) -> datetime | None:
    """Return when the newest incoming message was written; None: there is none."""
    return await database.value(HEARD_UNTIL, {"instance_id": instance_id})


READ_BACK_TO: LiteralString = """
    SELECT sent_at FROM public.messages WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s ORDER BY sent_at, id LIMIT 1"""


async def read_back_to(database: Database, instance_id: UUID, chat_id: str) -> datetime | None:
    """Return when the oldest message that is kept of a chat was written; None: there is none."""
    return await database.value(READ_BACK_TO, {"instance_id": instance_id, "chat_id": chat_id})


GET: LiteralString = """
    SELECT id, instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id,
        content, sent_at, edited_at, deleted_at, error
    FROM public.messages WHERE id = %(id)s AND instance_id = %(instance_id)s"""


async def get(database: Database, instance_id: UUID, message_id: int) -> MessageRow | None:
    """Return a message of the instance; None: there is none with this id."""
    return await database.read_one(MessageRow, GET, {"id": message_id, "instance_id": instance_id})


BY_IDS: LiteralString = """
    SELECT id, instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id,
        content, sent_at, edited_at, deleted_at, error
    FROM public.messages WHERE id = ANY(%(ids)s)"""


async def by_ids(database: Database, ids: Sequence[int]) -> list[MessageRow]:
    """Return the messages with these ids, of any instance."""
    return await database.all(MessageRow, BY_IDS, {"ids": list(ids)})


OF_CHAT: LiteralString = """
    SELECT id, instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id,
        content, sent_at, edited_at, deleted_at, error
    FROM public.messages WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s
      AND (%(thread_id)s::text IS NULL OR thread_id = %(thread_id)s)
      AND (%(since)s::timestamptz IS NULL OR sent_at >= %(since)s)
      AND (%(before)s::timestamptz IS NULL OR (sent_at, id) < (%(before)s, %(before_id)s))
    ORDER BY sent_at DESC, id DESC LIMIT %(limit)s"""


async def of_chat(
    database: Database,
    instance_id: UUID,
    chat_id: str,
    *,
    thread_id: str | None = None,
    since: datetime | None = None,
    before: Position | None,
    limit: int,
) -> list[MessageRow]:
    """Return messages of a chat, or of a thread in it, newest first; `before` is the (sent_at, id) of the last row of the page before."""
    return await database.read(
        MessageRow,
        OF_CHAT,
        {
            "instance_id": instance_id,
            "chat_id": chat_id,
            "thread_id": thread_id,
            "since": since,
            "before": before and before[0],
            "before_id": before and before[1],
            "limit": limit,
        },
    )


AROUND: LiteralString = """
    SELECT id, instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id,
        content, sent_at, edited_at, deleted_at, error
    FROM (
        (SELECT id, instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id,
            content, sent_at, edited_at, deleted_at, error
         FROM public.messages WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s AND (sent_at, id) <= (%(sent_at)s, %(id)s)
         ORDER BY sent_at DESC, id DESC LIMIT %(each)s + 1)
        UNION ALL
        (SELECT id, instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id,
            content, sent_at, edited_at, deleted_at, error
         FROM public.messages WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s AND (sent_at, id) > (%(sent_at)s, %(id)s)
         ORDER BY sent_at, id LIMIT %(each)s)
    ) AS near ORDER BY sent_at DESC, id DESC"""


async def around(database: Database, message: MessageRow, *, each: int) -> list[MessageRow]:
    """Return a message with those before and after it in its chat, `each` so many, newest first."""
    of = {"instance_id": message.instance_id, "chat_id": message.chat_id, "sent_at": message.sent_at, "id": message.id, "each": each}
    return await database.read(MessageRow, AROUND, of)


RECENT: LiteralString = """
    SELECT id, instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id,
        content, sent_at, edited_at, deleted_at, error
    FROM public.messages WHERE instance_id = %(instance_id)s
      AND (%(before)s::timestamptz IS NULL OR (sent_at, id) < (%(before)s, %(before_id)s))
    ORDER BY sent_at DESC, id DESC LIMIT %(limit)s"""


async def recent(database: Database, instance_id: UUID, *, before: Position | None, limit: int) -> list[MessageRow]:
    """Return the newest messages of all chats; `before` is as for `of_chat`."""
    return await database.read(
        MessageRow,
        RECENT,
        {"instance_id": instance_id, "before": before and before[0], "before_id": before and before[1], "limit": limit},
    )


FIRST_REPLY: LiteralString = """
    SELECT id, instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id,
        content, sent_at, edited_at, deleted_at, error
    FROM public.messages WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s AND NOT outgoing AND kind <> 'system'
      AND (reply_to = %(platform_id)s OR (sent_at, id) > (%(sent_at)s, %(id)s))
    ORDER BY (reply_to = %(platform_id)s) IS TRUE DESC, sent_at, id LIMIT %(limit)s"""


async def replies_to(database: Database, message: MessageRow, *, limit: int) -> list[MessageRow]:
    """Return the messages that came in after one of ours: answers that quote it first, then the others by time."""
    return await database.all(
        MessageRow,
        FIRST_REPLY,
        {
            "instance_id": message.instance_id,
            "chat_id": message.chat_id,
            "platform_id": message.platform_id,
            "sent_at": message.sent_at,
            "id": message.id,
            "limit": limit,
        },
    )


ACTIVITY: LiteralString = """
    SELECT date_trunc(%(step)s, sent_at AT TIME ZONE 'UTC') AS bucket, outgoing, count(*)
    FROM public.messages WHERE instance_id = %(instance_id)s AND sent_at >= %(since)s
    GROUP BY bucket, outgoing ORDER BY bucket"""


async def activity(database: Database, instance_id: UUID, *, step: str, since: datetime) -> list[tuple[datetime, bool, int]]:
    """Return (start of the hour or day in UTC, outgoing, number), oldest first."""
    return [(row[0], row[1], row[2]) for row in await database.rows(ACTIVITY, {"instance_id": instance_id, "step": step, "since": since})]


TOTALS: LiteralString = """
    SELECT i.provider, m.outgoing, count(*) FROM public.message_instances i JOIN public.messages m ON m.instance_id = i.id
    WHERE (%(user_id)s::text IS NULL OR i.user_id = %(user_id)s)
      AND (%(id)s::uuid IS NULL OR i.id = %(id)s)
    GROUP BY i.provider, m.outgoing"""


async def totals(database: Database, *, user_id: str | None, id: UUID | None = None) -> list[tuple[str, bool, int]]:
    """Return (provider, outgoing, number) of messages."""
    return [(row[0], row[1], row[2]) for row in await database.rows(TOTALS, {"user_id": user_id, "id": id})]


NEWEST_INCOMING: LiteralString = """
    SELECT platform_id FROM public.messages
    WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s AND NOT outgoing AND kind <> 'system' AND platform_id IS NOT NULL
    ORDER BY sent_at DESC, id DESC LIMIT 1"""


async def newest_incoming(database: Database, instance_id: UUID, chat_id: str) -> str | None:
    """Return the platform's id of the last message from somebody else in the chat; None where there is none."""
    return await database.value(NEWEST_INCOMING, {"instance_id": instance_id, "chat_id": chat_id})


RAW: LiteralString = "SELECT raw FROM public.messages WHERE id = %(id)s AND instance_id = %(instance_id)s"


async def raw(database: Database, instance_id: UUID, message_id: int) -> dict[str, Any] | None:
    """Return the message as the platform sent it; None where nothing of that was kept."""
    return await database.value(RAW, {"id": message_id, "instance_id": instance_id})


NUMBERS: LiteralString = """
    SELECT answer.id, answered.id
    FROM unnest(%(ids)s::bigint[]) AS wanted (id) JOIN public.messages AS answer ON answer.id = wanted.id
    JOIN public.messages AS answered ON answered.instance_id = answer.instance_id AND answered.platform_id = answer.reply_to"""


async def answered_by(database: Database, ids: Sequence[int]) -> dict[int, int]:
    """Return, for each of these messages that answers one in the store, the number of that one."""
    return {row[0]: row[1] for row in await database.rows(NUMBERS, {"ids": list(ids)})}


# Names are the same to a reader also in full-width letters, in capitals, and in Cyrillic or Greek letters that look like Latin ones.
FIRST: LiteralString = """
    SELECT first.id, (
        SELECT c.id FROM public.contacts c
        WHERE c.instance_id = first.instance_id AND c.id <> first.sender_id
          AND translate(lower(normalize(c.name, NFKC)), 'аеорсухіјѕһοαενκρτυ', 'aeopcyxijshoaevkptu')
            = translate(lower(normalize(first.sender_name, NFKC)), 'аеорсухіјѕһοαενκρτυ', 'aeopcyxijshoaevkptu')
        ORDER BY c.id LIMIT 1
    ) AS namesake
    FROM (
        SELECT m.id, m.instance_id, m.sender_id, m.sender_name FROM public.messages m
        JOIN public.chats c ON c.instance_id = m.instance_id AND c.id = m.chat_id
        WHERE m.id = ANY(%(ids)s::bigint[]) AND NOT m.outgoing AND m.kind <> 'system' AND c.kind = 'private' AND NOT EXISTS (
            SELECT FROM public.messages e WHERE e.instance_id = m.instance_id AND e.chat_id = m.chat_id AND e.kind <> 'system'
              AND (e.sent_at, e.id) < (m.sent_at, m.id))
    ) AS first"""


async def first_of_chats(database: Database, ids: Sequence[int]) -> dict[int, str | None]:
    """Return which of these messages begin a private chat, as far as is known; each with the id of another contact whose name looks the same."""
    return {row[0]: row[1] for row in await database.rows(FIRST, {"ids": list(ids)})}
