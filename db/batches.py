"""Debounced batches: the deliveries of a chat that one agent run answers together. The first of them, the head, represents all.

Who has taken a batch holds it until its `lease_until`; what is written with another one changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from db.database import Database

TARGET = "agno"


@dataclass(frozen=True, slots=True)
class AnswerProgress:
    """The parts of a batch's answer that exist. `message_id` is of its first message, once that is queued.

    `shown` is there while the message grows: its text so far, or the next one. `answer` is the whole of it, once it is known.
    """

    message_id: int | None
    shown: str | None
    answer: str | None

    @property
    def is_growing(self) -> bool:
        """Whether a part of the answer is in the chat."""
        return self.message_id is not None and self.shown is not None

    @property
    def is_queued(self) -> bool:
        """Whether all of the answer is in the chat, or on its way."""
        return self.message_id is not None and self.shown is None


STANDING: LiteralString = """
    SELECT m.id AS message_id, d.shown, d.answer FROM public.deliveries d
        LEFT JOIN public.messages m ON m.instance_id = d.instance_id AND m.idempotency_key = %(key)s
    WHERE d.id = %(head)s"""


async def progress(database: Database, head: int, key: str) -> AnswerProgress:
    """Return how far the answer to a batch is; `key` is the answer's idempotency key."""
    return await database.one(AnswerProgress, STANDING, {"head": head, "key": key}) or AnswerProgress(None, None, None)


@dataclass(frozen=True, slots=True)
class BatchedMessage:
    """A message of a batch. `message_id` None: it is gone."""

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
    lease_until: datetime


TAKE: LiteralString = """
    WITH taken AS (
        UPDATE public.deliveries SET batch = %(head)s, lease_until = now() + make_interval(secs => %(lease)s)
        WHERE status = 'pending' AND target = 'agno' AND instance_id = %(instance_id)s AND coalesce(chat_id, '') = %(chat_id)s
          AND (id = %(head)s AND lease_until = %(lease_until)s OR id <> %(head)s AND (lease_until IS NULL OR lease_until <= now())
              AND (batch = %(head)s OR NOT %(has_answer)s))
          AND EXISTS (SELECT FROM public.deliveries WHERE id = %(head)s AND lease_until = %(lease_until)s)
        RETURNING id, event_id, instance_id, chat_id, created_at, lease_until
    )
    SELECT taken.id, taken.event_id, m.id AS message_id, coalesce(m.outgoing, false) AS outgoing, coalesce(m.queued, false) AS queued,
        coalesce(c.is_bot, false) AS is_bot, taken.created_at,
        taken.lease_until, EXISTS (
            SELECT FROM public.outbox o
            WHERE o.instance_id = taken.instance_id AND o.chat_id = taken.chat_id AND o.claimed_epoch IS NOT NULL) AS sending
    FROM taken LEFT JOIN public.events e ON e.id = taken.event_id LEFT JOIN public.messages m ON m.id = e.message_id
        LEFT JOIN public.contacts c ON c.instance_id = taken.instance_id AND c.id = m.sender_id
    ORDER BY taken.event_id, taken.id"""


async def take(
    database: Database, instance_id: UUID, chat_id: str, *, head: int, lease_until: datetime, has_answer: bool, lease: float
) -> list[BatchedMessage]:
    """Take all that waits in the chat as one batch; return nothing when the lease of `head` is not the one until `lease_until` any more.

    `has_answer`: its answer is in the chat in part, so nothing may be added to the question.
    """
    params = {"instance_id": instance_id, "chat_id": chat_id, "head": head, "lease_until": lease_until, "has_answer": has_answer, "lease": lease}
    return await database.all(BatchedMessage, TAKE, params)


STOPPED = "A person stopped the answer."
"""The last error of a batch that somebody ended by the platform's stop button, as `changes.STOP` sets it."""
IS_STOPPED: LiteralString = "SELECT last_error = %(reason)s AND status = 'done' FROM public.deliveries WHERE id = %(head)s"
IS_HELD: LiteralString = """
    SELECT count(*) > 0 FROM public.deliveries WHERE id = ANY(%(ids)s) AND status = 'pending' AND lease_until = %(lease_until)s"""
EXTEND: LiteralString = """
    UPDATE public.deliveries SET lease_until = now() + make_interval(secs => %(lease)s)
    WHERE id = ANY(%(ids)s) AND status = 'pending' AND lease_until = %(lease_until)s RETURNING lease_until"""
# In the row of the head.
SHOW: LiteralString = """
    UPDATE public.deliveries SET shown = %(shown)s, answer = coalesce(%(answer)s, answer)
    WHERE id = ANY(%(ids)s) AND status = 'pending' AND lease_until = %(lease_until)s"""
# A dead one keeps its last error, and the text it has shown: a person may restart it.
END: LiteralString = """
    UPDATE public.deliveries SET status = %(status)s, lease_until = NULL, done_at = now(), answer = NULL,
        shown = CASE %(status)s WHEN 'dead' THEN shown END,
        last_error = CASE %(status)s WHEN 'dead' THEN concat_ws(' ', %(error)s::text, last_error) ELSE %(error)s END
    WHERE id = ANY(%(ids)s) AND status = 'pending' AND lease_until = %(lease_until)s"""
AGAIN: LiteralString = """
    UPDATE public.deliveries SET run_at = now() + make_interval(secs => %(delay)s), last_error = coalesce(%(error)s, last_error), lease_until = NULL,
        attempts = greatest(0, attempts - CASE WHEN %(error)s::text IS NULL THEN 1 ELSE 0 END)
    WHERE id = ANY(%(ids)s) AND status = 'pending' AND lease_until = %(lease_until)s"""
HASTEN: LiteralString = """
    UPDATE public.deliveries SET run_at = now()
    WHERE instance_id = %(instance_id)s AND target = 'agno' AND status = 'pending' AND lease_until IS NULL AND run_at > now()"""
# The answer is queued, and nobody needs to hold the question any more.
ENDED: LiteralString = """
    UPDATE public.deliveries SET status = 'done', lease_until = NULL, done_at = now()
    WHERE (id = %(head)s OR batch = %(head)s) AND status = 'pending'"""


FAILING: LiteralString = """
    SELECT last_error FROM public.deliveries
    WHERE instance_id = %(instance_id)s AND target = 'agno' AND status = 'pending' AND attempts > 0 AND last_error IS NOT NULL
    ORDER BY id DESC LIMIT 1"""


async def failing(database: Database, instance_id: UUID) -> str | None:
    """Return why a question that waits has no answer yet; None where none has failed."""
    return await database.value(FAILING, {"instance_id": instance_id})


async def is_held(database: Database, ids: Sequence[int], *, lease_until: datetime) -> bool:
    """Return whether the batch is still held until `lease_until`."""
    return await database.value(IS_HELD, {"ids": list(ids), "lease_until": lease_until})


async def is_stopped(database: Database, head: int) -> bool:
    """Return whether somebody stopped the answer to the batch with this head."""
    return bool(await database.value(IS_STOPPED, {"head": head, "reason": STOPPED}))


async def extend(database: Database, ids: Sequence[int], *, lease_until: datetime, lease: float) -> datetime | None:
    """Hold the batch for `lease` more seconds; return until when, or None when the lease is lost."""
    return await database.value(EXTEND, {"ids": list(ids), "lease_until": lease_until, "lease": lease})


async def show(database: Database, head: int, *, lease_until: datetime, shown: str, answer: str | None) -> bool:
    """Store the text that is or will soon be shown in the chat, and the whole answer where it is known. False: the lease is lost."""
    return await database.execute(SHOW, {"ids": [head], "lease_until": lease_until, "shown": shown, "answer": answer}) > 0


async def end(database: Database, ids: Sequence[int], status: str, error: str | None = None, *, lease_until: datetime) -> None:
    """Store that the batch is over: `status` is done or dead."""
    await database.execute(END, {"ids": list(ids), "status": status, "error": error, "lease_until": lease_until})


async def again(database: Database, ids: Sequence[int], delay: float, error: str | None = None, *, lease_until: datetime) -> None:
    """Let the batch be answered in `delay` seconds; without an error this was no attempt."""
    await database.execute(AGAIN, {"ids": list(ids), "delay": delay, "error": error, "lease_until": lease_until})


async def ended(database: Database, head: int) -> None:
    """Store that all of the batch with this head is done."""
    await database.execute(ENDED, {"head": head})


async def hasten(database: Database, instance_id: UUID) -> None:
    """Make everything that waits for the agent due now: the reason to wait may be gone."""
    await database.execute(HASTEN, {"instance_id": instance_id})
