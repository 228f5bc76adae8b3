"""The chat page: a person's phone on the other side, served on 127.0.0.1."""

import asyncio
import base64
import hashlib
import re
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from urllib.parse import quote

import anyio
import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from providers.errors import MessengerError
from providers.part_server import PartServer
from providers.sandbox.acts import ACT, perform
from providers.sandbox.event_queue import EventQueue
from providers.sandbox.login import Login
from providers.sandbox.phone import Phone
from providers.sandbox.view import view
from providers.sandbox.world import World
from providers.text import clean_line
from providers.words import Words, words_for

MAX_FILE = 16 * 2**20
_MAX_ACT = 64 * 2**10
_HEARTBEAT = 10.0
_SHOWN_INLINE = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp"} | {"audio/mpeg", "audio/ogg", "audio/mp4", "audio/wav"} | {"video/mp4", "video/webm"}
)
_COMMON_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
    "X-Content-Type-Options": "nosniff",
}

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Listener:
    socket: socket.socket
    address: str


def listen(world: World, port: int) -> Listener:
    """Take `port`, or where it is 0 the port of the last time, or any. Raises OSError where a port that was asked for is taken."""
    listener = _take(port or int(world.fact("page_port") or 0), or_any=port == 0)
    taken = listener.getsockname()[1]
    world.set_fact("page_port", str(taken))
    return Listener(listener, f"http://127.0.0.1:{taken}")


def _take(port: int, *, or_any: bool) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        if not or_any:
            raise
        return socket.create_server(("127.0.0.1", 0))


class Page:
    """The token in its path is what admits a person; the Host header is checked against pages that rebind their name to 127.0.0.1."""

    def __init__(self, world: World, phone: Phone, queue: EventQueue, login: Login, listener: Listener) -> None:
        self._world = world
        self._phone = phone
        self._queue = queue
        self._login = login
        self._listener = listener
        self._closing = anyio.Event()

    async def serve(self) -> None:
        """Until cancelled; then open streams end and the port is free."""
        config = uvicorn.Config(self._app(), log_config=None, access_log=False, lifespan="off", ws="none", server_header=False, proxy_headers=False)
        config.timeout_graceful_shutdown = 2
        server = PartServer(config)
        serving = asyncio.create_task(server.serve(sockets=[self._listener.socket]))
        try:
            await asyncio.shield(serving)
        finally:
            self._closing.set()
            server.should_exit = True
            with anyio.CancelScope(shield=True):
                await serving

    def close(self) -> None:
        """Give the port back, whether or not it was ever served."""
        self._listener.socket.close()

    def _app(self) -> Starlette:
        routes = [
            Route("/link/{word}", self._door),
            Route("/{token}/", self._admit(self._html)),
            Route("/{token}/state", self._admit(self._state)),
            Route("/{token}/events", self._admit(self._events)),
            Route("/{token}/acts", self._admit(self._act), methods=["POST"]),
            Route("/{token}/files", self._admit(self._upload), methods=["POST"]),
            Route("/{token}/files/{ref}", self._admit(self._file)),
        ]
        return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])])

    def _admit(self, handler: Handler) -> Handler:
        async def admitted(request: Request) -> Response:
            if not secrets.compare_digest(request.path_params["token"].encode(), self._world.page_token.encode()):
                raise HTTPException(404)
            if request.method == "POST" and request.headers.get("origin") not in {None, _origin(request)}:
                raise HTTPException(403, "This comes from another page.")
            try:
                response = await handler(request)
            except MessengerError as error:
                response = JSONResponse({"detail": error.detail, "hint": error.hint}, status_code=409)
            response.headers.update(_COMMON_HEADERS)
            return response

        return admitted

    async def _door(self, request: Request) -> Response:
        """What a QR code leads to: as long as it is the current one, to the page."""
        if not self._login.is_current(request.path_params["word"]):
            say = _words(request).say
            return PlainTextResponse(say("This QR code is not valid any more. Scan the one that is shown now."), 410, headers=_COMMON_HEADERS)
        return RedirectResponse(f"/{self._world.page_token}/", 303, headers=_COMMON_HEADERS)

    async def _html(self, request: Request) -> Response:
        html, policy = _page(_words(request))
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    async def _state(self, request: Request) -> Response:
        return JSONResponse(view(self._world, self._phone, self._queue.state, request.query_params.get("chat"), _words(request).say))

    async def _events(self, request: Request) -> Response:
        return StreamingResponse(self._ticks(), media_type="text/event-stream")

    async def _ticks(self) -> AsyncIterator[str]:
        """The version of the world at every change of it, and at least every 10 s."""
        yield "retry: 1000\n\n"
        version = -1
        while not self._closing.is_set():
            with anyio.move_on_after(_HEARTBEAT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._until_closing, tasks.cancel_scope)
                    version = await self._world.changed_since(version)
                    tasks.cancel_scope.cancel()
            yield f"data: {version}\n\n"

    async def _until_closing(self, scope: anyio.CancelScope) -> None:
        await self._closing.wait()
        scope.cancel()

    async def _act(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415)
        try:
            act = ACT.validate_json(await _body(request, _MAX_ACT))
        except ValidationError as error:
            return JSONResponse({"detail": error.errors(include_url=False, include_input=False, include_context=False)}, status_code=422)
        return JSONResponse(perform(act, self._world, self._phone, self._login))

    async def _upload(self, request: Request) -> Response:
        content = await _body(request, MAX_FILE)
        mime = clean_line(request.headers.get("content-type", "")) or "application/octet-stream"
        name = clean_line(request.query_params.get("name", "")) or "file"
        return JSONResponse({"file": self._world.add_file(content, mime, name)})

    async def _file(self, request: Request) -> Response:
        file = self._world.file(request.path_params["ref"])
        inline = file.mime in _SHOWN_INLINE
        return Response(
            file.content,
            media_type=file.mime if inline else "application/octet-stream",
            headers={
                "Content-Disposition": f"{'inline' if inline else 'attachment'}; filename*=UTF-8''{quote(file.name, safe='')}",
                "Content-Security-Policy": "default-src 'none'; sandbox",
            },
        )


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', '')}"


async def _body(request: Request, limit: int) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise HTTPException(413, f"At most {limit} bytes.")
    return bytes(content)


def _words(request: Request) -> Words:
    return words_for(request.headers.get("accept-language"))


@cache
def _page(words: Words) -> tuple[str, str]:
    """The page in a language, and the policy that runs its own script and style and nothing else."""
    source = files("providers.sandbox").joinpath("page.html").read_text(encoding="utf-8")
    root = f'<html lang="{words.language}" data-words="{escape(words.of_script(source))}">'
    html = words.filled(source).replace("<html>", root)
    policy = (
        f"default-src 'none'; script-src {_digest('script', html)}; style-src {_digest('style', html)}; img-src 'self' data:; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html, policy


def _digest(tag: str, html: str) -> str:
    inside = re.search(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    assert inside is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()}'"
