"""The port through which an agent is asked, whatever it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from db.messages import MessageRow
from providers.models import ChatKind, Download

Hear = Callable[[str], None]
"""Takes all that the agent has said so far."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A batch as an agent is asked it.

    `session` names the conversation, `key` this question: one that is asked again has the same. `text` holds the messages as an agent reads
    them, `messages` as they are stored, `earlier` those before them, oldest first.
    """

    agent_id: str
    session: str
    key: str
    text: str
    instance_id: str = ""
    chat_id: str = ""
    chat_kind: ChatKind = ChatKind.UNKNOWN
    files: Sequence[Download] = ()
    messages: Sequence[MessageRow] = ()
    earlier: Sequence[MessageRow] = ()


class Agent(Protocol):
    """Whoever answers."""

    @property
    def history(self) -> int:
        """Return how many earlier messages it wants to be shown; an agent that remembers wants none."""
        ...

    async def run(self, question: Question, hear: Hear) -> str:
        """Return the answer; meanwhile `hear` gets its text so far. A run that is left before its end is stopped. Raises AgentFailed."""
        ...
