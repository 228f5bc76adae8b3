"""Between a program and its PostgreSQL: a proxy on 127.0.0.1 that can hang up, hold everything, and let it through again."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

import pytest


class Proxy:
    def __init__(self, socket_path: str, path: str) -> None:
        self._socket_path = socket_path
        self._path = path
        self._port = 0
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: set[asyncio.Task[None]] = set()
        self.refused: int | None = None
        """How many connections were cut off since `refuse`; None: none are."""
        self.taken = 0
        """How many were not."""

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}{self._path}"

    async def come_back(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def go_down(self) -> None:
        """Nobody answers any more, and what was connected is cut off."""
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def refuse(self) -> None:
        """What is connected is cut off, and so is each new connection; they are counted."""
        self.refused = 0
        for task in self._connections:
            task.cancel()

    def accept(self) -> None:
        """Take connections again."""
        self.refused = None

    def hang(self) -> None:
        """Connections stay, and new ones are taken; nothing goes through."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refused is not None:
            self.refused += 1
            writer.transport.abort()
            return
        self.taken += 1
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        there, here = await asyncio.open_unix_connection(self._socket_path)
        ways = [asyncio.ensure_future(self._pass_on(reader, here)), asyncio.ensure_future(self._pass_on(there, writer))]
        with suppress(asyncio.CancelledError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        here.transport.abort()
        writer.transport.abort()
        self._connections.discard(task)

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                await self._flowing.wait()
                target.write(data)
                await target.drain()


@asynccontextmanager
async def proxied(url: str) -> AsyncGenerator[Proxy]:
    """Skipped where the server has no socket in the file system."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if "host" not in query:
        pytest.skip("the embedded PostgreSQL has no socket here")
    proxy = Proxy(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}", parts.path)
    await proxy.come_back()
    try:
        yield proxy
    finally:
        await proxy.go_down()
