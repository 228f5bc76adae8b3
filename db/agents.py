"""What agents are to answer, and who answers in which chat."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from db.database import Database

TARGET = "agno"


@dataclass(frozen=True, slots=True)
class Asked:
    """A message of a burst that one run answers. `message_id` None: it is gone."""

    id: int
    event_id: int
    message_id: int | None
    outgoing: bool
    queued: bool
    """Ours, from the outbox: an echo of it came in first."""
    is_bot: bool
    created_at: datetime
    sending: bool
    """Something of ours is on its way out in the chat: what looks like the owner's may be an echo of it."""


TAKE: LiteralString = """
    WITH taken AS (
        UPDATE deliveries SET batch = %(head)s, lease_until = now() + make_interval(secs => %(lease)s)
        WHERE status = 'pending' AND target = 'agno' AND instance_id = %(instance_id)s AND coalesce(chat_id, '') = %(chat_id)s
          AND (id = %(head)s AND lease_until = %(held)s OR id <> %(head)s AND (lease_until IS NULL OR lease_until <= now()))
          AND EXISTS (SELECT FROM deliveries WHERE id = %(head)s AND lease_until = %(held)s)
        RETURNING id, event_id, instance_id, chat_id, created_at
    )
    SELECT taken.id, taken.event_id, m.id AS message_id, coalesce(m.outgoing, false) AS outgoing, coalesce(m.queued, false) AS queued,
        coalesce(c.is_bot, false) AS is_bot, taken.created_at,
        EXISTS (SELECT FROM outbox o WHERE o.instance_id = taken.instance_id AND o.chat_id = taken.chat_id AND o.claimed_epoch IS NOT NULL) AS sending
    FROM taken LEFT JOIN events e ON e.id = taken.event_id LEFT JOIN messages m ON m.id = e.message_id
        LEFT JOIN contacts c ON c.instance_id = taken.instance_id AND c.id = m.sender_id
    ORDER BY taken.event_id, taken.id"""


async def take(database: Database, instance_id: UUID, chat_id: str, *, head: int, held: datetime, lease: float) -> list[Asked]:
    """All that waits in the chat, as one batch; nothing when `head` is not held until `held` any more."""
    params = {"instance_id": instance_id, "chat_id": chat_id, "head": head, "held": held, "lease": lease}
    return await database.all(Asked, TAKE, params)


COVERED: LiteralString = "SELECT id FROM deliveries WHERE batch = %(head)s AND status = 'pending' ORDER BY event_id, id"


async def covered(database: Database, head: int) -> list[int]:
    """The deliveries of a batch that was begun before, and not ended."""
    return [row[0] for row in await database.rows(COVERED, {"head": head})]


END: LiteralString = """
    UPDATE deliveries SET status = %(status)s, last_error = %(error)s, lease_until = NULL, done_at = now()
    WHERE id = ANY(%(ids)s) AND status = 'pending'"""


async def end(database: Database, ids: list[int], status: str, error: str | None = None) -> None:
    """Done, or dead."""
    await database.execute(END, {"ids": ids, "status": status, "error": error})


AGAIN: LiteralString = """
    UPDATE deliveries SET run_at = now() + make_interval(secs => %(delay)s), last_error = coalesce(%(error)s, last_error), lease_until = NULL,
        attempts = greatest(0, attempts - CASE WHEN %(error)s::text IS NULL THEN 1 ELSE 0 END)
    WHERE id = ANY(%(ids)s) AND status = 'pending'"""


async def again(database: Database, ids: list[int], delay: float, error: str | None = None) -> None:
    """In `delay` seconds; without an error that was no attempt."""
    await database.execute(AGAIN, {"ids": ids, "delay": delay, "error": error})


# Those that were answered: the key of an answer is made of the first delivery.
RUNS: LiteralString = """
    SELECT count(*) FROM messages WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s AND outgoing
        AND starts_with(idempotency_key, 'agno:') AND created_at > now() - make_interval(secs => %(seconds)s)"""


async def runs(database: Database, instance_id: UUID, chat_id: str, *, seconds: float) -> int:
    """How often the agent has answered in the chat in so many seconds."""
    return await database.value(RUNS, {"instance_id": instance_id, "chat_id": chat_id, "seconds": seconds})


OWNER_WROTE: LiteralString = """
    SELECT EXISTS (SELECT FROM messages WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s AND outgoing AND NOT queued
        AND id > %(after)s)"""


async def owner_wrote(database: Database, instance_id: UUID, chat_id: str, *, after: int) -> bool:
    """Whether the account's owner wrote in the chat elsewhere, after this message of ours or theirs."""
    return await database.value(OWNER_WROTE, {"instance_id": instance_id, "chat_id": chat_id, "after": after})


@dataclass(frozen=True, slots=True)
class ChatMode:
    mode: str
    until: datetime | None
    reason: str | None


MODE: LiteralString = (
    "SELECT mode, until, reason FROM agent_chats WHERE instance_id = %(instance_id)s AND chat_id = %(chat_id)s AND (until IS NULL OR until > now())"
)


async def mode(database: Database, instance_id: UUID, chat_id: str) -> ChatMode:
    """Who answers now: the agent, where nothing else is set or its time is over."""
    found = await database.one(ChatMode, MODE, {"instance_id": instance_id, "chat_id": chat_id})
    return found or ChatMode("agent", None, None)


# What a person has set is not changed by what we notice.
SET_MODE: LiteralString = """
    INSERT INTO agent_chats (instance_id, chat_id, mode, until, reason)
    SELECT id, %(chat_id)s, %(mode)s, now() + make_interval(secs => %(seconds)s), %(reason)s FROM message_instances WHERE id = %(instance_id)s
    ON CONFLICT (instance_id, chat_id) DO UPDATE
        SET mode = excluded.mode, until = excluded.until, reason = excluded.reason, changed_at = now()
        WHERE NOT %(noticed)s OR agent_chats.mode <> 'human' OR agent_chats.until < now()"""


async def set_mode(
    database: Database, instance_id: UUID, chat_id: str, mode: str, *, seconds: float | None, reason: str | None, noticed: bool = False
) -> None:
    """`seconds` None: until it is set again. `noticed`: by us, and not by a person's order."""
    params = {"instance_id": instance_id, "chat_id": chat_id, "mode": mode, "seconds": seconds, "reason": reason, "noticed": noticed}
    await database.execute(SET_MODE, params)
