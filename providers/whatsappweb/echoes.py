"""Our own sends, until WhatsApp Web has shown them: what it shows as ours is matched to the draft by the message's id.

The bridge names the id before the page shows the message. Its last part stays when the chat gets another id meanwhile. This settles two
things: a send whose answer never came, when its message turns up with WhatsApp's tick; and a page that does not show what it sends has
stopped working, whatever it says of itself.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from providers.models import Draft
from providers.whatsappweb.ids import key_of

_FORGOTTEN_SECONDS = 3600
_AWAITED_SECONDS = 300
_SHOWN_MAX = 200


@dataclass
class Pending:
    """A send that the page has not shown, or whose outcome is not sure. `key` is None before the page has made a message of it."""

    client_id: str
    since: float
    key: str | None = None
    shown: bool = False
    is_sure: bool | None = None
    """Whether the send's answer has come; None while it is awaited, False when it will not come."""


class Echoes:
    """The pending sends of one connection."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pending: list[Pending] = []
        self._shown: deque[str] = deque(maxlen=_SHOWN_MAX)

    def expect(self, draft: Draft) -> Pending:
        """Note a send that is about to be made."""
        self._pending = [one for one in self._pending if self._clock() - one.since < _FORGOTTEN_SECONDS]
        pending = Pending(draft.client_id, self._clock())
        self._pending.append(pending)
        return pending

    def named(self, client_id: str, message_id: str) -> None:
        """The page makes this message of that send."""
        pending = next((one for one in reversed(self._pending) if one.client_id == client_id and one.key is None), None)
        if pending is not None:
            pending.key = key_of(message_id)

    def drop(self, pending: Pending) -> None:
        """WhatsApp refused it."""
        if pending in self._pending:
            self._pending.remove(pending)

    def sure(self, pending: Pending, message_id: str) -> None:
        """Answered: it is the platform's message of that id."""
        pending.key, pending.is_sure = key_of(message_id), True
        if pending.shown or pending.key in self._shown:
            self.drop(pending)

    def unsure(self, pending: Pending, message_id: str | None = None) -> None:
        """No answer will come any more."""
        pending.key = pending.key if message_id is None else key_of(message_id)
        pending.is_sure = False

    def show(self, message_id: str) -> Pending | None:
        """Return the send that this message of ours comes from; None for one that was written elsewhere."""
        key = key_of(message_id)
        self._shown.append(key)
        pending = next((one for one in self._pending if one.key == key), None)
        if pending is None:
            return None
        pending.shown = True
        if pending.is_sure:
            self.drop(pending)
        return pending

    def settle(self, message_id: str) -> Pending | None:
        """WhatsApp has the message. Return its send where that was not sure."""
        pending = next((one for one in self._pending if one.key == key_of(message_id) and one.is_sure is False), None)
        if pending is not None:
            self.drop(pending)
        return pending

    @property
    def are_pending(self) -> bool:
        """Whether a send is under way, or its outcome awaited."""
        return any(self._clock() - one.since < _AWAITED_SECONDS for one in self._pending)

    def overdue(self, seconds: float) -> bool:
        """Whether a send was answered and yet is not shown after so long."""
        return any(one.is_sure and not one.shown and self._clock() - one.since > seconds for one in self._pending)

    def forgive(self) -> None:
        """Another page will not show what this one sent."""
        self._pending = [one for one in self._pending if not one.is_sure]
