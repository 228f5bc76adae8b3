"""How often who may call over HTTP: counted when the caller is known, shown in the headers of every answer.

The fields are those of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy: "caller";q=600;w=60` and `RateLimit: "caller";r=599;t=1`.
"""

import ipaddress
import math
from collections.abc import Awaitable, Callable

from mcp_messenger.api.instance_address import is_open
from mcp_messenger.api.middleware import App as Asgi
from mcp_messenger.api.middleware import Message, Receive, Scope, Send
from mcp_messenger.errors import NotAuthenticated
from mcp_messenger.operations.application import App
from mcp_messenger.security.caller import Caller
from mcp_messenger.security.rate_limiter import Allowance
from providers.errors import RateLimited

_KEPT = "mcp_messenger.allowances"
_POLICY = "caller"


async def admitted(app: App, scope: Scope, authenticate: Callable[[], Awaitable[Caller]]) -> Caller:
    """Who calls. Raises NotAuthenticated, and RateLimited for a caller who comes too often."""
    caller, refusal = await counted(app, scope, authenticate)
    if refusal is not None:
        raise refusal
    return caller


async def counted(app: App, scope: Scope, authenticate: Callable[[], Awaitable[Caller]]) -> tuple[Caller, RateLimited | None]:
    """Who calls, and the refusal if this is once too often. Who shows no valid token is counted by address: made-up tokens are no new callers."""
    try:
        caller = await authenticate()
    except NotAuthenticated:
        refusal = await _count(app, scope, address_key(scope))
        if refusal is not None:
            raise refusal from None
        raise
    return caller, await _count(app, scope, _key(caller, scope))


async def _count(app: App, scope: Scope, key: bytes) -> RateLimited | None:
    if is_open(scope):
        # Whoever watches the instance must not be mistaken for somebody who overloads it.
        return None
    allowance = await app.limiter.take(key)
    if allowance is None:
        return None
    scope.get(_KEPT, []).append(allowance)
    if allowance.retry_after is None:
        return None
    wait = math.ceil(allowance.retry_after)
    return RateLimited(wait, f"You called more often than this server allows ({allowance.rate}); nothing was done.")


def _key(caller: Caller, scope: Scope) -> bytes:
    if caller.digest is not None:
        return caller.digest
    # The administrator's token is not kept in the database, not even as a digest.
    return str(caller).encode() if any(name == b"authorization" for name, _ in scope["headers"]) else address_key(scope)


def address_key(scope: Scope) -> bytes:
    """Of an IPv6 address the network: whoever has one has all of its addresses."""
    host = scope["client"][0] if scope.get("client") else ""
    if ":" not in host:
        return f"address:{host}".encode()
    try:
        return f"address:{ipaddress.ip_network((host.partition('%')[0], 64), strict=False)}".encode()
    except ValueError:
        return f"address:{host}".encode()


class RateLimitFields:
    """Tells the caller what is left, on every answer to a request that was counted."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A list, because routers may hand a copy of the scope on.
        allowances: list[Allowance] = []
        scope[_KEPT] = allowances

        async def send_with_fields(message: Message) -> None:
            if allowances and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_fields(allowances[-1])]}
            await send(message)

        await self._app(scope, receive, send_with_fields)


def _fields(allowance: Allowance) -> list[tuple[bytes, bytes]]:
    rate = allowance.rate
    return [
        (b"ratelimit-policy", f'"{_POLICY}";q={rate.calls};w={rate.seconds}'.encode()),
        (b"ratelimit", f'"{_POLICY}";r={allowance.remaining};t={math.ceil(allowance.reset)}'.encode()),
    ]
