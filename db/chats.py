"""Chats and contacts, as recorded from messages and from the platforms' lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from db.database import Database


@dataclass(frozen=True, slots=True)
class ChatRow:
    instance_id: UUID
    id: str
    kind: str
    title: str
    username: str | None
    phone: str | None
    unread: int
    last_message_id: int | None
    last_at: datetime | None
    last_incoming_at: datetime | None
    last_text: str | None
    last_outgoing: bool | None


@dataclass(frozen=True, slots=True)
class ContactRow:
    instance_id: UUID
    id: str
    name: str
    username: str | None
    phone: str | None
    is_bot: bool


GET: LiteralString = """
    SELECT c.instance_id, c.id, c.kind, c.title, c.username, c.phone, c.unread, c.last_message_id, c.last_at, c.last_incoming_at,
        CASE WHEN m.deleted_at IS NULL THEN left(m.body, 200) END AS last_text, m.outgoing AS last_outgoing
    FROM public.chats c LEFT JOIN public.messages m ON m.id = c.last_message_id
    WHERE c.instance_id = %(instance_id)s AND c.id = %(id)s"""


async def get(database: Database, instance_id: UUID, chat_id: str) -> ChatRow | None:
    """Return a chat with the beginning of its last message; None: not known."""
    return await database.read_one(ChatRow, GET, {"instance_id": instance_id, "id": chat_id})


LIST: LiteralString = """
    SELECT c.instance_id, c.id, c.kind, c.title, c.username, c.phone, c.unread, c.last_message_id, c.last_at, c.last_incoming_at,
        CASE WHEN m.deleted_at IS NULL THEN left(m.body, 200) END AS last_text, m.outgoing AS last_outgoing
    FROM public.chats c LEFT JOIN public.messages m ON m.id = c.last_message_id
    WHERE c.instance_id = %(instance_id)s AND c.migrated_to IS NULL
      AND (%(kind)s::text IS NULL OR c.kind = %(kind)s)
      AND (NOT %(unread)s OR c.unread > 0)
      AND (%(before_id)s::text IS NULL
        OR (coalesce(c.last_at, '-infinity'::timestamptz), c.id) < (coalesce(%(before)s, '-infinity'::timestamptz), %(before_id)s))
    ORDER BY coalesce(c.last_at, '-infinity'::timestamptz) DESC, c.id DESC LIMIT %(limit)s"""


async def listing(
    database: Database,
    instance_id: UUID,
    *,
    kind: str | None = None,
    unread: bool = False,
    before: tuple[datetime | None, str] | None = None,
    limit: int,
) -> list[ChatRow]:
    """Return chats, those with the newest message first; `before` is the (last_at, id) of the last row of the page before."""
    return await database.read(
        ChatRow,
        LIST,
        {
            "instance_id": instance_id,
            "kind": kind,
            "unread": unread,
            "before": before and before[0],
            "before_id": before and before[1],
            "limit": limit,
        },
    )


TITLES: LiteralString = """
    SELECT c.instance_id, c.id, c.title FROM unnest(%(instance_ids)s::uuid[], %(ids)s::text[]) AS wanted (instance_id, id)
        JOIN public.chats c ON c.instance_id = wanted.instance_id AND c.id = wanted.id"""


async def titles(database: Database, wanted: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], str]:
    """Return the titles of chats, which are named by instance and id."""
    pairs = list(dict.fromkeys(wanted))
    rows = await database.rows(TITLES, {"instance_ids": [pair[0] for pair in pairs], "ids": [pair[1] for pair in pairs]})
    return {(row[0], row[1]): row[2] for row in rows}


# The first condition on the words finds candidates by the index; of less than three letters there are no triples.
CONTACTS: LiteralString = """
    SELECT instance_id, id, name, username, phone, is_bot FROM public.contacts
    WHERE instance_id = %(instance_id)s AND (%(after)s::text IS NULL OR id > %(after)s)
      AND (%(query)s::text IS NULL OR length(%(query)s::text) < 3 OR public.mcp_messenger_triples(instance_id,
            lower(name) || chr(10) || coalesce(lower(username), '') || chr(10) || coalesce(phone, '') || chr(10) || lower(id))
        @> public.mcp_messenger_triples(%(instance_id)s, %(query)s::text))
      AND (%(pattern)s::text IS NULL
        OR lower(name) LIKE %(pattern)s OR lower(username) LIKE %(pattern)s OR phone LIKE %(pattern)s OR lower(id) LIKE %(pattern)s)
    ORDER BY id LIMIT %(limit)s"""


async def contacts(database: Database, instance_id: UUID, *, query: str | None, after: str | None, limit: int) -> list[ContactRow]:
    """Return contacts ordered by id. `query` is looked for, without regard to case, in names, user names, phones and ids; None: all contacts.

    `after` is the id of the last row of the page before; None: from the beginning.
    """
    query = None if query is None else query.lower()
    pattern = None if query is None else "%" + query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    params = {"instance_id": instance_id, "query": query, "pattern": pattern, "after": after, "limit": limit}
    return await database.read(ContactRow, CONTACTS, params, planned_anew=True)


# A chat or contact that was erased comes back with its next message, not with the platform's list.
UPSERT: LiteralString = """
    INSERT INTO public.chats (instance_id, id, kind, title, username, phone)
    SELECT %(instance_id)s, c.id, c.kind, c.title, c.username, c.phone
    FROM unnest(%(ids)s::text[], %(kinds)s::text[], %(titles)s::text[], %(usernames)s::text[], %(phones)s::text[])
        AS c (id, kind, title, username, phone)
    WHERE NOT EXISTS (SELECT FROM public.erasures e WHERE e.instance_id = %(instance_id)s AND e.digest = sha256(e.salt || convert_to(c.id, 'UTF8')))
        OR EXISTS (SELECT FROM public.chats k WHERE k.instance_id = %(instance_id)s AND k.id = c.id)
    ON CONFLICT (instance_id, id) DO UPDATE SET kind = excluded.kind, title = excluded.title, username = excluded.username, phone = excluded.phone
    WHERE (chats.kind, chats.title, chats.username, chats.phone)
        IS DISTINCT FROM (excluded.kind, excluded.title, excluded.username, excluded.phone)"""


async def upsert(database: Database, instance_id: UUID, chats: list[tuple[str, str, str, str | None, str | None]]) -> None:
    """Store (id, kind, title, username, phone) as the platform lists them. Each id once."""
    ids, kinds, titles, usernames, phones = ([chat[column] for chat in chats] for column in range(5))
    await database.execute(
        UPSERT, {"instance_id": instance_id, "ids": ids, "kinds": kinds, "titles": titles, "usernames": usernames, "phones": phones}
    )


UPSERT_CONTACTS: LiteralString = """
    INSERT INTO public.contacts (instance_id, id, name, username, phone, is_bot)
    SELECT %(instance_id)s, c.id, c.name, c.username, c.phone, c.is_bot
    FROM unnest(%(ids)s::text[], %(names)s::text[], %(usernames)s::text[], %(phones)s::text[], %(bots)s::boolean[])
        AS c (id, name, username, phone, is_bot)
    WHERE NOT EXISTS (SELECT FROM public.erasures e WHERE e.instance_id = %(instance_id)s AND e.digest = sha256(e.salt || convert_to(c.id, 'UTF8')))
        OR EXISTS (SELECT FROM public.contacts k WHERE k.instance_id = %(instance_id)s AND k.id = c.id)
    ON CONFLICT (instance_id, id) DO UPDATE
        SET name = excluded.name, username = excluded.username, phone = excluded.phone, is_bot = excluded.is_bot
    WHERE (contacts.name, contacts.username, contacts.phone, contacts.is_bot)
        IS DISTINCT FROM (excluded.name, excluded.username, excluded.phone, excluded.is_bot)"""


async def upsert_contacts(database: Database, instance_id: UUID, contacts: list[tuple[str, str, str | None, str | None, bool]]) -> None:
    """Store (id, name, username, phone, is_bot) as the platform lists them. Each id once."""
    ids, names, usernames, phones, bots = ([contact[column] for contact in contacts] for column in range(5))
    await database.execute(
        UPSERT_CONTACTS, {"instance_id": instance_id, "ids": ids, "names": names, "usernames": usernames, "phones": phones, "bots": bots}
    )


MARK_READ: LiteralString = "UPDATE public.chats SET unread = 0 WHERE instance_id = %(instance_id)s AND id = %(id)s"


async def mark_read(database: Database, instance_id: UUID, chat_id: str) -> None:
    """Set the chat's count of unread messages to zero."""
    await database.execute(MARK_READ, {"instance_id": instance_id, "id": chat_id})
