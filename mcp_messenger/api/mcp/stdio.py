"""MCP over stdio: for a client on this computer, which is its user's. Stdout belongs to the protocol."""

import asyncio
import codecs
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

import anyio
from anyio import from_thread, to_thread
from anyio.lowlevel import EventLoopToken, current_token
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter
from pydantic import ValidationError

from mcp_messenger.api.mcp.early import EarlyServer
from mcp_messenger.config import Config
from mcp_messenger.operations.plain import fault
from providers.kit.json_size import oversize

if TYPE_CHECKING:
    from mcp_messenger.api.mcp.pushing import Pushing
    from mcp_messenger.api.mcp.server import Authenticate, MessengerServer
    from mcp_messenger.api.mcp.subscriptions import Changes
    from mcp_messenger.operations.application import App
    from mcp_messenger.security.caller import Caller


class Opened(Protocol):
    """Opens the application; leaving it, the application ends."""

    def __call__(self, config: Config) -> AbstractAsyncContextManager["App"]: ...


async def serve_stdio(config: Config, load: Callable[[], Opened], *, load_after: float, channel: Sequence[str] | None = None) -> None:
    """Serve until the client closes its end, or a signal asks for the end.

    `load` imports the application: for the first request that needs it, or after `load_after` seconds. `channel`: push what comes in for these
    instances, or for all where none is named. Raises InvalidInput for a toolset that does not exist.
    """
    early, ended = EarlyServer(config), anyio.Event()
    pushing = None if channel is None else _pushing(channel)
    async with anyio.create_task_group() as background:
        background.start_soon(_run_application, config, load, load_after, early, ended, pushing)
        try:
            await _serve_client(early, pushing)
        finally:
            ended.set()
            # Nobody waits for it any more.
            early.wanted.set()


def _pushing(names: Sequence[str]) -> "Pushing":
    from mcp_messenger.api.mcp.pushing import Pushing

    return Pushing(names)


async def _run_application(
    config: Config, load: Callable[[], Opened], load_after: float, early: EarlyServer, ended: anyio.Event, pushing: "Pushing | None"
) -> None:
    with anyio.move_on_after(load_after):
        await early.wanted.wait()
    if ended.is_set():
        return
    # In a thread: what can be answered without it is answered meanwhile.
    opened, whole_server = await to_thread.run_sync(_loaded, load)
    if ended.is_set():
        return
    from mcp_messenger.api.pages.on_demand import pages_on_demand

    async with opened(config) as app, pages_on_demand(app), anyio.create_task_group() as tasks:
        server, changes = whole_server(app, _local_user)
        tasks.start_soon(changes.run)
        early.complete(server.low)
        if pushing is not None:
            tasks.start_soon(pushing.run, app, tasks)
        await ended.wait()
        tasks.cancel_scope.cancel()


def _loaded(load: Callable[[], Opened]) -> "tuple[Opened, Callable[[App, Authenticate], tuple[MessengerServer, Changes]]]":
    """Import the application without looking for garbage meanwhile, since what is imported stays."""
    gc.disable()
    try:
        from mcp_messenger.api.mcp.full_server import whole_server

        opened = load()
        gc.freeze()
    finally:
        gc.enable()
    return opened, whole_server


async def _local_user(context: Any) -> "Caller":
    from mcp_messenger.security.caller import ADMIN

    return ADMIN


async def _serve_client(early: EarlyServer, pushing: "Pushing | None") -> None:
    server = early.low
    async with anyio.create_task_group() as tasks:
        with _ended_by_signals(tasks.cancel_scope):
            send, received = anyio.create_memory_object_stream[SessionMessage | Exception]()
            # The SDK drops a line that it cannot read, and its client would wait for the answer for ever: we read the lines.
            async with (
                _lines(_claimed_stdin()) as lines,
                stdio_server(stdin=_no_lines()) as (_, sent),  # pyright: ignore[reportArgumentType] - all it does is iterate
                received,
            ):
                tasks.start_soon(_read_messages, lines, send, sent.send)
                options = server.create_initialization_options() if pushing is None else pushing.options(server, sent.send)
                await server.run(received, sent, options)
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


def _claimed_stdin() -> BinaryIO:
    """Stdin for us alone: whoever reads descriptor 0 from now on, such as a child process, finds nothing there."""
    own = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    return os.fdopen(own, "rb")


async def _no_lines() -> AsyncIterator[str]:
    for line in ():
        yield line


async def _read_messages(
    lines: MemoryObjectReceiveStream[bytes],
    send: MemoryObjectSendStream[SessionMessage | Exception],
    answer: Callable[[SessionMessage], Awaitable[None]],
) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with send:
            async for line in lines:
                fault = oversize(line)
                if fault is not None:
                    await answer(SessionMessage(_refusal(None, INVALID_REQUEST, f"The line {fault}. Send less in one call.")))
                    continue
                try:
                    message = jsonrpc_message_adapter.validate_json(line.removeprefix(codecs.BOM_UTF8), by_name=False)
                except ValidationError as error:
                    await answer(SessionMessage(refusal_of(line, error)))
                else:
                    await send.send(SessionMessage(message))


def refusal_of(line: bytes, error: ValidationError) -> JSONRPCError:
    """Return the answer to a line that is no message of the protocol. Its id is None where none can be read."""
    if error.errors(include_url=False)[0]["type"] != "json_invalid":
        return _refusal(None, INVALID_REQUEST, "The line is no JSON-RPC message.")
    try:
        line.decode()
    except UnicodeDecodeError:
        return _refusal(None, PARSE_ERROR, "The line is not UTF-8.")
    try:
        # It lets through what is JSON by its grammar and yet no text: a half of a surrogate pair.
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        return _refusal(None, PARSE_ERROR, "The line is not JSON.")
    id: Any = cast("dict[str, Any]", found).get("id") if isinstance(found, dict) else None
    words = "A string holds half of a surrogate pair, such as half an emoji (\\ud83c), which is no text. Send whole characters."
    return _refusal(id if isinstance(id, int | str) and fault(id) is None else None, INVALID_PARAMS, words)


def _refusal(id: int | str | None, code: int, message: str) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=id, error=ErrorData(code=code, message=message))


def _lines(source: BinaryIO) -> MemoryObjectReceiveStream[bytes]:
    """Read by a thread that nobody waits for: a read that is under way cannot be called off, and a signal must end us all the same."""
    send, receive = anyio.create_memory_object_stream[bytes]()
    threading.Thread(target=_read, args=(source, send, current_token()), name="stdin", daemon=True).start()
    return receive


def _read(source: BinaryIO, send: MemoryObjectSendStream[bytes], token: EventLoopToken) -> None:
    with suppress(anyio.BrokenResourceError, anyio.RunFinishedError):
        for line in source:
            from_thread.run(send.send, line, token=token)
        from_thread.run_sync(send.close, token=token)
