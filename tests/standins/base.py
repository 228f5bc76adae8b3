"""The part that all stand-ins share: a server in the test's event loop that can go down, come back and be waited for."""

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from aiohttp import web

from tests.waiting import PATIENCE


class StandIn(ABC):
    """Runs in the caller's event loop. Leaving it fails when a call was made that the platform does not have."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.host = host
        self.port = port
        self.violations: list[str] = []
        self._tls = tls
        self._news = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.go_down()
        if kind is None:
            assert not self.violations, self.violations

    @abstractmethod
    def routes(self) -> web.Application: ...

    async def come_back(self) -> None:
        """Listen on the port of the last time."""
        self._runner = web.AppRunner(self.routes(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port, ssl_context=self._tls, backlog=2048).start()
        self.port = self._runner.addresses[0][1]

    async def go_down(self) -> None:
        """Answer nobody on the port any more, and cut off whoever waits for an answer."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait for something that the stand-in can see."""
        async with asyncio.timeout(PATIENCE):
            while not happened():
                self._news.clear()
                await self._news.wait()

    def changed(self) -> None:
        """Have those who wait look again."""
        self._news.set()


def hang_up(request: web.Request) -> web.Response:
    """Close the connection in place of an answer."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()
