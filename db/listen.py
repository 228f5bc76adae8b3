"""Wake-ups from other processes over LISTEN. A hint only: a transaction-mode pooler swallows them, and then polling is all there is."""

import logging
from collections.abc import AsyncIterator
from typing import LiteralString
from uuid import uuid4

from db.errors import translated

log = logging.getLogger(__name__)

PROBE_SECONDS = 2.0
LISTEN: LiteralString = "LISTEN mcp_messenger_events; LISTEN mcp_messenger_instances; LISTEN mcp_messenger_outbox; LISTEN mcp_messenger_calls"
PROBE: LiteralString = "SELECT pg_notify('mcp_messenger_instances', %(probe)s)"


async def wakeups(url: str) -> AsyncIterator[tuple[str, str]]:
    """(channel, payload) as they come. The first is ("", "") once they are known to arrive; ends when they do not, or the connection breaks.

    Raises StoreUnavailable when PostgreSQL cannot be reached.
    """
    from db.pool import connect

    with translated():
        async with await connect(url) as connection:
            await connection.execute(LISTEN)
            probe = f"probe:{uuid4()}"
            await connection.execute(PROBE, {"probe": probe})
            # Others' wake-ups may come first; the probe is the last word on whether ours arrive.
            async for note in connection.notifies(timeout=PROBE_SECONDS):
                if note.payload == probe:
                    break
            else:
                log.info("no wake-ups through this connection (a transaction-mode pooler?); polling instead")
                return
            yield "", ""
            async for note in connection.notifies():
                yield note.channel, note.payload
