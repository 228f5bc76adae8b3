"""The file of the spool: SQLite, used by one thread at a time, so that no write holds up the event loop."""

import logging
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from mcp_messenger.errors import ApplicationError

log = logging.getLogger(__name__)

T = TypeVar("T")
JOURNAL_BYTES = 4 * 1024 * 1024

# Times are ISO 8601 in UTC, so that they sort as text; events and answers are JSON.
SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, is_state INTEGER NOT NULL, event TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS sends (
    client_id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, at TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('begun', 'done', 'failed', 'unknown')), answer TEXT
);
CREATE INDEX IF NOT EXISTS sends_by_time ON sends (at);

CREATE TABLE IF NOT EXISTS spooled_messages (number INTEGER PRIMARY KEY, message_id TEXT NOT NULL UNIQUE);
"""

FORMER_TABLES = ("chats", "contacts", "messages", "states", "qr_codes", "errors")
"""Of the archive that earlier versions kept in the same file. They make them again where they are missing."""


class SpoolUnavailable(ApplicationError):
    """The spool cannot be used."""

    code = "store_unavailable"
    next_step = "Make room in the instance's data folder, or make it writable; the relay goes on by itself then."


class SpoolFile:
    """Opens the file when it is first used, and again after a failure.

    Every commit is synced (synchronous=FULL): a platform's message is confirmed, and a send is tried, only after the commit, so neither
    may be gone when the machine loses its power. The lock is exclusive: two relays never share a folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._turn = anyio.CapacityLimiter(1)
        self.trouble: str | None = None
        """Why the last use failed, or None."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of `work`. Raises SpoolUnavailable."""
        return await anyio.to_thread.run_sync(self._do, work, False, limiter=self._turn)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in one transaction, which is on the disk on return. Raises SpoolUnavailable, and then nothing was written."""
        return await anyio.to_thread.run_sync(self._do, work, True, limiter=self._turn)

    async def close(self) -> None:
        await anyio.to_thread.run_sync(self._close, limiter=self._turn)

    def _do(self, work: Callable[[sqlite3.Connection], T], is_write: bool) -> T:
        try:
            connection = self._open()
            if not is_write:
                return work(connection)
            with _transaction(connection):
                result = work(connection)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError):
            # A fault of the relay's statements, and not of the disk.
            raise
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
            raise SpoolUnavailable(f"The spool cannot be {'written' if is_write else 'read'}: {self.trouble}.") from error
        if self.trouble is not None:
            log.warning("the spool can be written again")
            self.trouble = None
        return result

    def _fail(self, error: Exception) -> None:
        words = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if self.trouble is None:
            log.error("the spool cannot be used: %s", words)
        self.trouble = words
        # After a full disk a connection may go on failing when there is room again.
        self._close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Readable by this user alone, and so are the files that SQLite puts beside it.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=1.0)
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
                connection.executescript(SCHEMA)
                _drop_archive(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _drop_archive(connection: sqlite3.Connection) -> None:
    """Take from an earlier version's archive which messages were spooled, and drop the archive."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'messages'").fetchone() is None:
        return
    with _transaction(connection):
        connection.execute(
            """INSERT OR IGNORE INTO spooled_messages (message_id)
            SELECT platform_id FROM messages WHERE spooled AND platform_id IS NOT NULL ORDER BY id"""
        )
        for table in FORMER_TABLES:
            connection.execute(f"DROP TABLE IF EXISTS {table}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def fact(db: sqlite3.Connection, key: str) -> str | None:
    """Return a single value, or None."""
    row = db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
    return None if row is None else row[0]


def set_fact(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value))


def time_text(at: datetime) -> str:
    """Return a time as text of one length, in UTC, which sorts like the time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
