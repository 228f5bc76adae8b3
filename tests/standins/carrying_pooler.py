"""A pooler that carries prepared statements as PgBouncer does from 1.22 on: each under a name of its own making, in every session.

It has one session of PostgreSQL for each client, of which the client sees another process number.
"""

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

SSL_REQUEST = 80877103


@asynccontextmanager
async def carrying_pooler(socket: str) -> AsyncGenerator[int]:
    """Serve in front of the PostgreSQL server at this Unix socket; give the port."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await _serve(reader, writer, socket)
        writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket: str) -> None:
    length, code = struct.unpack("!II", await reader.readexactly(8))
    if code == SSL_REQUEST:
        writer.write(b"N")
        length, code = struct.unpack("!II", await reader.readexactly(8))
    ours, theirs = await asyncio.open_unix_connection(socket)
    theirs.write(struct.pack("!II", length, code) + await reader.readexactly(length - 8))
    back = asyncio.create_task(_back(ours, writer))
    try:
        while True:
            kind, body = await _message(reader)
            theirs.write(_framed(kind, _renamed(kind, body)))
    finally:
        back.cancel()
        theirs.close()


async def _back(ours: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        kind, body = await _message(ours)
        writer.write(_framed(kind, b"\0\0\0\1" + body[4:] if kind == b"K" else body))


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, length = struct.unpack("!cI", await reader.readexactly(5))
    return kind, await reader.readexactly(length - 4)


def _framed(kind: bytes, body: bytes) -> bytes:
    return struct.pack("!cI", kind, len(body) + 4) + body


def _renamed(kind: bytes, body: bytes) -> bytes:
    """Return a message with the name of a prepared statement as the server knows it; the nameless one keeps none."""
    match kind:
        case b"P":
            name, rest = body.split(b"\0", 1)
            return _name(name) + b"\0" + rest
        case b"B":
            portal, name, rest = body.split(b"\0", 2)
            return b"\0".join([portal, _name(name), rest])
        case b"D" | b"C" if body[:1] == b"S":
            return b"S" + _name(body[1:-1]) + b"\0"
        case _:
            return body


def _name(name: bytes) -> bytes:
    return b"PGBOUNCER_" + name.rpartition(b"_")[2] if name else name
