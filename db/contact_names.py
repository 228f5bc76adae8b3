"""Names that an owner's agents have been told for people and chats. Each means one chat of an instance."""

import unicodedata
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from db.database import Database


@dataclass(frozen=True, slots=True)
class RememberedName:
    name: str
    chat_id: str


def folded(name: str) -> str:
    """Return a name as it is compared: without regard to case, width and spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


REMEMBER: LiteralString = """
    INSERT INTO public.contact_names (instance_id, folded, name, chat_id, set_by, owners_chat)
    VALUES (%(instance_id)s, %(folded)s, %(name)s, %(chat_id)s, %(by)s, CASE WHEN %(by_owner)s THEN %(chat_id)s END)
    ON CONFLICT (instance_id, folded) DO UPDATE SET name = excluded.name, chat_id = excluded.chat_id, set_by = excluded.set_by, set_at = now(),
        owners_chat = CASE WHEN %(by_owner)s OR contact_names.owners_chat IS DISTINCT FROM excluded.chat_id THEN excluded.owners_chat
            ELSE contact_names.owners_chat END"""
FORGET: LiteralString = "DELETE FROM public.contact_names WHERE instance_id = %(instance_id)s AND folded = %(folded)s"
FIND: LiteralString = "SELECT chat_id FROM public.contact_names WHERE instance_id = %(instance_id)s AND folded = %(folded)s"
LIKE: LiteralString = "SELECT chat_id FROM public.contact_names WHERE instance_id = %(instance_id)s AND folded LIKE ALL(%(patterns)s) LIMIT 100"
OF_CHATS: LiteralString = """
    SELECT name, chat_id FROM public.contact_names WHERE instance_id = %(instance_id)s AND chat_id = ANY(%(chats)s) ORDER BY name"""


async def remember(database: Database, instance_id: UUID, name: str, chat_id: str, *, by: str, by_owner: bool) -> None:
    """Let a name mean a chat from now on. `by_owner`: a person gave it, which puts the chat into the account's address book."""
    params = {"instance_id": instance_id, "folded": folded(name), "name": name, "chat_id": chat_id, "by": by, "by_owner": by_owner}
    await database.execute(REMEMBER, params)


async def forget(database: Database, instance_id: UUID, name: str) -> bool:
    """Let a name mean nothing any more; return whether it did."""
    return await database.execute(FORGET, {"instance_id": instance_id, "folded": folded(name)}) > 0


async def find(database: Database, instance_id: UUID, name: str) -> str | None:
    """Return the chat that a name means; None: it was not remembered."""
    return await database.value(FIND, {"instance_id": instance_id, "folded": folded(name)})


async def like(database: Database, instance_id: UUID, patterns: list[str]) -> list[str]:
    """Return chats with a remembered name that matches all patterns."""
    return [row[0] for row in await database.rows(LIKE, {"instance_id": instance_id, "patterns": patterns})]


async def of_chats(database: Database, instance_id: UUID, chats: list[str]) -> list[RememberedName]:
    """Return the remembered names of these chats."""
    return await database.all(RememberedName, OF_CHATS, {"instance_id": instance_id, "chats": chats})
