"""Whether an agent may answer now: what keeps it out of loops, out of a person's way and quiet at night."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from db.agents import ChatMode
from db.batches import BatchedMessage
from db.messages import MessageRow
from mcp_messenger.config.quiet_hours import Quiet
from providers.models import ChatKind

SILENCE, LONGEST_BATCH = 1.5, 10.0
"""Seconds without a new message after which a batch is over, and after which it is answered in any case."""
PAUSED_BY_OWNER = 30 * 60.0
WINDOW = 600.0
RUNS_MAX = 20
"""So many answers in WINDOW seconds are a loop, or as good as one: the chat is left alone for as long."""
BOT_WINDOW = 3600.0
BOT_RUNS_MAX = 5
"""So many answers an hour to another bot."""


@dataclass(frozen=True)
class Situation:
    """What is known when a batch is looked at. `runs` are the agent's answers in the chat in WINDOW, `runs_in_hour` in BOT_WINDOW."""

    batch: Sequence[BatchedMessage]
    messages: Sequence[MessageRow]
    chat_kind: str
    mode: ChatMode
    runs: int
    runs_in_hour: int
    quiet: Quiet | None
    now: datetime


@dataclass(frozen=True)
class Verdict:
    """`wait` seconds and look again, or (`skip`) leave it to somebody else and why; neither: run. `pause` is the chat's from now on."""

    wait: float = 0.0
    skip: str | None = None
    pause: float = 0.0


def judge(seen: Situation) -> Verdict:
    if any(one.outgoing and not one.queued for one in seen.batch):
        if any(one.sending for one in seen.batch):
            return Verdict(wait=SILENCE)
        return Verdict(skip="The owner wrote there.", pause=PAUSED_BY_OWNER)
    asked = [one for one in seen.batch if not one.outgoing and one.message_id is not None]
    if not asked:
        return Verdict(skip="There is nothing to answer.")
    if seen.mode.mode != "agent":
        return Verdict(skip=f"The chat is with a person: {seen.mode.mode}.")
    if seen.chat_kind != ChatKind.PRIVATE and not any(message.content.get("mentions_me") for message in seen.messages):
        return Verdict(skip="In a group the agent answers who mentions it.")
    if all(one.is_bot for one in asked) and seen.runs_in_hour >= BOT_RUNS_MAX:
        return Verdict(skip="Another bot has had its answers for this hour.")
    if seen.runs >= RUNS_MAX:
        return Verdict(skip="The agent has answered too often there.", pause=WINDOW)
    return Verdict(wait=_wait(seen, asked))


def _wait(seen: Situation, asked: Sequence[BatchedMessage]) -> float:
    if seen.quiet is not None and (quiet := seen.quiet.wait(seen.now)):
        return quiet
    since_last = (seen.now - asked[-1].created_at).total_seconds()
    since_first = (seen.now - asked[0].created_at).total_seconds()
    return max(0.0, SILENCE - since_last) if since_first < LONGEST_BATCH else 0.0
