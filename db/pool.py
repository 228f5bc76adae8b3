"""Connections to PostgreSQL, shared by the whole process."""

import select
import sys
from functools import cache
from typing import TYPE_CHECKING, LiteralString

from db import connection_settings
from db.connection_settings import connection_string
from db.errors import translated
from db.own_schema import session_options

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow
    from psycopg_pool import AsyncConnectionPool

POOL_TIMEOUT = 15.0
"""Seconds that a caller waits for a free connection, and the start for the first one."""

RECONNECT_TIMEOUT = 4.0
"""Seconds until the pool restarts its attempts: it pauses twice as long after each, so the end of a long outage would go unnoticed."""

PREPARE_AFTER = 2
"""How often a connection runs a statement before it has PostgreSQL keep it: parsing and planning cost more than most of ours do."""

PREPARED_MAX = 300
"""Statements that a connection keeps; more than we have, so that none is thrown out and prepared again."""

OWN_PROCESS: LiteralString = "SELECT pg_backend_pid()"

PREPARED_AS: LiteralString = "SELECT name FROM pg_prepared_statements WHERE statement LIKE '%pg_prepared_statements%'"
FORGET_ALL: LiteralString = "DEALLOCATE ALL"
DRIVERS_NAME = "_pg3_"
"""How the names begin that psycopg gives to prepared statements."""

MAX_IDLE = 300.0
MAX_LIFETIME = 1800.0


async def connect(url: str) -> "AsyncConnection[TupleRow]":
    """Open one connection outside the pool, set up like the pool's. Raises the driver's errors and StoreUnavailable."""
    from psycopg import AsyncConnection

    connection = await AsyncConnection.connect(connection_string(url), autocommit=True, prepare_threshold=None, **session_options(url))
    try:
        await connection_settings.prepare(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


async def open_pool(url: str, *, min_size: int, max_size: int, patience: float = POOL_TIMEOUT) -> "AsyncConnectionPool[AsyncConnection[TupleRow]]":
    """Return a pool that has reached PostgreSQL; the caller closes it.

    Connections are in autocommit mode. They prepare statements where they end at PostgreSQL itself, and where a pooler is between that carries
    them from session to session: in transaction mode the next statement may meet one that does not have them. `patience` is in seconds.
    Raises StoreUnavailable when no connection comes about in that time.
    """
    pool = _pool_class()(
        connection_string(url),
        kwargs={"autocommit": True, "prepare_threshold": None, **session_options(url)},
        min_size=min_size,
        max_size=max_size,
        open=False,
        configure=_configure,
        check=_check,
        timeout=patience,
        max_idle=MAX_IDLE,
        max_lifetime=MAX_LIFETIME,
        reconnect_timeout=RECONNECT_TIMEOUT,
        reconnect_failed=_pool_class().check,
        name="store",
    )
    try:
        with translated():
            await pool.open(wait=True, timeout=patience)
    except BaseException:
        await pool.close()
        raise
    return pool


@cache
def _pool_class() -> "type[AsyncConnectionPool[AsyncConnection[TupleRow]]]":
    """Return the driver's pool, but for which connection is taken. Late, for what it imports costs time at the start."""
    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow
    from psycopg_pool import AsyncConnectionPool

    class LastReturnedFirst(AsyncConnectionPool[AsyncConnection[TupleRow]]):
        """Takes the connection that was used last: its server process is warm. The driver takes all in turn; it closes the one unused for longest."""

        async def _get_ready_connection(self, timeout: float | None) -> "AsyncConnection[TupleRow] | None":  # noqa: ASYNC109 - as the driver has it
            self._pool.rotate()
            return await super()._get_ready_connection(timeout)

    return LastReturnedFirst


async def _configure(connection: "AsyncConnection[TupleRow]") -> None:
    await connection_settings.prepare(connection)
    row = await (await connection.execute(OWN_PROCESS)).fetchone()
    # A pooler gives its clients process numbers of its own making, for their requests to cancel.
    if (row is not None and row[0] == connection.info.backend_pid) or await _is_carried(connection):
        connection.prepare_threshold = PREPARE_AFTER
        connection.prepared_max = PREPARED_MAX


async def _is_carried(connection: "AsyncConnection[TupleRow]") -> bool:
    """Return whether the pooler between carries prepared statements to whichever session the next transaction gets.

    PgBouncer from 1.21 on does where `max_prepared_statements` is set, and gives them names of its own making. The driver has all of them
    forgotten after a rollback, which PgBouncer understands from 1.22 on: both are tried, in one transaction, and nothing stays behind.
    """
    from psycopg.errors import DuplicatePreparedStatement, InvalidSqlStatementName

    connection.prepare_threshold = 0
    try:
        async with connection.transaction():
            for _ in range(2):
                found = await (await connection.execute(PREPARED_AS, prepare=True)).fetchall()
                # All that this session has: under the names that the driver gives, they are there as they were sent.
                is_renamed = bool(found) and not any(name.startswith(DRIVERS_NAME) for (name,) in found)
                await connection.execute(FORGET_ALL, prepare=False)
                if not is_renamed:
                    return False
        return True
    except (DuplicatePreparedStatement, InvalidSqlStatementName):
        return False
    finally:
        connection.prepare_threshold = None


async def _check(connection: "AsyncConnection[TupleRow]") -> None:
    """Ask only a server that has spoken unasked, as it does when it ends the connection: asking each time would double the price of a read."""
    from psycopg_pool import AsyncConnectionPool

    if _has_input(connection.fileno()):
        await AsyncConnectionPool.check_connection(connection)


def _has_input(descriptor: int) -> bool:
    if sys.platform == "win32":
        return bool(select.select([descriptor], [], [], 0)[0])
    # select() takes no descriptor above 1023, and a process with many instances has thousands.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
