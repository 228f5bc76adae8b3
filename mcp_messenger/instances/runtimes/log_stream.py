"""New log lines of a container or service, as they come."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from mcp_messenger.errors import EngineAway, EngineRefused
from mcp_messenger.instances.runtimes.containers import readable
from mcp_messenger.instances.runtimes.engine import Engine

FOLLOW_AGAIN = 0.5
FOLLOWED_LINES = 5000

Begin = Callable[[float, Any], Iterable[bytes]]
"""Starts the engine's stream from a Unix time on, with the SDK's low-level client."""


@asynccontextmanager
async def followed(engine: Engine, begin: Begin) -> AsyncGenerator[deque[str]]:
    """Append new lines as long as it is open, also when the container is stopped and started, or replaced."""
    lines: deque[str] = deque(maxlen=FOLLOWED_LINES)
    reading = asyncio.create_task(_read_on(engine, begin, lines))
    try:
        yield lines
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def _read_on(engine: Engine, begin: Begin, lines: deque[str]) -> None:
    since = time.time()
    while True:
        with suppress(EngineAway, EngineRefused):
            async with engine.stream(partial(begin, since)) as chunks:
                async for line in _lines(chunks):
                    lines.append(line)
        since = time.time()
        await anyio.sleep(FOLLOW_AGAIN)


async def _lines(chunks: MemoryObjectReceiveStream[bytes]) -> AsyncGenerator[str]:
    """Whole lines; the engine sends what was written at once."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield readable(line)
