"""Sends no faster than a platform takes them."""

from collections.abc import Callable

from providers.models import ChatKind, Limits, Rate


class Pacing:
    """Generic cell rate algorithm over a platform's rates: overall, by chat, and by group."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._due: dict[str | None, float] = {}
        self._blocked_until = 0.0

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
        return round(max(0.0, self._blocked_until - now, *waits), 6)

    def _rates(self, chat_id: str, kind: ChatKind) -> list[tuple[str | None, Rate]]:
        limits = self._limits
        of_chat = limits.group_rate if kind in {ChatKind.GROUP, ChatKind.CHANNEL} and limits.group_rate else limits.chat_rate
        named = ((None, limits.overall_rate), (chat_id, of_chat))
        return [(key, rate) for key, rate in named if rate is not None]

    def block(self, seconds: float) -> None:
        """The platform said to wait: nothing goes out until then."""
        self._blocked_until = max(self._blocked_until, self._clock() + seconds)

    def _forget(self, now: float) -> None:
        if len(self._due) > 10_000:
            self._due = {key: due for key, due in self._due.items() if due > now}
