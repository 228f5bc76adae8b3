"""MCP over streamable HTTP: /mcp for everything the caller may see, and /api/v1/instances/{id}/mcp for one instance alone."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from mcp_messenger.api.authentication import authenticate, headers_of, peer_of
from mcp_messenger.api.mcp import json_answers
from mcp_messenger.api.mcp.full_server import whole_server
from mcp_messenger.api.mcp.json_answers import SessionManager
from mcp_messenger.api.mcp.server import MessengerServer
from mcp_messenger.api.middleware import MAX_BODY
from mcp_messenger.api.problem import send_problem
from mcp_messenger.api.rate_limits import counted
from mcp_messenger.errors import NotAvailable
from mcp_messenger.operations import turns
from mcp_messenger.operations.application import App
from mcp_messenger.security.caller import Caller, instance_of
from providers.errors import MessengerError, RateLimited

TOOL_CALL = b"tools/call"
Admit = Callable[[Scope], Awaitable[Caller]]


class Gate:
    """Lets a request through to the MCP transport when its caller may come in. Every call is a separate request, in both eras."""

    def __init__(self, app: App, transport: StreamableHTTPASGIApp, admit: Admit) -> None:
        self._app = app
        self._transport = transport
        self._admit = admit
        self._turns = turns.Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Before anything is awaited: that may take longer for the first of two calls than for the second.
        turn = scope["turn"] = self._turns.take(_client_of(scope))
        try:
            await self._admitted(scope, _ending_others(receive, turn), send)
        finally:
            turn.end()

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            caller, refusal = await counted(self._app, scope, lambda: self._admit(scope))
            if refusal is not None:
                receive = await _for_a_model(receive, refusal)
        except MessengerError as error:
            await send_problem(send, error)
            return
        scope["caller"], scope["refusal"] = caller, refusal
        # A session of the older era answers only to who opened it.
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=str(caller), scopes=[]))
        await self._transport(scope, await json_answers.choose(scope, receive), send)


def _ending_others(receive: Receive, turn: turns.Turn) -> Receive:
    """End the turn of what is no tool call: it may go on for ever, as a stream that the client listens to does."""
    seen = b""

    async def watched() -> Message:
        nonlocal seen
        message = await receive()
        # What is looked for may be cut in two by the pieces.
        found = TOOL_CALL in (seen := seen[-len(TOOL_CALL) :] + message.get("body", b""))
        if found:
            seen = TOOL_CALL
        elif not message.get("more_body"):
            turn.end()
        return message

    return watched


def _client_of(scope: Scope) -> Hashable:
    """Return whose calls keep their order: those of a session, or else those that come from one address with one key."""
    headers = headers_of(scope)
    return headers.get("mcp-session-id") or (headers.get("authorization"), peer_of(scope))


def manager_of(server: MessengerServer) -> SessionManager:
    # Host and Origin are checked for every route by our own guard.
    server.streamable_http_app(max_request_body_size=MAX_BODY, transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False))
    made = server.session_manager
    return SessionManager(made.app, security_settings=made.security_settings, max_request_body_size=made.max_request_body_size)


class McpEndpoints:
    """Both endpoints, and what must run while they are served."""

    def __init__(self, app: App, server: type[MessengerServer] = MessengerServer) -> None:
        self._app = app
        self.server, self._changes = whole_server(app, caller_of, server)
        self._one = MessengerServer(app, caller_of, instance_id=lambda context: request_of(context).path_params["instance_id"])
        self._managers = manager_of(self.server), manager_of(self._one)
        self.all, self.one = (
            Gate(app, StreamableHTTPASGIApp(manager), admit)
            for manager, admit in zip(self._managers, (self._admit, self._admit_to_instance), strict=True)
        )
        self.end_streams = self._changes.end

    async def _admit(self, scope: Scope) -> Caller:
        return await authenticate(self._app, scope)

    async def _admit_to_instance(self, scope: Scope) -> Caller:
        caller = await self._admit(scope)
        row = await instance_of(self._app.database, caller, scope["path_params"]["instance_id"])
        if "mcp" not in row.type_instance:
            raise NotAvailable("This instance does not serve MCP.", hint='Add "mcp" to its type_instance.')
        return caller

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        everything, of_one = self._managers
        async with everything.run(), of_one.run(), anyio.create_task_group() as tasks:
            tasks.start_soon(self._changes.run)
            yield
            tasks.cancel_scope.cancel()


async def caller_of(context: Any) -> Caller:
    scope = request_of(context).scope
    if scope["refusal"] is not None:
        raise scope["refusal"]
    return scope["caller"]


async def _for_a_model(receive: Receive, refusal: RateLimited) -> Receive:
    """The request again, if it is a tool call: its answer tells the model. Raises the refusal for any other, which is for the client."""
    messages: list[Message] = []
    while not messages or messages[-1].get("more_body"):
        messages.append(await receive())
    try:
        asked = json.loads(b"".join(message.get("body", b"") for message in messages))
    except (ValueError, RecursionError):
        raise refusal from None
    if not isinstance(asked, dict) or cast("dict[str, Any]", asked).get("method") != "tools/call":
        raise refusal

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return again


def request_of(context: Any) -> Request:
    """The HTTP request behind a context of either kind that the SDK hands out."""
    return getattr(context, "request_context", context).request
