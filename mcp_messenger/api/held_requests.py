"""Ends requests whose key is revoked or expires while they are answered: waits, streams, subscriptions."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_messenger.api.problem import send_problem
from mcp_messenger.errors import NotAuthenticated
from mcp_messenger.security.held import Held

HOLD = "mcp_messenger.hold"
"""In a request's scope: the cancel scope that its authentication hands to Held."""


class HeldRequests:
    def __init__(self, app: ASGIApp, held: Held) -> None:
        self._app = app
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_begun = False

        async def watched(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        with anyio.CancelScope() as hold:
            try:
                await self._app({**scope, HOLD: hold}, receive, watched)
            finally:
                self._held.remove(hold)
        if not hold.cancelled_caught:
            return
        if is_begun:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await send_problem(send, NotAuthenticated("This key was revoked, or has expired."))
