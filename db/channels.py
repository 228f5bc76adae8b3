"""How far channels have come in the event log: what was pushed to a host, and what of it was dealt with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from db.database import Database

GET: LiteralString = "SELECT confirmed, pushed FROM public.channels WHERE name = %(name)s"
# Of two sessions of one channel none takes back what the other has come to.
KEEP: LiteralString = """
    INSERT INTO public.channels AS c (name, confirmed, pushed) VALUES (%(name)s, %(confirmed)s, %(pushed)s)
    ON CONFLICT (name) DO UPDATE
        SET confirmed = greatest(c.confirmed, excluded.confirmed), pushed = greatest(c.pushed, excluded.pushed), changed_at = now()
        WHERE (c.confirmed, c.pushed) IS DISTINCT FROM (greatest(c.confirmed, excluded.confirmed), greatest(c.pushed, excluded.pushed))"""
RESET: LiteralString = "DELETE FROM public.channels WHERE name = %(name)s"
OPEN: LiteralString = """
    SELECT m.id FROM public.messages m JOIN public.chats c ON c.instance_id = m.instance_id AND c.id = m.chat_id
    WHERE m.id = ANY(%(ids)s) AND c.unread > 0 AND m.deleted_at IS NULL AND NOT EXISTS (
        SELECT FROM public.messages o
        WHERE o.instance_id = m.instance_id AND o.chat_id = m.chat_id AND o.outgoing AND o.id > m.id)"""


@dataclass(frozen=True, slots=True)
class ChannelPlace:
    """All up to `confirmed`, a cursor of the event log, was dealt with; `pushed` is the newest message that was pushed."""

    confirmed: int
    pushed: int


async def get(database: Database, name: str) -> ChannelPlace | None:
    """Return how far a channel has come; None: it is new."""
    return await database.one(ChannelPlace, GET, {"name": name})


async def keep(database: Database, name: str, place: ChannelPlace) -> None:
    """Store how far a channel has come."""
    await database.execute(KEEP, {"name": name, "confirmed": place.confirmed, "pushed": place.pushed})


async def reset(database: Database, name: str) -> None:
    """Let a channel begin again: its cursors are of another log."""
    await database.execute(RESET, {"name": name})


async def still_open(database: Database, ids: Sequence[int]) -> set[int]:
    """Return which of these messages of others wait: nothing was written in their chat since, and it was not marked as read."""
    return {row[0] for row in await database.rows(OPEN, {"ids": list(ids)})}
