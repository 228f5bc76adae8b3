"""An instance's own address: `/api/v1/…`, `/mcp`, `/health` and `/docs` of one instance, on a port that knows which.

The paths are rewritten to those under /api/v1/instances/{id}: there is no second set of routes, and nothing else can be reached.
"""

from urllib.parse import quote
from uuid import UUID

from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_messenger.api.problem import send_problem
from mcp_messenger.errors import NoSuchRoute, quoted
from mcp_messenger.instances.addresses import INSTANCE

API = "/api/v1"
OPEN = "address_health"
"""Set in the state of a request that whoever watches the instance may make without a key."""
ASKED = "address_path"
"""The path as the caller gave it, in the state of a request at an instance's address."""
ADDRESS_HINT = "This is the address of one instance: its /docs lists the calls, and the server's own address has those for all instances."
LOGIN = "/login/"
"""Pages that are opened by the secret in their address, here as on the server's own port."""
ROOTS = {"/mcp": "/mcp", "/": "/docs", "/docs": "/docs", "/openapi.json": "/openapi.json", "/health": "/health"}


class InstanceAddress:
    """Passes requests at an instance's address on to the routes of that instance, and all others as they are.

    `fixed`: everything that comes is at the address of that instance.
    """

    def __init__(self, inner: ASGIApp, fixed: UUID | None = None) -> None:
        self._inner = inner
        self._fixed = fixed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        instance_id = self._fixed or address_of(scope)
        if scope["type"] == "websocket" and instance_id is not None:
            # Its own address has the calls of one instance; the event log is the server's.
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http" or instance_id is None:
            await self._inner(scope, receive, send)
            return
        path = _path_of_instance(scope["path"], instance_id)
        if path is None:
            await send_problem(send, NoSuchRoute(f"{scope['method']} {quoted(scope['path'])}: Not Found.", hint=ADDRESS_HINT))
            return
        is_open = scope["path"] in {"/health", f"{API}/health"}
        state = {**scope.get("state", {}), INSTANCE: instance_id, OPEN: is_open, ASKED: scope["path"]}
        await self._inner({**scope, "path": path, "raw_path": quote(path).encode(), "state": state}, receive, send)


def address_of(scope: Scope) -> UUID | None:
    """Return the instance whose address is called; None on the server's own port."""
    return scope.get("state", {}).get(INSTANCE)


def path_asked(scope: Scope) -> str:
    """Return the path as the caller gave it."""
    return scope.get("state", {}).get(ASKED, scope["path"])


def is_open(scope: Scope) -> bool:
    """Return whether the request asks an instance's address for its health."""
    return scope.get("state", {}).get(OPEN, False)


def _path_of_instance(path: str, instance_id: UUID) -> str | None:
    """Return the path on the server's own port; None for what is of no instance."""
    base = f"{API}/instances/{instance_id}"
    if path in ROOTS:
        return base + ROOTS[path]
    if path.startswith(f"{API}/"):
        return base + path.removeprefix(API)
    if path.startswith(LOGIN):
        return path
    # A platform posts to it at the server's path.
    return path if path.startswith("/webhooks/") and path.endswith(f"/{instance_id}") else None
