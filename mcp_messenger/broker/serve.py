"""Serves the broker's socket until it is stopped."""

import asyncio
import json
import logging
import signal
import socket
import stat
import struct
from contextlib import suppress
from typing import Any, cast

from mcp_messenger.broker.rules import Call, Json, NotTaken, Rules
from mcp_messenger.broker.settings import BrokerConfig
from mcp_messenger.errors import Conflict, InvalidInput
from providers.text import clean_line

log = logging.getLogger(__name__)

LARGEST_BODY = 64 * 1024
"""Bytes; an instance's specification has three thousand."""
CALL_WITHIN = 60.0
STOP_WITHIN = 2.0
ARCHIVES = frozenset({"application/x-tar", "application/tar", "application/octet-stream"})
CREDENTIALS = struct.Struct("3i")
"""Process, user and group of the other end of a socket."""
UNREACHABLE = "The engine does not answer the broker."


async def serve_broker(config: BrokerConfig) -> None:
    """Serve until SIGINT or SIGTERM. Raises InvalidInput where it cannot run, and Conflict where another broker serves."""
    if not hasattr(socket, "SO_PEERCRED"):
        raise InvalidInput("The broker asks the system who calls it, and this system does not say.", hint="Run it on Linux.")
    from aiohttp import ClientSession, ClientTimeout, UnixConnector, web

    listener = _listen(config)
    connector = UnixConnector(str(config.engine), limit=0)
    async with ClientSession(connector=connector, timeout=ClientTimeout(total=None, sock_connect=5)) as engine:
        application = web.Application(client_max_size=LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", Broker(config, engine).handle)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=STOP_WITHIN)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            log.info("the broker listens on %s, for the user %d and the images %s", config.socket, config.uid, ", ".join(sorted(config.images)))
            await _until_stopped()
        finally:
            await runner.cleanup()
            with suppress(OSError):
                config.socket.unlink()


def _listen(config: BrokerConfig) -> socket.socket:
    """Return the listening socket. One that a killed broker has left is replaced. Who may connect is said by the folder and by the peer's user."""
    path = config.socket
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(str(path)) == 0:
                    raise Conflict(f"Another broker serves {path}.", hint="Stop it, or set MCP_MESSENGER_BROKER to another path.")
            path.unlink()
        listener.bind(str(path))
        # Others are refused by their user, which the kernel says.
        path.chmod(0o666)
    except OSError as error:
        raise InvalidInput(f"The broker cannot listen on {clean_line(str(path))}: {error.strerror}.", hint="Set MCP_MESSENGER_BROKER.") from error
    return listener


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


class Broker:
    """Answers as the engine does: what is refused is a 403 with the reason, which a server shows."""

    def __init__(self, config: BrokerConfig, engine: Any) -> None:
        self._config = config
        self._engine = engine
        self._rules = Rules(config, self._find)

    async def handle(self, request: Any) -> Any:
        """Answer one request of aiohttp's."""
        from aiohttp import ClientError

        try:
            self._require_peer(request)
            # Archives are passed on as they come, or not at all.
            body: Json = {} if request.content_type in ARCHIVES else await _body(request)
            call = await self._rules.taken(request.method, request.rel_url.raw_path, _query(request), body)
        except NotTaken as refused:
            log.warning("refused: %s", clean_line(str(refused))[:300])
            return _failed(403, f"The broker does not take {clean_line(str(refused))[:300]}.")
        except (ClientError, OSError, TimeoutError):
            return _failed(503, UNREACHABLE)
        try:
            return await self._pass_on(call, request)
        except (ClientError, OSError, TimeoutError):
            return _failed(503, UNREACHABLE)

    def _require_peer(self, request: Any) -> None:
        """Raises NotTaken for another user than the server's."""
        connection = None if request.transport is None else request.transport.get_extra_info("socket")
        if connection is None:
            raise NotTaken("a caller that has gone")
        _, uid, _ = CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
        if uid != self._config.uid:
            raise NotTaken(f"calls of the user {uid}")

    async def _find(self, path: str) -> Json | None:
        async with asyncio.timeout(CALL_WITHIN), self._engine.get(f"http://engine{path}") as answer:
            if answer.status == 404:
                return None
            found: Any = await answer.json()
            if answer.status != 200 or not isinstance(found, dict):
                raise NotTaken(f"what the engine does not describe ({answer.status})")
            return cast("Json", found)

    async def _pass_on(self, call: Call, request: Any) -> Any:
        from aiohttp import web

        limit = None if call.is_stream or call.is_upload else CALL_WITHIN
        sent: dict[str, Any] = {} if call.body is None else {"json": call.body}
        if call.is_upload or call.content is not None:
            sent = {"data": request.content if call.is_upload else call.content, "headers": {"Content-Type": "application/x-tar"}}
        async with asyncio.timeout(limit), self._engine.request(call.method, f"http://engine{call.path}", params=dict(call.query), **sent) as answer:
            headers = {"Content-Type": answer.headers.get("Content-Type", "application/json")}
            if not call.is_stream:
                return web.Response(status=answer.status, body=await answer.read(), headers=headers)
            response = web.StreamResponse(status=answer.status, headers=headers)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


def _query(request: Any) -> dict[str, str]:
    """Raises NotTaken for a parameter that is there twice: the engine may read the other one."""
    query = request.rel_url.query
    if len(query) != len(set(query)):
        raise NotTaken("a parameter that is given twice")
    return {str(name): str(value) for name, value in query.items()}


async def _body(request: Any) -> Json:
    """Raises NotTaken for what is no JSON object, or is too large."""
    from aiohttp.web import HTTPRequestEntityTooLarge

    try:
        content: bytes = await request.read()
    except HTTPRequestEntityTooLarge:
        raise NotTaken("a body of that size") from None
    try:
        found: Any = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise NotTaken("a body that is no JSON object")
    return cast("Json", found)


def _failed(status: int, message: str) -> Any:
    from aiohttp import web

    return web.json_response({"message": message}, status=status)
