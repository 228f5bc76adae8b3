"""Connections to PostgreSQL, shared by the whole process."""

import select
import sys
from typing import TYPE_CHECKING, LiteralString

from db import connection_settings
from db.connection_settings import connection_string
from db.errors import translated

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

MAX_IDLE = 300.0
MAX_LIFETIME = 1800.0


async def connect(url: str) -> "AsyncConnection[TupleRow]":
    """Open one connection outside the pool, set up like the pool's. Raises the driver's errors and StoreUnavailable."""
    from psycopg import AsyncConnection

    connection = await AsyncConnection.connect(connection_string(url), autocommit=True, prepare_threshold=None)
    try:
        await connection_settings.prepare(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


async def open_pool(url: str, *, min_size: int, max_size: int, patience: float = POOL_TIMEOUT) -> "AsyncConnectionPool[AsyncConnection[TupleRow]]":
    """Return a pool that has reached PostgreSQL; the caller closes it.

    Connections are in autocommit mode. They prepare statements where they end at PostgreSQL itself, and nothing where a pooler is between:
    in transaction mode the next statement may meet another session, which does not have them. `patience` is in seconds.
    Raises StoreUnavailable when no connection comes about in that time.
    """
    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow
    from psycopg_pool import AsyncConnectionPool

    pool: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
        connection_string(url),
        kwargs={"autocommit": True, "prepare_threshold": None},
        min_size=min_size,
        max_size=max_size,
        open=False,
        configure=_configure,
        check=_check,
        timeout=patience,
        max_idle=MAX_IDLE,
        max_lifetime=MAX_LIFETIME,
        reconnect_timeout=RECONNECT_TIMEOUT,
        reconnect_failed=AsyncConnectionPool.check,
        name="store",
    )
    try:
        with translated():
            await pool.open(wait=True, timeout=patience)
    except BaseException:
        await pool.close()
        raise
    return pool


async def _configure(connection: "AsyncConnection[TupleRow]") -> None:
    await connection_settings.prepare(connection)
    row = await (await connection.execute(OWN_PROCESS)).fetchone()
    # A pooler gives its clients process numbers of its own making, for their requests to cancel.
    if row is not None and row[0] == connection.info.backend_pid:
        connection.prepare_threshold = PREPARE_AFTER
        connection.prepared_max = PREPARED_MAX


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
