"""What every HTTP request passes before it reaches REST or MCP. Pure ASGI, so answers stream through untouched."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any

import anyio

from mcp_messenger.api.problem import send_problem
from mcp_messenger.errors import BodyTooSlow, InvalidInput, PayloadTooLarge, ShuttingDown, WrongHost, WrongOrigin, quoted
from providers.errors import MessengerError
from providers.kit.json_size import JsonSize

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 80 * 1024 * 1024
BODY_GRACE = 30.0
BODY_RATE = 16 * 1024
"""Bytes that must have come for each second after the grace: the slowest of mobile connections is faster."""

PAGES = ("/approve/", "/add/", "/login/")
"""Under these are the pages that a link in a chat leads a person to."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OTHER_SITES = frozenset({"cross-site", "same-site"})
"""Of Sec-Fetch-Site; the same site on another port is another program."""
_AUTHORITY = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\[\]:/?#@\s]+)(?::(?P<port>[0-9]{1,5}))?")


class HostGuard:
    """Answers only to names this server is known by, so that no page can reach it by pointing its own name at it.

    Loopback names are always known, on every port. An entry of `allowed_hosts` is `name`, meaning every port, or `name:port`.
    A page (an Origin header) must come from the address it calls, or from a host in `allowed_hosts`. What a browser sends for another
    site's page without an Origin, such as the address of an image, is refused too, but for links that lead a person to `pages`, or to one
    under one of `prefixes`.
    """

    def __init__(
        self, app: App, *, allowed_hosts: Sequence[str] = (), pages: Sequence[str] = ("/", "/docs"), prefixes: Sequence[str] = PAGES
    ) -> None:
        self._app = app
        self._allowed = frozenset(host.lower() for host in allowed_hosts)
        self._pages = frozenset(pages)
        self._prefixes = tuple(prefixes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await send_problem(send, refusal)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> MessengerError | None:
        hosts = _headers(scope, b"host")
        here = _authority(hosts[0]) if len(hosts) == 1 else None
        if here is None or not (here[0] in _LOOPBACK or self._is_allowed(here)):
            return WrongHost(f"This server does not answer to the host name {quoted(', '.join(hosts))}.")
        origins = _headers(scope, b"origin")
        for origin in origins:
            scheme, _, rest = origin.partition("://")
            there = _authority(rest) if scheme in ("http", "https") else None
            if there is None or not (_same(here, there) or self._is_allowed(there)):
                return WrongOrigin(f"Pages of {quoted(origin)} may not call this server.")
        if not origins and _OTHER_SITES & set(_headers(scope, b"sec-fetch-site")) and not self._is_followed_link(scope):
            return WrongOrigin("Pages of other sites may not call this server.")
        return None

    def _is_followed_link(self, scope: Scope) -> bool:
        is_page = scope["path"] in self._pages or scope["path"].startswith(self._prefixes)
        return _headers(scope, b"sec-fetch-dest") == ["document"] and scope.get("method") == "GET" and is_page

    def _is_allowed(self, authority: tuple[str, str]) -> bool:
        name, port = authority
        return name in self._allowed or f"{name}:{port}" in self._allowed


class BodyLimit:
    """Refuses request bodies of more bytes than `limit`, or than that of the longest of `prefixes` the path starts with, and JSON of too many values.

    Bodies of `files` are no JSON.

    One that trickles in is cut off: `grace` seconds after the application began to read, BODY_RATE bytes must have come for each further second.
    """

    def __init__(
        self,
        app: App,
        *,
        limit: int = MAX_BODY,
        prefixes: Mapping[str, int] | None = None,
        files: Collection[str] = (),
        grace: float = BODY_GRACE,
    ) -> None:
        self._app = app
        self._files = frozenset(files)
        self._grace = grace
        self._limits = [*sorted((prefixes or {}).items(), key=lambda item: -len(item[0])), ("", limit)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = next(limit for prefix, limit in self._limits if scope["path"].startswith(prefix))
        announced = _headers(scope, b"content-length")
        if announced and announced[0].isdecimal() and int(announced[0]) > limit:
            await send_problem(send, PayloadTooLarge(limit, what="The request"))
            return
        exchange = _LimitedExchange(receive, send, limit, self._grace, is_json=scope["path"] not in self._files)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except* _Refused:
            pass  # answered already


class SecurityHeaders:
    """No sniffing, no framing, no referrer; answers are not stored, but for those at the paths of `public`."""

    def __init__(self, app: App, *, public: frozenset[str] = frozenset({"/", "/docs", "/openapi.json"})) -> None:
        self._app = app
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_private = scope["path"] not in self._public

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _secured(list(message.get("headers", ())), is_private)}
            await send(message)

        await self._app(scope, receive, send_with_headers)


class CutOffAnswer:
    """Answers a request that is cut off because the server stops: uvicorn cancels it, and would say that the server broke."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_begun = False

        async def watched(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except anyio.get_cancelled_exc_class():
            if is_begun or scope["type"] != "http":
                raise
            # The task ends with this answer, so the cancellation has its effect.
            await send_problem(send, ShuttingDown())


class _Refused(Exception):
    """Ends the application's reading. Its own type, so that it is distinct from everything else the application raises."""


class _LimitedExchange:
    """One request whose body is counted and timed as it comes. Refused, it is answered here and the application no longer heard."""

    def __init__(self, receive: Receive, send: Send, limit: int, grace: float, *, is_json: bool) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._grace = grace
        self._since: float | None = None
        self._whole = False
        self._seen = 0
        self._size = JsonSize() if is_json else None
        self._answering = False
        self._over = False

    async def receive(self) -> Message:
        # After the body there is only a client that hangs up to wait for.
        message = await self._receive() if self._whole else await self._in_time()
        self._seen += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._seen > self._limit:
            raise await self._refused(PayloadTooLarge(self._limit, what="The request"))
        fault = None if self._size is None else self._size.add(message.get("body", b"")) or (self._size.nested() if self._whole else None)
        if fault is not None:
            raise await self._refused(InvalidInput(f"The body {fault}.", hint="Send less in one request."), status=HTTPStatus.BAD_REQUEST)
        return message

    async def _in_time(self) -> Message:
        now = anyio.current_time()
        self._since = now if self._since is None else self._since
        with anyio.move_on_at(self._since + self._grace + self._seen / BODY_RATE):
            return await self._receive()
        raise await self._refused(BodyTooSlow(f"Only {self._seen:,} bytes came in {anyio.current_time() - self._since:.0f} s."))

    async def _refused(self, error: MessengerError, *, status: int | None = None) -> _Refused:
        if not self._over and not self._answering:
            await send_problem(self._send, error, status=status)
        self._over = True
        return _Refused()

    async def send(self, message: Message) -> None:
        if self._over:
            return
        self._answering = True
        await self._send(message)


def _secured(headers: list[tuple[bytes, bytes]], is_private: bool) -> list[tuple[bytes, bytes]]:
    """A policy of the application's own stays beside ours: browsers enforce both."""
    headers += [(b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"frame-ancestors 'none'"), (b"x-frame-options", b"DENY")]
    present = {name.lower() for name, _ in headers}
    if b"referrer-policy" not in present:
        headers.append((b"referrer-policy", b"no-referrer"))
    if is_private and b"cache-control" not in present:
        headers.append((b"cache-control", b"no-store"))
    return headers


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _authority(text: str) -> tuple[str, str] | None:
    """Name and port ("" for the scheme's own) of a Host header."""
    match = _AUTHORITY.fullmatch(text.lower())
    return (match["name"].rstrip("."), match["port"] or "") if match else None


def _same(here: tuple[str, str], there: tuple[str, str]) -> bool:
    names = {here[0], there[0]}
    return here[1] == there[1] and (len(names) == 1 or names <= _LOOPBACK)
