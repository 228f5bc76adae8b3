"""Memory for files on their way, shared by all callers: who comes when it is full waits."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from providers.errors import RateLimited

WAIT = 30.0
AGAIN_AFTER = 10
"""Seconds."""


class ByteRoom:
    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._changed = anyio.Event()

    @asynccontextmanager
    async def share(self) -> AsyncGenerator["Share"]:
        """Give a part of the room, which is free again at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self._free += share.size
            changed, self._changed = self._changed, anyio.Event()
            changed.set()

    async def take(self, size: int) -> int:
        """Return how much was taken, once there is so much: all there is for what is larger. Raises RateLimited after WAIT seconds."""
        wanted = min(size, self._size)
        with anyio.move_on_after(WAIT):
            while self._free < wanted:
                await self._changed.wait()
            self._free -= wanted
            return wanted
        raise RateLimited(AGAIN_AFTER, "Too many files are on their way at once; nothing was sent.")


class Share:
    """Of one caller."""

    def __init__(self, room: ByteRoom) -> None:
        self._room = room
        self.size = 0

    async def take(self, size: int) -> None:
        self.size += await self._room.take(size)
