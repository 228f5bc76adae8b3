"""What many ask at the same time is asked once."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


class SingleFlight:
    """Lets callers share a query. One who comes while it runs waits for the next run, with all who come meanwhile:
    no answer is older than its question."""

    def __init__(self) -> None:
        self._asking: dict[Hashable, _Round] = {}
        self._waiting: dict[Hashable, _Round] = {}

    async def run(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """Return or raise the outcome of `ask`, run for this caller or for another one with the same key."""
        while (joined := self._waiting.get(key)) is not None:
            await joined.over.wait()
            if joined.error is not None:
                raise joined.error
            if joined.is_answered:
                return joined.answer
            # Who was to ask for us went away.
        return await self._lead(key, ask)

    async def _lead(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        mine = _Round()
        try:
            if (before := self._asking.get(key)) is not None:
                await self._wait_for(before, key, mine)
            self._asking[key] = mine
            try:
                answer = await ask()
            finally:
                del self._asking[key]
            mine.answer, mine.is_answered = answer, True
            return answer
        except Exception as error:  # raised again, and told to those who share the query
            mine.error = error
            raise
        finally:
            mine.over.set()

    async def _wait_for(self, before: "_Round", key: Hashable, mine: "_Round") -> None:
        self._waiting[key] = mine
        try:
            await before.over.wait()
        finally:
            del self._waiting[key]


class _Round:
    """One asking. `over` without an answer and without an error: it was called off."""

    def __init__(self) -> None:
        self.over = anyio.Event()
        self.is_answered = False
        self.answer: Any = None
        self.error: Exception | None = None
