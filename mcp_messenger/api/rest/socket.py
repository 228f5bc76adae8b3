"""The event log over a WebSocket: the same events as the stream of server-sent events, from the same cursor, with the same keys."""

import json

import anyio
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from mcp_messenger.api.authentication import authenticate
from mcp_messenger.api.problem import problem, problem_response
from mcp_messenger.api.rate_limits import admitted
from mcp_messenger.api.rest.streams import EVENTS, StreamEvents, begun
from mcp_messenger.config.quotas import Quota
from mcp_messenger.operations import events
from mcp_messenger.operations.application import App
from mcp_messenger.operations.events import GetEvents
from mcp_messenger.operations.validation import validated
from mcp_messenger.security.caller import Caller
from providers.errors import MessengerError

PATH = "/api/v1/events/socket"
TRY_LATER, REFUSED = 1013, 1008
"""Codes of a close, as RFC 6455 and its registry have them."""


def events_socket(app: App) -> WebSocketRoute:
    """Return the route of the WebSocket. Refused before it is opened, a client gets the problem as the answer to its request."""

    async def answer(socket: WebSocket) -> None:
        try:
            caller = await admitted(app, socket.scope, lambda: authenticate(app, socket.scope))
            await EVENTS.require_scope(app, caller)
            args = validated(EVENTS, dict(socket.query_params))
            assert isinstance(args, StreamEvents)
            wanted = await begun(app, caller, args.after, args.instance_id)
            async with app.quotas.holding(caller, Quota.WAITS):
                await socket.accept()
                await _serve(app, socket, caller, wanted)
        except MessengerError as error:
            await _refuse(socket, error)

    return WebSocketRoute(PATH, answer)


async def _serve(app: App, socket: WebSocket, caller: Caller, wanted: GetEvents) -> None:
    async with anyio.create_task_group() as tasks:

        async def listen() -> None:
            message = await socket.receive()
            tasks.cancel_scope.cancel()
            if message["type"] != "websocket.disconnect":
                await _close(socket, REFUSED, "Nothing is taken here: calls are made over REST.")

        tasks.start_soon(listen)
        try:
            # uvicorn's pings find a peer that is gone.
            async for found in events.follow(app, caller, wanted):
                for one in found:
                    with anyio.move_on_after(app.config.timing.socket_send) as sending:
                        await socket.send_text(one.text)
                    if sending.cancelled_caught:
                        # Until then it held one page of events, and no more were read for it.
                        tasks.cancel_scope.cancel()
                        return
        except MessengerError as error:
            await socket.send_text(json.dumps({"problem": problem(error)}))
            await _close(socket, TRY_LATER, error.code)
        except WebSocketDisconnect:
            pass
        tasks.cancel_scope.cancel()


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with anyio.CancelScope(shield=True), anyio.move_on_after(1.0):
        await socket.close(code, reason)


async def _refuse(socket: WebSocket, error: MessengerError) -> None:
    answer = problem_response(error)
    await socket.send_denial_response(Response(answer.body, answer.status, dict(answer.headers)))
