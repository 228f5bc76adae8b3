"""MCP over streamable HTTP: /mcp for everything the caller may see, and /api/v1/instances/{id}/mcp for one instance alone."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from mcp_messenger.app import App
from mcp_messenger.authenticate import authenticate
from mcp_messenger.caller import Caller, instance_of
from mcp_messenger.errors import NotAvailable
from mcp_messenger.faces.guard import MAX_BODY
from mcp_messenger.faces.mcp import MessengerServer
from mcp_messenger.faces.mcp_server import whole_server
from mcp_messenger.faces.problem import send_problem
from providers.errors import MessengerError

Admit = Callable[[Scope], Awaitable[Caller]]


class Gate:
    """Lets a request through to the MCP transport when its caller may come in. Every call is a request of its own, in both eras."""

    def __init__(self, transport: StreamableHTTPASGIApp, admit: Admit) -> None:
        self._transport = transport
        self._admit = admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            caller = await self._admit(scope)
        except MessengerError as error:
            await send_problem(send, error)
            return
        scope["caller"] = caller
        # A session of the older era answers only to who opened it.
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=str(caller), scopes=[]))
        await self._transport(scope, receive, send)


class McpEndpoints:
    """Both endpoints, and what must run while they are served."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._all, self._changes = whole_server(app, _caller_of)
        self._one = MessengerServer(app, _caller_of, instance_id=lambda context: request_of(context).path_params["instance_id"])
        self.all = self._gate(self._all, self._admit)
        self.one = self._gate(self._one, self._admit_to_instance)

    def _gate(self, server: MessengerServer, admit: Admit) -> Gate:
        # Host and Origin are checked for every route by our own guard.
        server.streamable_http_app(
            max_request_body_size=MAX_BODY, transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False)
        )
        return Gate(StreamableHTTPASGIApp(server.session_manager), admit)

    async def _admit(self, scope: Scope) -> Caller:
        return await authenticate(self._app, headers_of(scope))

    async def _admit_to_instance(self, scope: Scope) -> Caller:
        caller = await self._admit(scope)
        row = await instance_of(self._app.database, caller, scope["path_params"]["instance_id"])
        if "mcp" not in row.type_instance:
            raise NotAvailable("This instance does not serve MCP.", hint='Add "mcp" to its type_instance.')
        return caller

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with self._all.session_manager.run(), self._one.session_manager.run(), anyio.create_task_group() as tasks:
            tasks.start_soon(self._changes.run)
            yield
            tasks.cancel_scope.cancel()


async def _caller_of(context: Any) -> Caller:
    return request_of(context).scope["caller"]


def request_of(context: Any) -> Request:
    """The HTTP request behind a context of either kind that the SDK hands out."""
    return getattr(context, "request_context", context).request


def headers_of(scope: Scope) -> dict[str, str]:
    """Header names in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
