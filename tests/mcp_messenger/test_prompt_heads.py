"""The head of a request must come in time; what comes after it is not cut off."""

from collections.abc import AsyncGenerator

import anyio
import pytest
from anyio.abc import SocketStream
from starlette.types import Receive, Scope, Send

from mcp_messenger.net.prompt_heads import PromptHeads
from tests.running import serving_asgi
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK"


class Hurried(PromptHeads):
    head_seconds = 0.5


class Server:
    """Answers when `open` is set."""

    def __init__(self) -> None:
        self.port = 0
        self.open = anyio.Event()
        self.open.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await self.open.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def connect(self) -> SocketStream:
        return await anyio.connect_tcp("127.0.0.1", self.port)


@pytest.fixture
async def server() -> AsyncGenerator[Server]:
    app = Server()
    async with serving_asgi(app, http=Hurried, lifespan="off", timeout_keep_alive=60) as url:
        app.port = int(url.rpartition(":")[2])
        yield app


async def closed(stream: SocketStream) -> bytes:
    """What came before the server closed the connection."""
    came = b""
    with anyio.fail_after(PATIENCE):
        try:
            while True:
                came += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return came


async def answer(stream: SocketStream) -> bytes:
    with anyio.fail_after(PATIENCE):
        return await stream.receive()


async def head_time_passes(server: Server) -> None:
    """A connection that is younger than all others loses its time."""
    async with await server.connect() as younger:
        assert await closed(younger) == b""


@pytest.mark.parametrize("begun", [b"", b"G", HEAD[:-2]])
async def test_a_head_that_does_not_come_whole_is_not_waited_for(server: Server, begun: bytes) -> None:
    async with await server.connect() as stream:
        if begun:
            await stream.send(begun)
        assert await closed(stream) == b""


async def test_a_trickle_does_not_win_time(server: Server) -> None:
    async with await server.connect() as stream:
        for byte in HEAD:
            await stream.send(bytes([byte]))
            with anyio.move_on_after(0.05):
                assert await closed(stream) == b""
                return
        pytest.fail("The whole head was read.")


async def test_a_later_request_on_the_connection_is_timed_from_its_first_byte(server: Server) -> None:
    async with await server.connect() as stream:
        await stream.send(HEAD)
        assert (await answer(stream)).startswith(ANSWER)
        await head_time_passes(server)
        await stream.send(HEAD)
        assert (await answer(stream)).startswith(ANSWER)
        await stream.send(HEAD[:4])
        assert await closed(stream) == b""


async def test_an_answer_may_take_longer(server: Server) -> None:
    server.open = anyio.Event()
    async with await server.connect() as stream:
        await stream.send(HEAD)
        await head_time_passes(server)
        server.open.set()
        assert (await answer(stream)).startswith(ANSWER)
