"""Ends requests and WebSockets whose key is revoked or expires while they are answered: waits, streams, subscriptions."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_messenger.api.problem import send_problem
from mcp_messenger.errors import NotAuthenticated
from mcp_messenger.security.held import Held

HOLD = "mcp_messenger.hold"
"""In a request's scope: the cancel scope that its authentication hands to Held."""
ENDED = "This key was revoked, or has expired."
POLICY_VIOLATION = 1008
CLOSE_SECONDS = 1.0


class HeldRequests:
    def __init__(self, app: ASGIApp, held: Held) -> None:
        self._app = app
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
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
        if scope["type"] == "websocket":
            # To a client that reads nothing, no close can be sent either: its connection is left to the server.
            with anyio.move_on_after(CLOSE_SECONDS):
                await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ENDED})
        elif is_begun:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await send_problem(send, NotAuthenticated(ENDED))
