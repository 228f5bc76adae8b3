"""The advisory locks of PostgreSQL that this program takes, by number. Another program on the same database must not use these numbers.

Numbers are not changed: two versions of this program may work on one database, and have to agree.
"""

from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    from psycopg import AsyncConnection

EVENT_LOG = 7019830104723521
"""Guards the event log, from the first change of a message until the commit: events are numbered in the order of their commits.

It is taken before any row is locked, so that two writers never wait for one another crosswise. One for each database.
"""

MIGRATIONS = 0x6D6D_0001
"""Guards the schema while one file of a migration runs. One for each database."""

SEARCH_INDEX = 0x6D6D_0003
"""Guards the index of words while one batch of messages is stored in it, so that a search waits for the batch that is under way."""

AUDIT_CHAIN = 0x6D6D_0004
"""Guards the chain of the audit log while one process seals what was added. Who adds to the log does not take it."""

EMBEDDED_USERS = 0x6D6D_0002
"""Counts the users of an embedded server: each holds it shared, so whoever gets it alone is the last one and stops the server.

The server frees it when a process dies.
"""

# For a transaction of several statements: everybody waits for its end, so the server ends it when its process is frozen or cut off.
HOLD_LOG: LiteralString = """
    SELECT set_config('idle_in_transaction_session_timeout', '5s', true), pg_advisory_xact_lock(%(event_log)s)"""


async def hold_log(connection: "AsyncConnection[Any]") -> None:
    """Take the event log's lock until the transaction of this connection ends. Take it before any row is locked."""
    await connection.execute(HOLD_LOG, {"event_log": EVENT_LOG})
