"""Listens on TCP ports and serves an ASGI application until it is stopped."""

import asyncio
import errno
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import anyio
import uvicorn
from starlette.types import ASGIApp

from mcp_messenger.config import Config
from mcp_messenger.errors import Conflict
from mcp_messenger.net.prompt_heads import PromptHeads
from providers.part_server import PartServer

log = logging.getLogger(__name__)

DRAIN_SECONDS = 5
BACKLOG = 2048
ACCEPTS_AT_ONCE = 1
"""What asyncio calls a server's backlog. It accepts as many connections at a time, and where the process has no descriptor left, it fails,
logs and sets a timer as often."""
CLIENT_FRAME_MAX = 4096
"""Bytes of a WebSocket's message from a client, which has nothing to say there."""
DESCRIPTORS = 65536
"""Open files that a server asks for: each connection, bot and address is one."""


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens there. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # TCP by name, or asyncio leaves Nagle's algorithm on, and an answer in two writes takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            # There it would let another program take the port over.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def bind(config: Config, option: str = "--port") -> tuple[socket.socket, Config]:
    """Return a listening socket, before anything costly is started, and the settings with the port it really has.

    Raises Conflict, which names the command's option for the port.
    """
    try:
        listener = listening_socket(config.host, config.port)
    except OSError as error:
        raise Conflict(
            f"Port {config.port} of {config.host} cannot be used: {error.strerror}.", hint=f"Stop what uses it, or give another with {option}."
        ) from error
    return listener, replace(config, port=listener.getsockname()[1])


def descriptors() -> int:
    """Raise this process's limit of open files as far as it may by itself, and return it."""
    try:
        import resource
    except ImportError:  # Windows, which counts sockets apart
        return DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return DESCRIPTORS
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def open_files() -> tuple[int, int]:
    """Return how many files this process has open, and how many it may open. Windows counts sockets apart: none are open there."""
    try:
        import resource
    except ImportError:
        return 0, DESCRIPTORS
    import psutil

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return psutil.Process().num_fds(), DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
ACCEPT_LOG_SECONDS = 60.0

Listen = Callable[[int, Mapping[str, Any]], Awaitable[Callable[[], None]]]
"""Serves the same application on one more port, with values for the state of each of its requests; returns how to stop. Raises OSError."""


def _nothing() -> None:
    pass


class _Server(PartServer):
    def __init__(self, config: uvicorn.Config, ends: Callable[[], None], welcome: Callable[[], None], host: str) -> None:
        super().__init__(config)
        self._ends = ends
        self._welcome = welcome
        self._host = host
        self._up = anyio.Event()
        self._most = descriptors() // 2

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)
        if self.started:
            self._welcome()
        self._up.set()

    async def listen(self, port: int, state: Mapping[str, Any]) -> Callable[[], None]:
        """Serve on one more port, from when the server is up until the returned function is called. Connections outlive that call.

        Raises OSError where the port cannot be had, and where half of the files that this process may open are listening sockets.
        """
        await self._up.wait()
        if len(self.servers) >= self._most:
            raise OSError(errno.EMFILE, f"This process may open {2 * self._most} files; raise the limit (ulimit -n)")
        app_state = {**self.lifespan.state, **state}

        def protocol() -> asyncio.Protocol:
            return PromptHeads(config=self.config, server_state=self.server_state, app_state=app_state)

        listener = listening_socket(self._host, port)
        listening = await asyncio.get_running_loop().create_server(protocol, sock=listener, backlog=ACCEPTS_AT_ONCE)
        listener.listen(BACKLOG)
        self.servers.append(listening)
        if self.should_exit:
            # It may have closed the others already.
            listening.close()

        def close() -> None:
            self.servers.remove(listening)
            listening.close()

        return close

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ends()
        await super().shutdown(sockets)


async def run_server(
    asgi: ASGIApp,
    listener: socket.socket,
    *,
    begins: Callable[[uvicorn.Server], None] | None = None,
    ends: Callable[[], None] = _nothing,
    welcome: Callable[[], None] = _nothing,
    beside: Callable[[Listen], Coroutine[Any, Any, None]] | None = None,
    proxies: Sequence[IPv4Network | IPv6Network] = (),
) -> None:
    """Serve until SIGINT or SIGTERM; what is in flight gets a few seconds to end.

    `begins` is given the server; `ends` is called first of all when it stops, for answers that would go on for ever; `welcome` once
    it answers and a signal ends it in order. `beside` runs as long as it serves, and may have it listen on more sockets.
    Only of `proxies` X-Forwarded-For is believed: from anybody else it would choose the caller's address.
    """
    # The routes and their models stay too: the collector need not walk them again and again while it serves.
    gc.freeze()
    config = uvicorn.Config(
        asgi,
        http=PromptHeads,
        log_config=None,
        access_log=False,
        backlog=ACCEPTS_AT_ONCE,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=[str(proxy) for proxy in proxies],
        ws="auto",
        ws_max_size=CLIENT_FRAME_MAX,
    )
    server = _Server(config, ends, welcome, listener.getsockname()[0])
    if begins is not None:
        begins(server)
    async with anyio.create_task_group() as tasks:
        if beside is not None:
            tasks.start_soon(beside, server.listen)
        with _stopped_by_signals(server), _accept_errors_counted():
            await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


@contextmanager
def _accept_errors_counted() -> Generator[None]:
    """Log connections that the process has no descriptor for once in a while with their number: asyncio logs a traceback for each try."""
    loop = asyncio.get_running_loop()
    previous = loop.get_exception_handler()
    failures, silent_until = 0, 0.0

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal failures, silent_until
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in OUT_OF_RESOURCES and "accept" in context.get("message", "")):
            if previous is None:
                loop.default_exception_handler(context)
            else:
                previous(loop, context)
            return
        failures += 1
        if loop.time() >= silent_until:
            log.error("%d times no connection could be accepted: %s; raise the limit of open files (ulimit -n)", failures, error.strerror)
            failures, silent_until = 0, loop.time() + ACCEPT_LOG_SECONDS

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(previous)


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
