"""The log lines of instances, for get_logs: what supervisor and provider say of each is stored, so that every server can show it."""

import asyncio
import logging
from collections import deque
from datetime import UTC, datetime
from uuid import UUID

import anyio

from db import instance_logs
from db.database import Database
from db.instance_logs import LogLine
from mcp_messenger.observability.logs import Formatter

WRITE_AFTER = 1.0
"""Seconds in which lines are collected."""
UNWRITTEN = 200
"""Lines of one instance that wait for the store; the oldest are left out."""
INSTANCES = 2000
LINE_MAX = 4000
"""Characters."""


class Logbook(logging.Handler):
    """Keeps records that carry an `instance_id`, formatted and redacted like the log itself, until they are stored."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(Formatter(json=False))
        self._lines: dict[UUID, deque[LogLine]] = {}
        self._news = anyio.Event()
        self._writing = anyio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            instance_id = UUID(getattr(record, "instance_id", ""))
        except (ValueError, TypeError, AttributeError):
            return
        if instance_id not in self._lines and len(self._lines) >= INSTANCES:
            return
        line = self.format(record)[:LINE_MAX]
        self._lines.setdefault(instance_id, deque(maxlen=UNWRITTEN)).append((instance_id, datetime.fromtimestamp(record.created, UTC), line))
        # Threads log too.
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    async def write(self, database: Database) -> None:
        """Store what waits, and return when what was being stored before is there too. Raises StoreUnavailable; it waits on then."""
        self._loop = asyncio.get_running_loop()
        async with self._writing:
            self._news = anyio.Event()
            taken = self._take()
            try:
                await instance_logs.append(database, [line for lines in taken.values() for line in lines])
            except BaseException:
                self._give_back(taken)
                raise

    async def wait(self) -> None:
        """Return when there is something to store, and a little later, since lines seldom come alone."""
        await self._news.wait()
        await anyio.sleep(WRITE_AFTER)

    def unwritten(self, instance_id: UUID) -> list[str]:
        """Return the lines of an instance that the store does not have yet, oldest first."""
        return [line for _, _, line in self._lines.get(instance_id, ())]

    def _take(self) -> dict[UUID, deque[LogLine]]:
        self.acquire()
        try:
            taken, self._lines = self._lines, {}
        finally:
            self.release()
        return taken

    def _give_back(self, taken: dict[UUID, deque[LogLine]]) -> None:
        self.acquire()
        try:
            for instance_id, lines in taken.items():
                self._lines[instance_id] = deque([*lines, *self._lines.get(instance_id, ())], maxlen=UNWRITTEN)
        finally:
            self.release()
