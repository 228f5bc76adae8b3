"""What a call is doing, in words, for a caller who asked for signs of life: each part says what it begins with, and nobody need listen."""

import time
from collections.abc import Callable
from contextvars import ContextVar


class Progress:
    """Of one call."""

    def __init__(self) -> None:
        self._words: str | Callable[[], str] = ""
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Return how long the call has taken so far."""
        return time.monotonic() - self._began

    @property
    def words(self) -> str:
        """Return what the call is doing now; empty where nothing has been said."""
        return self._words if isinstance(self._words, str) else self._words()

    def say(self, words: str | Callable[[], str]) -> None:
        """Note what the call is doing; a function gives words that change meanwhile, such as how much is done."""
        self._words = words


current: ContextVar[Progress | None] = ContextVar("progress", default=None)
"""Of the call that is being carried out; None: nobody asked for it."""


def doing(words: str | Callable[[], str]) -> None:
    """Say what the current call begins to do; empty: that it goes on with something that nobody waits for long."""
    progress = current.get()
    if progress is not None:
        progress.say(words)
