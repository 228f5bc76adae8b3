"""Messages: one row each, in and out, from before it leaves until long after."""

from collections.abc import Mapping, Sequence
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


def transcripts(content: Mapping[str, Any]) -> list[str | None]:
    """Return the transcript of each file of a message; None where there is none. One of a file that an edit has replaced does not count."""
    kept: dict[str, dict[str, str]] = content.get("transcripts", {})
    found = ((one.get("ref"), kept.get(str(place))) for place, one in enumerate(content.get("media", [])))
    return [None if heard is None or heard.get("ref") != ref else heard.get("text") for ref, heard in found]


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
      AND (NOT %(in_group)s OR reply_to = %(platform_id)s OR thread_id IN (%(platform_id)s, %(thread_id)s) OR content->'mentions_me' = 'true'
        OR sender_id = %(sender_id)s)
    ORDER BY (reply_to = %(platform_id)s) IS TRUE DESC, sent_at, id LIMIT %(limit)s"""


async def replies_to(
    database: Database, message: MessageRow, *, in_group: bool = False, sender_id: str | None = None, limit: int
) -> list[MessageRow]:
    """Return the messages that came in after one of ours: answers that quote it first, then the others by time.

    `in_group`: only those that quote it, are in its thread, mention the account, or are of this sender.
    """
    return await database.all(
        MessageRow,
        FIRST_REPLY,
        {
            "instance_id": message.instance_id,
            "chat_id": message.chat_id,
            "platform_id": message.platform_id,
            "sent_at": message.sent_at,
            "id": message.id,
            "thread_id": message.thread_id,
            "in_group": in_group,
            "sender_id": sender_id,
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
