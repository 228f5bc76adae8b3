"""The file of the spool: SQLite, by one thread, so that no write holds up the event loop."""

import logging
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from db.errors import StoreUnavailable
from mcp_messenger.alone.schema import SCHEMA

log = logging.getLogger(__name__)

T = TypeVar("T")
JOURNAL_BYTES = 4 * 1024 * 1024


class SpoolUnavailable(StoreUnavailable):
    """The spool cannot be written."""

    next_step = "Make room in the instance's data folder, or make it writable; it goes on by itself then."


class SpoolFile:
    """Opened when first used, and again after trouble.

    Every commit is synced (synchronous=FULL): a platform is told that a message has arrived, and a send is begun, only after that,
    so neither may be gone when the machine loses its power. The lock is exclusive: two programs never share a folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._turn = anyio.CapacityLimiter(1)
        self.trouble: str | None = None
        """Why the last write failed, or None."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Raises SpoolUnavailable."""
        return await anyio.to_thread.run_sync(self._do, work, False, limiter=self._turn)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """In one transaction, on the disk when it returns. Raises SpoolUnavailable, and then nothing was written."""
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
            # Ours, and no trouble of the disk's.
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
        # What a full disk leaves behind may be a connection that goes on failing.
        self._close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Nobody else's to read, nor what SQLite lays beside it.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=1.0)
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
                connection.executescript(SCHEMA)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


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
