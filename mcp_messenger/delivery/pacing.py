"""Sends no faster than a platform takes them."""

from collections.abc import Callable

from providers.limits import Limits, Rate
from providers.models import ChatKind


class Pacing:
    """Generic cell rate algorithm over a platform's rates: overall, by chat, and by group."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._due: dict[str | None, float] = {}
        self._blocked_until: dict[str | None, float] = {}
        """By chat; None: the whole account."""

    def delay(self, chat_id: str, kind: ChatKind) -> float:
        """Seconds to wait before the next send to the chat; 0 books it as sent now."""
        wait = self.wait(chat_id, kind)
        if wait > 0:
            return wait
        now = self._clock()
        for key, rate in self._rates(chat_id, kind):
            self._due[key] = max(self._due.get(key, now), now) + rate.seconds / rate.count
        self._forget(now)
        return 0.0

    def wait(self, chat_id: str, kind: ChatKind) -> float:
        """The same, without booking anything."""
        now = self._clock()
        waits = (self._due.get(key, now) - now - rate.seconds * (1 - 1 / rate.count) for key, rate in self._rates(chat_id, kind))
        # What is left by rounding is too short for any clock to get over.
        blocked = max(self._blocked_until.get(None, now), self._blocked_until.get(chat_id, now))
        return round(max(0.0, blocked - now, *waits), 6)

    def _rates(self, chat_id: str, kind: ChatKind) -> list[tuple[str | None, Rate]]:
        limits = self._limits
        of_chat = limits.group_rate if kind in {ChatKind.GROUP, ChatKind.CHANNEL} and limits.group_rate else limits.chat_rate
        named = ((None, limits.overall_rate), (chat_id, of_chat))
        return [(key, rate) for key, rate in named if rate is not None]

    def block(self, seconds: float, chat_id: str | None = None) -> None:
        """Hold back what goes to a chat, or everything, for as long as the platform said."""
        now = self._clock()
        self._blocked_until[chat_id] = max(self._blocked_until.get(chat_id, now), now + seconds)

    def _forget(self, now: float) -> None:
        if len(self._due) > 10_000:
            self._due = {key: due for key, due in self._due.items() if due > now}
            self._blocked_until = {key: until for key, until in self._blocked_until.items() if until > now}
