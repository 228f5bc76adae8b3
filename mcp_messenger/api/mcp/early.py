"""Answers what a client asks first, before the application is imported; its other requests wait for the application.

A client starts the server, and shows its user an error where the list of tools takes long. Importing the SDK takes most of the start, and can
not be put off; the application is imported behind the first answers.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp.server import Server, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware
from mcp.types import (
    CallToolRequestParams,
    CompleteRequestParams,
    GetPromptRequestParams,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    RequestParams,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    UnsubscribeRequestParams,
)

from mcp_messenger.api.mcp.identity import identity
from mcp_messenger.api.mcp.listed import listed
from mcp_messenger.config import Config

Context = ServerRequestContext[Any, Any]

EARLY = frozenset({"initialize", "ping", "server/discover", "tools/list"})
"""Requests that are answered without the application."""
LATER: dict[str, type[RequestParams]] = {
    "completion/complete": CompleteRequestParams,
    "prompts/get": GetPromptRequestParams,
    "prompts/list": PaginatedRequestParams,
    "resources/list": PaginatedRequestParams,
    "resources/read": ReadResourceRequestParams,
    "resources/subscribe": SubscribeRequestParams,
    "resources/templates/list": PaginatedRequestParams,
    "resources/unsubscribe": UnsubscribeRequestParams,
    "subscriptions/listen": SubscriptionsListenRequestParams,
    "tools/call": CallToolRequestParams,
}
"""Requests that wait for the application. Named here because the first answer says what the server can do; a test compares."""


class EarlyServer:
    """The server that a client is connected with from the start."""

    def __init__(self, config: Config) -> None:
        """Make it; raises InvalidInput for a toolset that does not exist."""
        tools = listed(config)

        async def list_tools(context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
            return ListToolsResult(tools=tools)

        self.low: Server[Any] = Server(**identity(one_instance=False), on_list_tools=list_tools)
        for method, params in LATER.items():
            self.low.add_request_handler(method, params, _unreachable)
        # The whole server's own follow where a request goes on to it.
        self.low.middleware[:] = [self._when_whole]
        self._inner: list[ServerMiddleware[Any]] = []
        self._whole = anyio.Event()
        self.wanted = anyio.Event()
        """Set by the first request that needs the application."""

    def complete(self, whole: "Server[Any]") -> None:
        """Let the whole server answer from now on, and what waits."""
        for method in LATER:
            entry = whole.get_request_handler(method)
            if entry is not None:
                self.low.add_request_handler(method, entry.params_type, entry.handler)
        self._inner = list(whole.middleware)
        self._whole.set()

    async def _when_whole(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        if ctx.method in EARLY or ctx.request_id is None:
            return await call_next(ctx)
        self.wanted.set()
        await self._whole.wait()
        for middleware in reversed(self._inner):
            call_next = _around(middleware, call_next)
        return await call_next(ctx)


def _around(middleware: ServerMiddleware[Any], call_next: CallNext) -> Callable[[Context], Awaitable[HandlerResult]]:
    return lambda context: middleware(context, call_next)


async def _unreachable(context: Context, params: RequestParams) -> None:
    raise AssertionError(f"{context.method} was to wait for the application")
