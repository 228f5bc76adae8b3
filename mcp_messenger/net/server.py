"""Listens on a TCP port and serves an ASGI application until it is stopped."""

import gc
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace

import uvicorn
from starlette.types import ASGIApp

from mcp_messenger.config import Config
from mcp_messenger.errors import Conflict
from mcp_messenger.net.prompt_heads import PromptHeads
from providers.part_server import PartServer

DRAIN_SECONDS = 5
BACKLOG = 2048


def bind(config: Config) -> tuple[socket.socket, Config]:
    """A listening socket, before anything costly is started, and the settings with the port it really has. Raises Conflict."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # TCP by name, or asyncio leaves Nagle's algorithm on, and an answer in two writes takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        # There it would let another program take the port over.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Conflict(
            f"Port {config.port} of {config.host} cannot be used: {error.strerror}.", hint="Stop what uses it, or give another with --port."
        ) from error
    return listener, replace(config, port=listener.getsockname()[1])


def _nothing() -> None:
    pass


class _Server(PartServer):
    def __init__(self, config: uvicorn.Config, ends: Callable[[], None]) -> None:
        super().__init__(config)
        self._ends = ends

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ends()
        await super().shutdown(sockets)


async def run_server(
    asgi: ASGIApp, listener: socket.socket, *, begins: Callable[[uvicorn.Server], None] | None = None, ends: Callable[[], None] = _nothing
) -> None:
    """Serve until SIGINT or SIGTERM; what is under way gets a few seconds to end.

    `begins` is told who serves; `ends` is called first of all when it stops, for answers that would go on for ever.
    """
    # The routes and their models stay too: the collector need not walk them again and again while it serves.
    gc.freeze()
    config = uvicorn.Config(
        asgi, http=PromptHeads, log_config=None, access_log=False, timeout_graceful_shutdown=DRAIN_SECONDS, server_header=False, ws="none"
    )
    server = _Server(config, ends)
    if begins is not None:
        begins(server)
    with _stopped_by_signals(server):
        await server.serve(sockets=[listener])


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Generator[None]:
    """uvicorn raises the signal again when it is done, which would cut our own clean-up short."""
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in previous:
        # Open event streams end early because they find the server behind this very method.
        signal.signal(number, server.handle_exit)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
