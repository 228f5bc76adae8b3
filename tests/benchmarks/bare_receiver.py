"""A receiver of webhooks that does nothing but answer and remember when each id came first; GET gives that, and forgets it."""

import asyncio
import json
import re
import time

came: dict[str, float] = {}
HEAD = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
ID = re.compile(rb"webhook-id: (\S+)", re.IGNORECASE)


class Receiver(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffered = b""

    def data_received(self, data: bytes) -> None:
        self._buffered += data
        while (end := self._buffered.find(b"\r\n\r\n")) >= 0:
            head, length = self._buffered[:end], HEAD.search(self._buffered[:end])
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffered) < whole:
                return
            self._buffered = self._buffered[whole:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        if head.startswith(b"GET"):
            body = json.dumps(came).encode()
            came.clear()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        else:
            found = ID.search(head)
            assert found is not None
            came.setdefault(found[1].decode(), time.monotonic())
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
