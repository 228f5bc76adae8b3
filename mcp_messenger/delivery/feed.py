"""Wakes waiters when the event log has grown. A wake-up is only a hint: each reads the log from its own cursor."""

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from itertools import takewhile
from uuid import UUID

import anyio

from db import events
from db.database import Database

log = logging.getLogger(__name__)

POLL_WITHOUT_WAKEUPS = 0.5
POLL_WITH_WAKEUPS = 5.0
PAGE = 1000
KEPT, KEPT_SECONDS = 1000, 5.0
"""How many events are kept for who follows the log closely, and for how long: of what is removed from it, none is shown much longer."""
Key = tuple[UUID | None, str | int | None]
"""Instance, and the id of a chat or the number of a message; None: any."""


class Feed:
    """One reader of the log for the whole process, however many wait."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last = 0
        self._is_begun = False
        self._is_compared = True
        self._heard = 0
        self._own: list[events.EventRow] = []
        """Written by this process and not passed on yet; their numbers follow one another."""
        self._kept: deque[tuple[float, events.EventRow]] = deque()
        """The newest that were read, with the time; no other is between them."""
        self._kept_after = 0
        self._grown = anyio.Event()
        self._waiting: defaultdict[Key, set[anyio.Event]] = defaultdict(set)
        self.ends = anyio.Event()
        """Set from the stop of a server to the start of the next: waits end then, for nobody would get their answers."""
        self.poll_every = POLL_WITHOUT_WAKEUPS
        self.listeners: list[Listener] = []
        self.growth: list[Callable[[], None]] = []
        """Called as soon as something new is known of, before it is read: for readers of other tables than the log."""
        self.deliveries: list[Callable[[], None]] = []
        """Called likewise, unless it is known that nothing waits to be brought to a webhook or an agent."""

    def grew(self, event_id: int | None = None) -> None:
        """There is something new in the log. Events are numbered as they are committed, so who has heard of one has heard of those before it."""
        if event_id is not None and event_id <= self._heard:
            # The wake-up for what this very process wrote.
            return
        self._heard = event_id or self._heard
        self._grown.set()
        self._notify()

    def wrote(self, rows: Sequence[events.EventRow], *, has_deliveries: bool) -> None:
        """This process has written these events, in their order: they need not be read where they follow on what was read before.

        `has_deliveries`: something of them waits to be brought to a webhook or an agent.
        """
        if not rows or rows[-1].id <= self._heard:
            return
        # Where other numbers are between, others wrote, of whose events and deliveries nothing is known here.
        follows = rows[0].id == self._heard + 1 and rows[-1].id == self._heard + len(rows)
        if not follows or len(self._own) > PAGE:
            self._own.clear()
        if follows:
            self._own += rows
        self._heard = rows[-1].id
        self._grown.set()
        self._notify(has_deliveries=has_deliveries or not follows)

    def reconnected(self) -> None:
        """Compare with the log where it ends: after a restore, or a failover to a standby that lagged, it ends earlier than it did."""
        self._is_compared = False
        self._own.clear()
        self.grew()

    def _notify(self, *, has_deliveries: bool = True) -> None:
        for notify in (*self.growth, *(self.deliveries if has_deliveries else ())):
            notify()

    def begin_waits(self) -> None:
        """Let calls wait: a server begins."""
        if self.ends.is_set():
            self.ends = anyio.Event()

    def end_waits(self) -> None:
        """End all waits: the server stops."""
        self.ends.set()
        for key in list(self._waiting):
            self._wake(key)

    async def read(self) -> None:
        """Read the new events, and wake their waiters."""
        if not self._is_begun:
            self._goes_on_after(await events.last(self._database))
            self._is_begun = True
            # Who looked before may have seen less.
            for key in list(self._waiting):
                self._wake(key)
        if not self._is_compared:
            self._goes_on_after(min(self._last, await events.last(self._database)))
            self._heard = self._last
            self._is_compared = True
        await self._read()

    async def wait(self) -> None:
        """Return when there may be more to read."""
        with anyio.move_on_after(self.poll_every):
            await self._grown.wait()
        self._grown = anyio.Event()

    async def _read(self) -> None:
        own, self._own = self._own, []
        if own and own[0].id == self._last + 1:
            self._take(own)
            if self._last >= self._heard:
                return
        page = await events.after(self._database, self._last, instance_ids=None, limit=PAGE)
        if not page and await events.is_ahead(self._database, self._last):
            log.warning("the event log is behind what was read of it: the database was restored, or another has taken its place")
            self._goes_on_after(await events.last(self._database))
            self._heard = 0
            for key in list(self._waiting):
                self._wake(key)
        while page:
            self._take(page)
            if len(page) < PAGE:
                return
            page = await events.after(self._database, self._last, instance_ids=None, limit=PAGE)

    def _goes_on_after(self, event_id: int) -> None:
        """What is read next comes after this event, and maybe not after those that were read before."""
        self._last = self._kept_after = event_id
        self._kept.clear()

    def _forget(self, *, before: float) -> None:
        while self._kept and (self._kept[0][0] < before or len(self._kept) > KEPT):
            self._kept_after = self._kept.popleft()[1].id

    def recent(self, cursor: int) -> list[events.EventRow] | None:
        """Return the events after a cursor, oldest first, as far as they were read; None where not all of them are kept here."""
        self._forget(before=anyio.current_time() - KEPT_SECONDS)
        if not (self._is_begun and self._is_compared and self._kept_after <= cursor <= self._last):
            return None
        newer = [row for _, row in takewhile(lambda one: one[1].id > cursor, reversed(self._kept))]
        return newer[::-1]

    @property
    def last(self) -> int:
        """The number of the newest event that was read."""
        return self._last

    def _take(self, page: list[events.EventRow]) -> None:
        """Wake who waits for these events, and tell the listeners."""
        self._last = page[-1].id
        now = anyio.current_time()
        self._kept += ((now, row) for row in page)
        self._forget(before=now - KEPT_SECONDS)
        if self._last > self._heard:
            # No wake-up came for them.
            self._heard = self._last
            self._notify()
        for key in {key for row in page for key in self._keys(row)}:
            self._wake(key)
        for instance_id in {row.instance_id for row in page}:
            for listener in self.listeners:
                listener.instance_changed(instance_id, [row for row in page if row.instance_id == instance_id])

    def _keys(self, row: events.EventRow) -> list[Key]:
        """Return the keys whose waiters an event wakes; an event without a chat wakes those of every chat."""
        if row.chat_id is None:
            return [(None, None), *(key for key in self._waiting if key[0] == row.instance_id)]
        return [(None, None), *((row.instance_id, about) for about in (None, row.chat_id, row.data.get("old_id"), row.message_id))]

    def _wake(self, key: Key) -> None:
        for waiter in self._waiting.pop(key, ()):
            waiter.set()

    def settled(self, instance_id: UUID, message_id: int) -> None:
        """Wake who waits for a message, of which this process knows the fate before it has read it."""
        self._wake((instance_id, message_id))

    def waiter(self, instance_id: UUID | None, about: str | int | None = None) -> "Waiter":
        """Return a waiter for new events of an instance, of a chat (its id) or a message (its number) of it, or (None) of any instance.

        Look at the store inside it: what comes between is not missed.
        """
        return Waiter(self._waiting, (instance_id, about))


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
