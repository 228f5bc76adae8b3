"""Who answers in which chat, and how often the agent has."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db.database import Database

# Those that were answered, by their keys (delivery/burst.py).
RUNS: LiteralString = """
    SELECT count(*) FROM public.messages WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s AND outgoing
        AND starts_with(idempotency_key, 'agno:') AND idempotency_key NOT LIKE '%%:rest'
        AND created_at > now() - make_interval(secs => %(seconds)s)"""


async def runs(database: Database, instance_id: UUID, chat_id: str, *, seconds: float) -> int:
    """Return how often the agent has answered in the chat within the last `seconds`."""
    return await database.value(RUNS, {"instance_id": instance_id, "chat_id": chat_id, "seconds": seconds})


OWNER_WROTE: LiteralString = """
    SELECT CASE
        WHEN NOT EXISTS (SELECT FROM public.messages WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s AND outgoing AND NOT queued
            AND id > %(after)s) THEN false
        WHEN NOT EXISTS (
            SELECT FROM public.outbox WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s AND claimed_epoch IS NOT NULL) THEN true
        END"""


async def owner_wrote(database: Database, instance_id: UUID, chat_id: str, *, after: int) -> bool | None:
    """Return whether the account's owner wrote in the chat from elsewhere, after this message of ours or theirs.

    None: something of ours is on its way out there, and what looks like the owner's may be an echo of it.
    """
    return await database.value(OWNER_WROTE, {"instance_id": instance_id, "chat_id": chat_id, "after": after})


ENABLED: LiteralString = """
    SELECT DISTINCT agent_id, agent_routes FROM public.message_instances WHERE agno_enable AND desired = 'running'"""


async def enabled(database: Database) -> list[tuple[str | None, list[dict[str, Any]] | None]]:
    """Return which agents are to answer for instances that run: (agent_id, routes)."""
    return [(row[0], row[1]) for row in await database.rows(ENABLED, {})]


@dataclass(frozen=True, slots=True)
class ChatMode:
    mode: str
    until: datetime | None
    reason: str | None


MODE: LiteralString = """
    SELECT mode, until, reason FROM public.agent_chats
    WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s AND (until IS NULL OR until > now())"""


async def mode(database: Database, instance_id: UUID, chat_id: str) -> ChatMode:
    """Return who answers now: the agent, where nothing else is set or its time is over."""
    found = await database.one(ChatMode, MODE, {"instance_id": instance_id, "chat_id": chat_id})
    return found or ChatMode("agent", None, None)


# What a person has set is not changed by what we notice.
SET_MODE: LiteralString = """
    INSERT INTO public.agent_chats (instance_id, chat_id, mode, until, reason)
    SELECT id, %(chat_id)s, %(mode)s, now() + make_interval(secs => %(seconds)s), %(reason)s FROM public.message_instances WHERE id = %(instance_id)s
    ON CONFLICT (instance_id, chat_id) DO UPDATE
        SET mode = excluded.mode, until = excluded.until, reason = excluded.reason, changed_at = now()
        WHERE NOT %(noticed)s OR agent_chats.mode <> 'human' OR agent_chats.until < now()"""


async def set_mode(
    database: Database, instance_id: UUID, chat_id: str, mode: str, *, seconds: float | None, reason: str | None, noticed: bool = False
) -> None:
    """Set who answers in a chat, for `seconds` (None: until it is set again). `noticed`: found by us, so it does not overrule a person's order."""
    params = {"instance_id": instance_id, "chat_id": chat_id, "mode": mode, "seconds": seconds, "reason": reason, "noticed": noticed}
    await database.execute(SET_MODE, params)
