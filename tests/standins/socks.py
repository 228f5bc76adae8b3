"""A SOCKS5 proxy on 127.0.0.1 (RFC 1928) without a login, which counts who it connected to."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_IPV4, _NAME = 1, 3


@dataclass
class SocksProxy:
    port: int = 0
    targets: list[tuple[str, int]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"socks5://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            version, methods = await reader.readexactly(2)
            assert version == 5
            assert 0 in await reader.readexactly(methods)
            writer.write(b"\x05\x00")
            _, command, _, kind = await reader.readexactly(4)
            assert command == 1
            if kind == _IPV4:
                host = ".".join(map(str, await reader.readexactly(4)))
            else:
                assert kind == _NAME
                host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            port = int.from_bytes(await reader.readexactly(2))
            self.targets.append((host, port))
            there, here = await asyncio.open_connection(host, port)
            writer.write(b"\x05\x00\x00\x01" + bytes(6))
            await asyncio.gather(_pass_on(reader, here), _pass_on(there, writer))
        writer.close()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()


@asynccontextmanager
async def socks_proxy() -> AsyncGenerator[SocksProxy]:
    proxy = SocksProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
