"""What the provider delivered, in order, until the manager has confirmed it; and what became of each send."""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import anyio
from pydantic import TypeAdapter

from mcp_messenger.alone import ledger
from mcp_messenger.alone.archive import keep, keep_error, text_of
from mcp_messenger.alone.database import SpoolFile, SpoolUnavailable
from mcp_messenger.alone.facts import fact, set_fact
from mcp_messenger.relay.protocol import Numbered
from providers.models import Event, InstanceState, MessageReceived, StateChanged

log = logging.getLogger(__name__)

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
STATES_KEPT = 50
HISTORY_KEPT = 500
TRIM_EVERY = 200
"""Events between two looks at the bounds."""
OVERFLOW = "spool_overflow"
READER = "reader"


@dataclass(frozen=True)
class Bounds:
    """How much is kept. Events that were confirmed go at once; those that nobody has read are the last to go."""

    events: int = 50_000
    messages: int = 10_000
    age: timedelta = timedelta(days=30)
    """Of events nobody has read, and of what is known of sends."""
    sends: int = 50_000


@dataclass(frozen=True)
class Page:
    spool: str
    events: list[Numbered]
    lost: int


class Spool:
    """With `has_reader` somebody misses what goes unread; without, from the first who asks for events on."""

    def __init__(self, path: Path, bounds: Bounds, *, has_reader: bool) -> None:
        self.file = SpoolFile(path)
        self._bounds = bounds
        self._has_reader = has_reader
        self._is_open = False
        self._last_state: StateChanged | None = None
        self._states: dict[int, StateChanged] = {}
        self._since_trim = 0
        self._grown = anyio.Event()

    def wake(self) -> None:
        """There is something new for those who wait."""
        self._grown.set()
        self._grown = anyio.Event()

    def growth(self) -> anyio.Event:
        """Set as soon as there is something new."""
        return self._grown

    async def open(self) -> None:
        """States of an earlier run are nobody's business any more, and what was in their QR codes was never written."""
        await self.file.write(self._begin)
        self._is_open = True

    def _begin(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM events WHERE is_state")
        if self._has_reader:
            set_fact(db, READER, "yes")

    async def fact(self, key: str) -> str | None:
        return await self.file.read(lambda db: fact(db, key))

    async def set_fact(self, key: str, value: str) -> None:
        await self.file.write(lambda db: set_fact(db, key, value))

    async def append(self, events: Sequence[Event]) -> None:
        """Returns when they are on the disk, all or none. Raises SpoolUnavailable."""
        if not self._is_open:
            await self.open()
        states = await self.file.write(lambda db: self._append(db, events))
        self._states |= states
        if states:
            self._last_state = states[max(states)]
        for stale in sorted(self._states)[:-STATES_KEPT]:
            del self._states[stale]
        self.wake()
        self._since_trim += len(events)
        if self._since_trim >= TRIM_EVERY:
            try:
                await self.trim()
            except SpoolUnavailable as error:
                # These events are on the disk all the same.
                log.warning("the spool was not kept to its bounds: %s", error.detail)

    def _append(self, db: sqlite3.Connection, events: Sequence[Event]) -> dict[int, StateChanged]:
        states: dict[int, StateChanged] = {}
        now = text_of(datetime.now(UTC))
        for event in events:
            if isinstance(event, MessageReceived) and event.client_id is not None:
                ledger.settle_by_echo(db, event.client_id, event.message)
            if not keep(db, event):
                continue
            is_state = isinstance(event, StateChanged)
            # A login code on a disk outlives the login: it stays in memory.
            shown = event.model_copy(update={"qr": None, "pairing_code": None}) if isinstance(event, StateChanged) else event
            added = db.execute("INSERT INTO events (at, is_state, event) VALUES (?, ?, ?)", (now, is_state, EVENT.dump_json(shown).decode()))
            if isinstance(event, StateChanged) and added.lastrowid is not None:
                states[added.lastrowid] = event
        return states

    async def page(self, *, after: int | None, spool: str | None, limit: int) -> Page:
        """The first events that are not confirmed; `after` confirms all up to it first, where `spool` (if told) is this spool."""
        if after is not None:
            await self.file.write(lambda db: _confirm(db, after, spool))
        return await self.file.read(lambda db: self._page(db, limit))

    def _page(self, db: sqlite3.Connection, limit: int) -> Page:
        rows = db.execute("SELECT seq, event FROM events ORDER BY seq LIMIT ?", (limit,)).fetchall()
        events = [Numbered(seq=row["seq"], event=self._states.get(row["seq"]) or EVENT.validate_json(row["event"])) for row in rows]
        return Page(_identity(db), events, int(fact(db, "lost") or 0))

    async def identity(self) -> str:
        return await self.file.read(_identity)

    async def trim(self) -> None:
        """Keep to the bounds. What goes unread is counted, and told."""
        self._since_trim = 0
        lost = await self.file.write(self._trim)
        if lost:
            log.error("%d events went unread: more had gathered than the spool keeps", lost)
            await self._tell_loss(lost)

    async def _tell_loss(self, lost: int) -> None:
        """As a state that is over at once: a manager writes such a one down among the errors of the instance."""
        if self._last_state is not None:
            reason = f"{lost} events went unread: more had gathered than the spool keeps."
            degraded = StateChanged(state=InstanceState.DEGRADED, reason=reason, account=self._last_state.account)
            await self.append([degraded, self._last_state])

    def _trim(self, db: sqlite3.Connection) -> int:
        bounds, horizon = self._bounds, text_of(datetime.now(UTC) - self._bounds.age)
        _keep_newest(db, "messages", "id", bounds.messages, "AND status <> 'sending'")
        for table in ("states", "qr_codes"):
            _keep_newest(db, table, "id", HISTORY_KEPT)
        _keep_newest(db, "errors", "rowid", HISTORY_KEPT)
        ledger.trim(db, bounds.sends, horizon)
        _keep_newest(db, "events", "seq", STATES_KEPT, "AND is_state", "WHERE is_state")
        gone = _keep_newest(db, "events", "seq", bounds.events, "AND NOT is_state", "WHERE NOT is_state")
        gone += db.execute("DELETE FROM events WHERE at < ? AND NOT is_state", (horizon,)).rowcount
        if not gone or fact(db, READER) is None:
            # Where nobody has ever read events, nobody misses them.
            return 0
        set_fact(db, "lost", str(int(fact(db, "lost") or 0) + gone))
        keep_error(db, OVERFLOW, "Events went unread: more had gathered than the spool keeps.")
        return gone

    async def expect_reader(self) -> None:
        """From now on somebody misses what goes unread."""
        if not self._has_reader:
            await self.set_fact(READER, "yes")
            self._has_reader = True


def _keep_newest(db: sqlite3.Connection, table: str, column: str, count: int, spare: str = "", among: str = "") -> int:
    """How many went. All but `count` is constant."""
    newest = f"SELECT {column} FROM {table} {among} ORDER BY {column} DESC LIMIT 1 OFFSET ?"  # noqa: S608
    return db.execute(f"DELETE FROM {table} WHERE {column} <= ({newest}) {spare}", (count,)).rowcount  # noqa: S608


def _confirm(db: sqlite3.Connection, after: int, spool: str | None) -> None:
    if spool is None or spool == _identity(db):
        db.execute("DELETE FROM events WHERE seq <= ?", (after,))


def _identity(db: sqlite3.Connection) -> str:
    known = fact(db, "spool")
    if known is None:
        known = str(uuid4())
        set_fact(db, "spool", known)
    return known
