"""Answers quick calls with one JSON body, where the SDK would open an event stream for each: that is half of what such a call costs."""

import json
from contextvars import ContextVar
from typing import Any, cast

from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Message, Receive, Scope

from mcp_messenger.operations.operation import Effect
from mcp_messenger.operations.table import OPERATIONS

QUICK_BODY = 16 * 1024
"""Bytes; what is larger is looked at by the SDK alone."""
QUICK_METHODS = frozenset({"ping", "tools/list", "resources/list", "resources/templates/list", "resources/read", "prompts/list"})
QUICK_TOOLS = frozenset(one.name for one in OPERATIONS if one.effect is Effect.READ and not one.patient)
"""They report no progress, and ask the person at the client nothing: both need a stream."""

as_json: ContextVar[bool] = ContextVar("as_json", default=False)
"""Of the request that is being answered."""


class _Transport(StreamableHTTPServerTransport):
    """A session that decides with each request how it is answered."""

    @property
    def is_json_response_enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] - the SDK decides once
        return as_json.get()

    @is_json_response_enabled.setter
    def is_json_response_enabled(self, value: bool) -> None:
        pass


class SessionManager(StreamableHTTPSessionManager):
    """The SDK's manager, which decides with each request how it is answered, in both eras of the protocol."""

    @property
    def json_response(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] - the SDK decides once
        return as_json.get()

    @json_response.setter
    def json_response(self, value: bool) -> None:
        pass

    def _admit_session(self, requestor: Any) -> StreamableHTTPServerTransport | None:
        transport = super()._admit_session(requestor)
        if transport is not None:
            transport.__class__ = _Transport
        return transport


async def choose(scope: Scope, receive: Receive) -> Receive:
    """Set for this request whether it is answered as JSON; return its body again."""
    as_json.set(False)
    if scope["method"] != "POST":
        return receive
    first = await receive()
    if first["type"] == "http.request" and not first.get("more_body"):
        as_json.set(is_quick(first.get("body", b"")))
    waiting = [first]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def is_quick(body: bytes) -> bool:
    """Return whether a request needs no stream for its answer; False for what cannot be read."""
    if len(body) > QUICK_BODY:
        return False
    try:
        call = _object(json.loads(body))
    except (ValueError, RecursionError):
        return False
    method = call.get("method")
    if method != "tools/call":
        return isinstance(method, str) and method in QUICK_METHODS
    params = _object(call.get("params"))
    name = params.get("name")
    return isinstance(name, str) and name in QUICK_TOOLS and "progressToken" not in _object(params.get("_meta"))


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
