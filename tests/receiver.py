"""A receiver of webhooks on the loopback interface that answers as a test tells it, and checks signatures with the library."""

import json
import socket
import struct
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream
from standardwebhooks import Webhook


@dataclass(frozen=True)
class Answer:
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    """Sent as it is in the place of an answer, and then the connection is closed."""
    reset: bool = False
    """The connection is broken off with nothing said."""
    until: anyio.Event | None = None
    """Answers only when this is set."""


@dataclass(frozen=True)
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def payload(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.payload["data"]["message"]["text"]

    def verify(self, secret: str | bytes) -> None:
        """Raises WebhookVerificationError."""
        Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """`posted` are the requests in their order; `answers` are given one by one, and `usual` when there are none."""

    def __init__(self) -> None:
        self.posted: list[Posted] = []
        self.answers: deque[Answer] = deque()
        self.usual = Answer()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.posted]

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            buffered = b""
            try:
                while True:
                    while b"\r\n\r\n" not in buffered:
                        buffered += await stream.receive()
                    head, _, buffered = buffered.partition(b"\r\n\r\n")
                    first, *lines = head.decode("latin-1").split("\r\n")
                    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                    while len(buffered) < int(headers["content-length"]):
                        buffered += await stream.receive()
                    body, buffered = buffered[: int(headers["content-length"])], buffered[int(headers["content-length"]) :]
                    method, path, _ = first.split()
                    assert method == "POST"
                    self.posted.append(Posted(path, headers, body))
                    if not await self._answer(stream, self.answers.popleft() if self.answers else self.usual):
                        return
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async def _answer(self, stream: SocketStream, answer: Answer) -> bool:
        """Whether the connection goes on."""
        if answer.until is not None:
            await answer.until.wait()
        if answer.reset:
            stream.extra(SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if answer.raw is not None:
            await stream.send(answer.raw)
            return False
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        lines = [f"HTTP/1.1 {answer.status} Whatever", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        await stream.send("\r\n".join(lines).encode() + answer.body)
        return True


@asynccontextmanager
async def receiver() -> AsyncGenerator[Receiver]:
    found = Receiver()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        found.port = listener.extra(SocketAttribute.local_port)
        tasks.start_soon(listener.serve, found.serve)
        yield found
        tasks.cancel_scope.cancel()
