"""Chats and contacts, as recorded from messages and from the platforms' lists."""

import re
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
    pinned: bool | None = None
    archived: bool | None = None
    muted: bool | None = None
    closed: str | None = None
    """Why nothing can be sent there; None where it can, as far as is known."""


@dataclass(frozen=True, slots=True)
class ContactRow:
    instance_id: UUID
    id: str
    name: str
    username: str | None
    phone: str | None
    is_bot: bool
    last_at: datetime | None = None
    """Of the newest message in the private chat with them."""


GET: LiteralString = """
    SELECT c.instance_id, c.id, c.kind, c.title, c.username, c.phone, c.unread, c.last_message_id, c.last_at, c.last_incoming_at,
        CASE WHEN m.deleted_at IS NULL THEN left(m.body, 200) END AS last_text, m.outgoing AS last_outgoing,
        k.pinned, k.archived, k.muted AND (k.muted_until IS NULL OR k.muted_until > now()) AS muted, x.reason AS closed
    FROM public.chats c LEFT JOIN public.messages m ON m.id = c.last_message_id
        LEFT JOIN public.chat_marks k ON k.instance_id = c.instance_id AND k.chat_id = c.id
        LEFT JOIN public.chat_closures x ON x.instance_id = c.instance_id AND x.chat_id = c.id AND (c.last_incoming_at > x.at) IS NOT TRUE
    WHERE c.instance_id = %(instance_id)s AND c.id = %(id)s"""


async def get(database: Database, instance_id: UUID, chat_id: str) -> ChatRow | None:
    """Return a chat with the beginning of its last message; None: not known."""
    return await database.read_one(ChatRow, GET, {"instance_id": instance_id, "id": chat_id})


LIST: LiteralString = """
    SELECT c.instance_id, c.id, c.kind, c.title, c.username, c.phone, c.unread, c.last_message_id, c.last_at, c.last_incoming_at,
        CASE WHEN m.deleted_at IS NULL THEN left(m.body, 200) END AS last_text, m.outgoing AS last_outgoing,
        k.pinned, k.archived, k.muted AND (k.muted_until IS NULL OR k.muted_until > now()) AS muted, x.reason AS closed
    FROM public.chats c LEFT JOIN public.messages m ON m.id = c.last_message_id
        LEFT JOIN public.chat_marks k ON k.instance_id = c.instance_id AND k.chat_id = c.id
        LEFT JOIN public.chat_closures x ON x.instance_id = c.instance_id AND x.chat_id = c.id AND (c.last_incoming_at > x.at) IS NOT TRUE
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


# The first condition finds candidates for the longest word by the index; of less than three letters there are no triples. Numbers are compared
# without the signs between their digits. Lists are texts here, with a line for each entry, for rows are shared by what was asked.
CONTACTS: LiteralString = """
    SELECT c.instance_id, c.id, c.name, c.username, c.phone, c.is_bot, t.last_at
    FROM public.contacts c LEFT JOIN public.chats t ON t.instance_id = c.instance_id AND t.id = c.id
    WHERE c.instance_id = %(instance_id)s AND (%(after)s::text IS NULL OR c.id > %(after)s)
      AND (%(patterns)s::text IS NULL
        OR c.id = ANY(string_to_array(%(named)s::text, chr(10)))
        OR ((length(%(longest)s::text) < 3 OR public.mcp_messenger_triples(c.instance_id,
              lower(c.name) || chr(10) || coalesce(lower(c.username), '') || chr(10) || coalesce(c.phone, '') || chr(10) || lower(c.id))
            @> public.mcp_messenger_triples(%(instance_id)s, %(longest)s::text))
          AND lower(c.name) || chr(10) || coalesce(lower(c.username), '') || chr(10) || coalesce(c.phone, '') || chr(10) || lower(c.id)
            LIKE ALL(string_to_array(%(patterns)s::text, chr(10))))
        OR (%(digits)s::text IS NOT NULL AND (regexp_replace(coalesce(c.phone, ''), '[^0-9]', '', 'g') LIKE %(digits)s
          OR regexp_replace(c.id, '[^0-9]', '', 'g') LIKE %(digits)s)))
    ORDER BY c.id LIMIT %(limit)s"""
_NUMBER = re.compile(r"[+\d][\d\s().\-/]{3,}")
_PREFIXES = re.compile(r"^(?:00|0)")


def patterns_of(query: str) -> list[str]:
    """Return a pattern of LIKE for each word of a query."""
    return ["%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%" for word in query.lower().split()]


def digits_of(query: str) -> str | None:
    """Return the digits of a query that is a number, without the zeros that one country writes before them; None: it is none."""
    digits = re.sub(r"\D", "", query.replace("(0)", ""))
    return _PREFIXES.sub("", digits) if _NUMBER.fullmatch(query.strip()) and len(digits) >= 4 else None


async def contacts(
    database: Database, instance_id: UUID, *, query: str | None, after: str | None, named: Sequence[str] = (), limit: int
) -> list[ContactRow]:
    """Return contacts ordered by id. Each word of `query` is looked for, without regard to case, in names, user names, phones and ids.

    A number is found in any writing. `named` are found in any case. `after` is the id of the last row of the page before; None: from the start.
    """
    digits = None if query is None else digits_of(query)
    words = [] if query is None else query.lower().split()
    params = {
        "instance_id": instance_id,
        "patterns": None if query is None else "\n".join(patterns_of(query)) or "%",
        "longest": max(words, key=len, default=""),
        "digits": None if digits is None else f"%{digits}%",
        "named": "\n".join(named),
        "after": after,
        "limit": limit,
    }
    return await database.read(ContactRow, CONTACTS, params, planned_anew=True)


OF_IDS: LiteralString = """
    SELECT c.instance_id, c.id, c.name, c.username, c.phone, c.is_bot, t.last_at
    FROM public.contacts c LEFT JOIN public.chats t ON t.instance_id = c.instance_id AND t.id = c.id
    WHERE c.instance_id = %(instance_id)s AND c.id = ANY(%(ids)s)"""


async def contacts_of_ids(database: Database, instance_id: UUID, ids: Sequence[str]) -> list[ContactRow]:
    """Return those of these people that the account knows."""
    return await database.all(ContactRow, OF_IDS, {"instance_id": instance_id, "ids": list(ids)})


MARK: LiteralString = """
    INSERT INTO public.chat_marks AS known (instance_id, chat_id, pinned, archived, muted, muted_until)
    VALUES (%(instance_id)s, %(id)s, coalesce(%(pinned)s, false), coalesce(%(archived)s, false), coalesce(%(muted)s, false), %(muted_until)s)
    ON CONFLICT (instance_id, chat_id) DO UPDATE SET pinned = coalesce(%(pinned)s, known.pinned), archived = coalesce(%(archived)s, known.archived),
        muted = coalesce(%(muted)s, known.muted),
        muted_until = CASE WHEN %(muted)s::boolean IS NULL THEN known.muted_until ELSE %(muted_until)s END"""
MARK_UNREAD: LiteralString = "UPDATE public.chats SET unread = greatest(unread, 1) WHERE instance_id = %(instance_id)s AND id = %(id)s"


async def mark(
    database: Database,
    instance_id: UUID,
    chat_id: str,
    *,
    pinned: bool | None,
    archived: bool | None,
    muted: bool | None,
    muted_until: datetime | None,
) -> None:
    """Store how the account keeps a chat; None leaves a mark as it is."""
    params = {"instance_id": instance_id, "id": chat_id, "pinned": pinned, "archived": archived, "muted": muted, "muted_until": muted_until}
    await database.execute(MARK, params)


async def mark_unread(database: Database, instance_id: UUID, chat_id: str) -> None:
    """Let the chat have at least one unread message."""
    await database.execute(MARK_UNREAD, {"instance_id": instance_id, "id": chat_id})


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
    WITH gone AS (
        UPDATE public.contacts SET saved = false WHERE instance_id = %(instance_id)s AND saved AND id <> ALL(%(ids)s)
    )
    INSERT INTO public.contacts (instance_id, id, name, username, phone, is_bot, saved)
    SELECT %(instance_id)s, c.id, c.name, c.username, c.phone, c.is_bot, c.saved
    FROM unnest(%(ids)s::text[], %(names)s::text[], %(usernames)s::text[], %(phones)s::text[], %(bots)s::boolean[], %(saved)s::boolean[])
        AS c (id, name, username, phone, is_bot, saved)
    WHERE NOT EXISTS (SELECT FROM public.erasures e WHERE e.instance_id = %(instance_id)s AND e.digest = sha256(e.salt || convert_to(c.id, 'UTF8')))
        OR EXISTS (SELECT FROM public.contacts k WHERE k.instance_id = %(instance_id)s AND k.id = c.id)
    ON CONFLICT (instance_id, id) DO UPDATE
        SET name = excluded.name, username = excluded.username, phone = excluded.phone, is_bot = excluded.is_bot, saved = excluded.saved
    WHERE (contacts.name, contacts.username, contacts.phone, contacts.is_bot, contacts.saved)
        IS DISTINCT FROM (excluded.name, excluded.username, excluded.phone, excluded.is_bot, excluded.saved)"""


async def upsert_contacts(database: Database, instance_id: UUID, contacts: list[tuple[str, str, str | None, str | None, bool, bool]]) -> None:
    """Store (id, name, username, phone, is_bot, saved) as the platform lists them, all of them. Each id once.

    `saved`: in the account's address book. Nobody else is in it any more; a message that somebody sends changes nothing of it.
    """
    ids, names, usernames, phones, bots, saved = ([contact[column] for contact in contacts] for column in range(6))
    params = {"ids": ids, "names": names, "usernames": usernames, "phones": phones, "bots": bots, "saved": saved}
    await database.execute(UPSERT_CONTACTS, {"instance_id": instance_id, **params})


MARK_READ: LiteralString = "UPDATE public.chats SET unread = 0 WHERE instance_id = %(instance_id)s AND id = %(id)s"


async def mark_read(database: Database, instance_id: UUID, chat_id: str) -> None:
    """Set the chat's count of unread messages to zero."""
    await database.execute(MARK_READ, {"instance_id": instance_id, "id": chat_id})
