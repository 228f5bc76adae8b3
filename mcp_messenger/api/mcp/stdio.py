"""MCP over stdio: for a client on this computer, which is its user's. Stdout belongs to the protocol."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.stdio import stdio_server

from mcp_messenger.api.mcp.full_server import whole_server
from mcp_messenger.operations.application import App
from mcp_messenger.security.caller import ADMIN, Caller


async def _local_user(context: Any) -> Caller:
    return ADMIN


async def serve_stdio(app: App) -> None:
    """Until the client closes its end, or a signal asks for the end."""
    server, changes = whole_server(app, _local_user)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(changes.run)
        with _ended_by_signals(tasks.cancel_scope):
            async with (
                _lines(_claimed_stdin()) as lines,
                stdio_server(stdin=lines) as (received, sent),  # pyright: ignore[reportArgumentType] - all it does is iterate
            ):
                await server.low.run(received, sent, server.low.create_initialization_options())
        tasks.cancel_scope.cancel()


@contextmanager
def _ended_by_signals(scope: anyio.CancelScope) -> Generator[None]:
    """SIGTERM by itself would end the process at once, and leave the embedded store running."""
    loop = asyncio.get_running_loop()

    def end(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(scope.cancel)

    previous = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _claimed_stdin() -> TextIO:
    """Stdin for us alone: whoever reads descriptor 0 from now on, such as a child process, finds nothing there."""
    own = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    return os.fdopen(own, encoding="utf-8", errors="replace", newline="\n")


def _lines(source: TextIO) -> MemoryObjectReceiveStream[str]:
    """Read by a thread that nobody waits for: a read that is under way cannot be called off, and a signal must end us all the same."""
    send, receive = anyio.create_memory_object_stream[str]()
    threading.Thread(target=_read, args=(source, send, current_token()), name="stdin", daemon=True).start()
    return receive


def _read(source: TextIO, send: MemoryObjectSendStream[str], token: EventLoopToken) -> None:
    with suppress(anyio.BrokenResourceError, anyio.RunFinishedError):
        for line in source:
            from_thread.run(send.send, line, token=token)
        from_thread.run_sync(send.close, token=token)
