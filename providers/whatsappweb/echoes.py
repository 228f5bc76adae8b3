"""Our own sends, until WhatsApp Web has shown them: what it shows as ours is matched to the draft it came from.

It tells two things. A send whose answer never came is settled when its message turns up with WhatsApp's tick. And a page that does not
show what it sends has stopped working, whatever it says of itself.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from providers.models import Draft
from providers.whatsappweb.inbound import chat_id_of, id_of
from providers.whatsappweb.outbound import content_of, content_of_raw

Json = dict[str, Any]

_FORGOTTEN_SECONDS = 3600


@dataclass
class Pending:
    client_id: str
    chat_id: str
    content: str
    since: float
    message_id: str | None = None
    shown: bool = False
    is_sure: bool | None = None
    """Whether the send's answer has come; None while it is awaited, False when it will not come."""


class Echoes:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pending: list[Pending] = []

    def expect(self, draft: Draft) -> Pending:
        self._forget()
        pending = Pending(draft.client_id, draft.chat_id, content_of(draft), self._clock())
        self._pending.append(pending)
        return pending

    def drop(self, pending: Pending) -> None:
        """WhatsApp refused it."""
        if pending in self._pending:
            self._pending.remove(pending)

    def sure(self, pending: Pending, message_id: str) -> None:
        """Answered: it is the platform's message of that id."""
        pending.message_id, pending.is_sure = message_id, True
        if pending.shown:
            self.drop(pending)

    def unsure(self, pending: Pending, message_id: str | None = None) -> None:
        """No answer will come any more."""
        pending.message_id = message_id or pending.message_id
        pending.is_sure = False

    def show(self, raw: Json) -> Pending | None:
        """Whose message this is; None for one that was written elsewhere."""
        pending = self._find(raw)
        if pending is None:
            return None
        pending.message_id, pending.shown = id_of(raw), True
        if pending.is_sure:
            self.drop(pending)
        return pending

    def settle(self, message_id: str) -> Pending | None:
        """WhatsApp has the message. Whose it is, where that was not sure."""
        pending = next((one for one in self._pending if one.message_id == message_id and one.is_sure is False), None)
        if pending is not None:
            self.drop(pending)
        return pending

    def overdue(self, seconds: float) -> bool:
        """Whether a send was answered and yet is not shown after so long."""
        return any(one.is_sure and not one.shown and self._clock() - one.since > seconds for one in self._pending)

    def forgive(self) -> None:
        """Another page will not show what this one sent."""
        self._pending = [one for one in self._pending if not one.is_sure]

    def _find(self, raw: Json) -> Pending | None:
        message_id = id_of(raw)
        known = next((one for one in self._pending if one.message_id == message_id), None)
        if known is not None:
            return known
        chat_id, content = chat_id_of(raw), content_of_raw(raw)
        return next((one for one in self._pending if one.message_id is None and one.chat_id == chat_id and one.content == content), None)

    def _forget(self) -> None:
        self._pending = [one for one in self._pending if self._clock() - one.since < _FORGOTTEN_SECONDS]
