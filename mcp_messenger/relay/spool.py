"""The provider's events in order, until the manager has confirmed them."""

import json
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import anyio
from pydantic import TypeAdapter

from mcp_messenger.relay import send_ledger
from mcp_messenger.relay.protocol import Numbered
from mcp_messenger.relay.spool_file import SpoolFile, SpoolUnavailable, fact, set_fact, time_text
from mcp_messenger.relay.versions import slim
from providers.events import Event, MessageReceived, StateChanged
from providers.states import InstanceState

log = logging.getLogger(__name__)

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
STATES_KEPT = 50
TRIM_EVERY = 200
"""Events between two trims."""
ACCOUNT = "account"
IDENTITY = "spool"
LOST = "lost"


@dataclass(frozen=True)
class Bounds:
    """The most that is kept. Confirmed events go at once; unread ones only beyond these bounds."""

    events: int = 50_000
    message_ids: int = 10_000
    """By which a message that the platform delivers a second time is recognised."""
    age: timedelta = timedelta(days=30)
    """Of unread events and of settled sends."""
    sends: int = 50_000


@dataclass(frozen=True)
class Page:
    spool: str
    events: list[Numbered]
    lost: int


class Spool:
    def __init__(self, path: Path, bounds: Bounds) -> None:
        self.file = SpoolFile(path)
        self._bounds = bounds
        self._is_open = False
        self._last_state: StateChanged | None = None
        self._states: dict[int, StateChanged] = {}
        self._since_trim = 0
        self._grown = anyio.Event()

    def wake(self) -> None:
        """Wake everybody who waits for `growth`."""
        self._grown.set()
        self._grown = anyio.Event()

    def growth(self) -> anyio.Event:
        """Return an event that is set as soon as there is something new."""
        return self._grown

    async def open(self) -> None:
        """Drop the states of an earlier run: they are outdated, and their QR codes were never written. Raises SpoolUnavailable."""
        await self.file.write(lambda db: db.execute("DELETE FROM events WHERE is_state"))
        self._is_open = True

    async def append(self, events: Sequence[Event]) -> None:
        """Write the events, all or none; they are on the disk on return. Raises SpoolUnavailable."""
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
                log.warning("the spool was not trimmed: %s", error.detail)

    def _append(self, db: sqlite3.Connection, events: Sequence[Event]) -> dict[int, StateChanged]:
        states: dict[int, StateChanged] = {}
        now = time_text(datetime.now(UTC))
        for event in events:
            if not _is_news(db, event):
                continue
            is_state = isinstance(event, StateChanged)
            # A login code on a disk outlives the login: it stays in memory.
            shown = event.model_copy(update={"qr": None, "pairing_code": None}) if isinstance(event, StateChanged) else event
            added = db.execute("INSERT INTO events (at, is_state, event) VALUES (?, ?, ?)", (now, is_state, json.dumps(slim(shown))))
            if isinstance(event, StateChanged) and added.lastrowid is not None:
                states[added.lastrowid] = event
        return states

    async def page(self, *, after: int | None, spool: str | None, limit: int) -> Page:
        """Return the first events that are not confirmed. `after` first confirms all events up to it, if `spool` is None or names this spool."""
        if after is not None:
            await self.file.write(lambda db: _confirm(db, after, spool))
        return await self.file.read(lambda db: self._page(db, limit))

    def _page(self, db: sqlite3.Connection, limit: int) -> Page:
        rows = db.execute("SELECT seq, event FROM events ORDER BY seq LIMIT ?", (limit,)).fetchall()
        events = [Numbered(seq=row["seq"], event=self._states.get(row["seq"]) or EVENT.validate_json(row["event"], extra="ignore")) for row in rows]
        return Page(_identity(db), events, int(fact(db, LOST) or 0))

    async def identity(self) -> str:
        """Return the name of this file, made with it: another file's numbers mean nothing here. Raises SpoolUnavailable."""
        return await self.file.read(_identity)

    async def trim(self) -> None:
        """Keep to the bounds. Events that are dropped unread are counted and reported. Raises SpoolUnavailable."""
        self._since_trim = 0
        lost = await self.file.write(self._trim)
        if lost:
            log.error("%d events were dropped unread: there were more than the spool keeps", lost)
            await self._report_loss(lost)

    async def _report_loss(self, lost: int) -> None:
        """Append a degraded state that is over at once: a manager records it among the errors of the instance."""
        if self._last_state is not None:
            reason = f"{lost} events were dropped unread: there were more than the spool keeps."
            degraded = StateChanged(state=InstanceState.DEGRADED, reason=reason, account=self._last_state.account)
            await self.append([degraded, self._last_state])

    def _trim(self, db: sqlite3.Connection) -> int:
        bounds, horizon = self._bounds, time_text(datetime.now(UTC) - self._bounds.age)
        _keep_newest(db, "spooled_messages", "number", bounds.message_ids)
        send_ledger.trim(db, bounds.sends, horizon)
        _keep_newest(db, "events", "seq", STATES_KEPT, "AND is_state", "WHERE is_state")
        gone = _keep_newest(db, "events", "seq", bounds.events, "AND NOT is_state", "WHERE NOT is_state")
        gone += db.execute("DELETE FROM events WHERE at < ? AND NOT is_state", (horizon,)).rowcount
        if gone:
            set_fact(db, LOST, str(int(fact(db, LOST) or 0) + gone))
        return gone


def _is_news(db: sqlite3.Connection, event: Event) -> bool:
    """Return whether to spool the event: any but a message that was spooled before. An echo of a send settles it in the ledger."""
    if isinstance(event, StateChanged) and event.account is not None and event.account.id != fact(db, ACCOUNT):
        # Another account's messages may have the same ids.
        db.execute("DELETE FROM spooled_messages")
        set_fact(db, ACCOUNT, event.account.id)
    if not isinstance(event, MessageReceived):
        return True
    if event.client_id is not None:
        send_ledger.settle_by_echo(db, event.client_id, event.message)
    is_new = db.execute("INSERT OR IGNORE INTO spooled_messages (message_id) VALUES (?)", (event.message.id,)).rowcount > 0
    # An echo is spooled again: it may settle a send whose outcome the manager does not know.
    return is_new or event.client_id is not None


def _keep_newest(db: sqlite3.Connection, table: str, column: str, count: int, spare: str = "", among: str = "") -> int:
    """Delete all but the newest `count` rows; return how many went. The other arguments are constants."""
    newest = f"SELECT {column} FROM {table} {among} ORDER BY {column} DESC LIMIT 1 OFFSET ?"  # noqa: S608
    return db.execute(f"DELETE FROM {table} WHERE {column} <= ({newest}) {spare}", (count,)).rowcount  # noqa: S608


def _confirm(db: sqlite3.Connection, after: int, spool: str | None) -> None:
    if spool is None or spool == _identity(db):
        db.execute("DELETE FROM events WHERE seq <= ?", (after,))


def _identity(db: sqlite3.Connection) -> str:
    known = fact(db, IDENTITY)
    if known is None:
        known = str(uuid4())
        set_fact(db, IDENTITY, known)
    return known
