"""Wake-ups from other processes over LISTEN. A hint only: a transaction-mode pooler swallows them, and then polling is all there is."""

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, LiteralString
from uuid import uuid4

import anyio

from db.errors import translated

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow

log = logging.getLogger(__name__)

PROBE_SECONDS = 2.0
LISTEN: LiteralString = """LISTEN mcp_messenger_events; LISTEN mcp_messenger_instances; LISTEN mcp_messenger_outbox; LISTEN mcp_messenger_calls;
    LISTEN mcp_messenger_keys"""
UNLISTEN: LiteralString = "UNLISTEN *"
PROBE: LiteralString = "SELECT pg_notify('mcp_messenger_instances', %(probe)s)"


async def wakeups(url: str) -> AsyncIterator[tuple[str, str]]:
    """Yield (channel, payload) as they come: first ("", "") once they are known to arrive. End when they do not, or the connection breaks.

    Raises StoreUnavailable when PostgreSQL cannot be reached.
    """
    from db.pool import connect

    with translated():
        async with await connect(url) as connection:
            await connection.execute(LISTEN)
            if not await _is_told(connection, url):
                log.info("no wake-ups through this connection (a transaction-mode pooler?); polling instead")
                await connection.execute(UNLISTEN)
                return
            yield "", ""
            while True:
                # Asked to wait, psycopg looks ten times a second.
                await anyio.wait_readable(connection.fileno())
                async for note in connection.notifies(timeout=0):
                    yield note.channel, note.payload


async def _is_told(connection: "AsyncConnection[TupleRow]", url: str) -> bool:
    """Return whether notifications of another connection arrive here. Our own would arrive through any pooler."""
    from db.pool import connect

    probe = f"probe:{uuid4()}"
    async with await connect(url) as other:
        await other.execute(PROBE, {"probe": probe})
    # Others' wake-ups may come first; the probe is the last word.
    async with aclosing(connection.notifies(timeout=PROBE_SECONDS)) as notes:
        async for note in notes:
            if note.payload == probe:
                return True
    return False
