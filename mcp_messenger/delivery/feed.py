"""Tells who waits that the event log has grown. A wake-up is only a hint: everybody reads the log by their own cursor."""

import logging
from collections import defaultdict
from collections.abc import Callable
from uuid import UUID

import anyio

from db import events
from db.database import Database

log = logging.getLogger(__name__)

POLL_WITHOUT_WAKEUPS = 0.5
POLL_WITH_WAKEUPS = 5.0
PAGE = 1000
Key = tuple[UUID | None, str | None]
"""Instance and chat; None: any."""


class Feed:
    """One reader of the log for the whole process, however many wait."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last = 0
        self._is_begun = False
        self._is_compared = True
        self._heard = 0
        self._grown = anyio.Event()
        self._waiting: defaultdict[Key, set[anyio.Event]] = defaultdict(set)
        self.ends = anyio.Event()
        """Is set from when the server stops until one begins: who waits then comes to an end, for nobody would get the answer."""
        self.poll_every = POLL_WITHOUT_WAKEUPS
        self.listeners: list[Listener] = []
        self.growth: list[Callable[[], None]] = []
        """Called as soon as something is known to be new, before it is read: for who looks elsewhere than in the log."""

    def grew(self, event_id: int | None = None) -> None:
        """There is something new in the log. Events are numbered as they are committed, so who has heard of one has heard of those before it."""
        if event_id is not None and event_id <= self._heard:
            # The wake-up for what this very process wrote.
            return
        self._heard = event_id or self._heard
        self._grown.set()
        self._notify()

    def reconnected(self) -> None:
        """Compare with the log where it ends: after a restore, or a failover to a standby that lagged, it ends earlier than it did."""
        self._is_compared = False
        self.grew()

    def _notify(self) -> None:
        for notify in self.growth:
            notify()

    def begin_waits(self) -> None:
        """Let calls wait: a server begins."""
        if self.ends.is_set():
            self.ends = anyio.Event()

    def end_waits(self) -> None:
        """Have those who wait come to an end: the server stops."""
        self.ends.set()
        for key in list(self._waiting):
            self._wake(key)

    async def read(self) -> None:
        """Read what is new, and wake who waits for it."""
        if not self._is_begun:
            self._last, self._is_begun = await events.last(self._database), True
            # Who looked before may have seen less.
            for key in list(self._waiting):
                self._wake(key)
        if not self._is_compared:
            self._last = self._heard = min(self._last, await events.last(self._database))
            self._is_compared = True
        await self._read()

    async def wait(self) -> None:
        """Return when there may be more to read."""
        with anyio.move_on_after(self.poll_every):
            await self._grown.wait()
        self._grown = anyio.Event()

    async def _read(self) -> None:
        if await events.is_ahead(self._database, self._last):
            log.warning("the event log is behind what was read of it: the database was restored, or another has taken its place")
            self._last, self._heard = await events.last(self._database), 0
            for key in list(self._waiting):
                self._wake(key)
        while page := await events.after(self._database, self._last, instance_ids=None, limit=PAGE):
            self._last = page[-1].id
            if self._last > self._heard:
                # No wake-up came for them.
                self._heard = self._last
                self._notify()
            for key in {key for row in page for key in self._keys(row)}:
                self._wake(key)
            for instance_id in {row.instance_id for row in page}:
                for listener in self.listeners:
                    listener.instance_changed(instance_id, [row for row in page if row.instance_id == instance_id])
            if len(page) < PAGE:
                return

    def _keys(self, row: events.EventRow) -> list[Key]:
        """Who waits for such an event; one that is of no chat is of all."""
        if row.chat_id is None:
            return [(None, None), *(key for key in self._waiting if key[0] == row.instance_id)]
        return [(None, None), *((row.instance_id, chat) for chat in (None, row.chat_id, row.data.get("old_id")))]

    def _wake(self, key: Key) -> None:
        for waiter in self._waiting.pop(key, ()):
            waiter.set()

    def waiter(self, instance_id: UUID | None, chat_id: str | None = None) -> "Waiter":
        """For the growth of the log for a chat of an instance, or for the instance, or (None) for any.

        Look at the store inside it: what comes between is not missed.
        """
        return Waiter(self._waiting, (instance_id, chat_id))


class Listener:
    """Receives new events in this process, in order."""

    def instance_changed(self, instance_id: UUID, rows: list[events.EventRow]) -> None:
        raise NotImplementedError


class Waiter:
    """Counts as waiting from `async with` on, so that a look at the store inside it misses nothing."""

    def __init__(self, waiting: defaultdict[Key, set[anyio.Event]], key: Key) -> None:
        self._waiting = waiting
        self._key = key
        self._event = anyio.Event()

    async def __aenter__(self) -> anyio.Event:
        self._waiting[self._key].add(self._event)
        return self._event

    async def __aexit__(self, *_: object) -> None:
        waiting = self._waiting.get(self._key)
        if waiting is not None:
            waiting.discard(self._event)
            if not waiting:
                del self._waiting[self._key]
