"""A web server that is a part of a program."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import anyio
import uvicorn

TICK = 1.0
"""Seconds between two updates of the Date header; uvicorn itself looks ten times as often whether it shall stop."""


class PartServer(uvicorn.Server):
    """Leaves signals to the program, and sleeps until it is asked to stop."""

    _is_stopping = False
    _loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._asked = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    @property
    def should_exit(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] - uvicorn sets it from a signal handler too
        return self._is_stopping

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._is_stopping = value
        if value and self._loop is not None and not self._loop.is_closed():
            # From a signal handler nothing else wakes the loop.
            self._loop.call_soon_threadsafe(self._asked.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with anyio.move_on_after(TICK):
                await self._asked.wait()
