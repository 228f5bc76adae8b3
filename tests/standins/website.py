"""A web server on the loopback interface that answers as a test tells it, honestly or not."""

import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream


@dataclass(frozen=True)
class Page:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    endless: bool = False
    """Sends `body` again and again until the client goes away."""
    silent: bool = False
    """Takes the request and never answers."""


class Website:
    """`pages` by path; `requests` are the heads that came; `hung_up` is set when a client left in the middle of an answer."""

    def __init__(self, pages: Mapping[str, Page], tls: ssl.SSLContext | None, host: str) -> None:
        self.pages = pages
        self.requests: list[str] = []
        self.sent = 0
        self.hung_up = anyio.Event()
        self.port = 0
        self._tls = tls
        self._host = host

    def url(self, path: str, *, host: str | None = None) -> str:
        return f"{'https' if self._tls else 'http'}://{host or self._host}:{self.port}{path}"

    async def answer(self, plain: SocketStream) -> None:
        async with plain:
            try:
                stream = await TLSStream.wrap(plain, server_side=True, ssl_context=self._tls) if self._tls else plain
                head = b""
                while b"\r\n\r\n" not in head:
                    head += await stream.receive()
                self.requests.append(head.decode())
                await self._send(stream, self.pages[head.split()[1].decode()])
            except (anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError):
                self.hung_up.set()

    async def _send(self, stream: SocketStream | TLSStream, page: Page) -> None:
        if page.silent:
            await anyio.sleep_forever()
        headers = {"Connection": "close", **({} if page.endless else {"Content-Length": str(len(page.body))}), **page.headers}
        lines = [f"HTTP/1.1 {page.status} Whatever", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        await stream.send("\r\n".join(lines).encode())
        await stream.send(page.body)
        while page.endless:
            await stream.send(page.body)
            self.sent += len(page.body)


@asynccontextmanager
async def website(pages: Mapping[str, Page], *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncGenerator[Website]:
    site = Website(pages, tls, host)
    async with await anyio.create_tcp_listener(local_host=host) as listener, anyio.create_task_group() as tasks:
        site.port = listener.extra(SocketAttribute.local_port)
        tasks.start_soon(listener.serve, site.answer)
        yield site
        tasks.cancel_scope.cancel()
