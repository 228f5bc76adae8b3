"""Keeps an answer for a moment, for all who ask for the same one after the other: those who were woken by the same event."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import anyio

from db.single_flight import SingleFlight
from providers.kit.bounded import BoundedMap

T = TypeVar("T")

SECONDS = 1.0
KEPT = 32


class SharedAnswers(Generic[T]):
    def __init__(self) -> None:
        self._flights = SingleFlight()
        self._answers: BoundedMap[Hashable, tuple[float, T]] = BoundedMap(KEPT)

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the answer of `ask`, or the one that somebody else got with this key within SECONDS. Raises what `ask` raises."""

        async def found() -> T:
            answer = self._known(key)
            if answer is None:
                answer = self._answers[key] = anyio.current_time(), await ask()
            return answer[1]

        known = self._known(key)
        return known[1] if known is not None else await self._flights.run(key, found)

    def _known(self, key: Hashable) -> tuple[float, T] | None:
        answer = self._answers.get(key)
        return answer if answer is not None and anyio.current_time() - answer[0] < SECONDS else None
