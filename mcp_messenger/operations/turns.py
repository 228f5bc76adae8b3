"""Keeps calls that came in one after the other in that order, where the order shows: two sends to one chat."""

from collections import defaultdict
from collections.abc import Hashable
from contextvars import ContextVar

import anyio


class Turn:
    """A call's place among those of one client. It holds back later ones until it is known that it does not concern them, or is over."""

    def __init__(self, line: list["Turn"]) -> None:
        self._line = line
        self._earlier = tuple(line)
        self._named = anyio.Event()
        self._over = anyio.Event()
        self._key: Hashable | None = None
        line.append(self)

    def name(self, key: Hashable | None) -> None:
        """Say what the call concerns; None: nothing whose order shows."""
        self._key = key
        self._named.set()

    async def comes(self) -> None:
        """Return when every earlier call that concerns the same is over."""
        for earlier in self._earlier:
            await earlier._named.wait()  # noqa: SLF001 - another object of this class
            if earlier._key == self._key is not None:  # noqa: SLF001
                await earlier._over.wait()  # noqa: SLF001
        self._earlier = ()

    def end(self) -> None:
        """Let the next one come. May be called twice."""
        self._named.set()
        self._over.set()
        if self in self._line:
            self._line.remove(self)


class Turns:
    """The lines of all clients."""

    def __init__(self) -> None:
        self._lines: defaultdict[Hashable, list[Turn]] = defaultdict(list)

    def take(self, client: Hashable) -> Turn:
        """Return the next place in the client's line. To be called before anything that is awaited, and ended in any case."""
        for idle in [key for key, line in self._lines.items() if not line and key != client]:
            del self._lines[idle]
        return Turn(self._lines[client])


current: ContextVar[Turn | None] = ContextVar("current", default=None)
"""Of the call that is being carried out; None where its client waits for one call before it makes the next."""
