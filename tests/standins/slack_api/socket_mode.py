"""Socket Mode as Slack runs it: each event goes to one of the app's connections, and again while it is not acknowledged."""

import asyncio
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.standins.slack_api.workspace import APP, Json, Workspace


@dataclass(eq=False)
class Link:
    socket: web.WebSocketResponse
    request: web.Request
    sent: list[Json] = field(default_factory=list[Json])


class SocketMode:
    """Without a connection an event is lost, as Slack loses it."""

    def __init__(self, workspace: Workspace) -> None:
        self.links: list[Link] = []
        self.opened = 0
        self.tickets: set[str] = set()
        self.unacknowledged: dict[str, Json] = {}
        self.acknowledged: list[str] = []
        self.num_connections: int | None = None
        """What hello says, when it is not the truth of this stand-in: other programs are connected too."""
        self.farewell: str | None = None
        """The reason with which each connection ends right after its beginning."""
        self._workspace = workspace
        self._sends: set[asyncio.Task[None]] = set()
        self._queue: asyncio.Lock = asyncio.Lock()

    def ticket(self, url: str) -> str:
        ticket = secrets.token_hex(8)
        self.tickets.add(ticket)
        return f"{url.replace('http', 'ws', 1)}/link/?ticket={ticket}&app_id={APP}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self.tickets:
            return web.Response(status=401)
        self.tickets.remove(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        link = Link(socket, request)
        self.links.append(link)
        self.opened += 1
        hello = {"type": "hello", "num_connections": self.num_connections or len(self.links), "connection_info": {"app_id": APP}}
        await socket.send_str(json.dumps(hello))
        self._workspace.changed()
        if self.farewell is not None:
            self.disconnect(self.farewell)
        for envelope in list(self.unacknowledged.values()):
            envelope["retry_attempt"] = envelope.get("retry_attempt", 0) + 1
            self._send(envelope)
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    self._acknowledge(json.loads(frame.data))
        finally:
            if link in self.links:
                self.links.remove(link)
            self._workspace.changed()
        return socket

    def push(self, kind: str, payload: Json, **more: Any) -> None:
        if not self.links:
            return
        envelope: Json = {"envelope_id": secrets.token_hex(8), "type": kind, "accepts_response_payload": False, "payload": payload, **more}
        self.unacknowledged[envelope["envelope_id"]] = envelope
        self._send(envelope)

    def retry(self) -> None:
        """Slack's patience of three seconds is over."""
        for envelope in list(self.unacknowledged.values()):
            self._send(envelope)

    def disconnect(self, reason: str) -> None:
        for link in self.links:
            self._begin(link, {"type": "disconnect", "reason": reason, "debug_info": {"host": "stand-in"}})

    def cut(self) -> None:
        """As when a cable is pulled: no closing words."""
        for link in list(self.links):
            self.links.remove(link)
            if link.request.transport is not None:
                link.request.transport.abort()

    def _send(self, envelope: Json) -> None:
        if self.links:
            self._begin(self.links[-1], envelope)

    def _begin(self, link: Link, told: Json) -> None:
        task = asyncio.create_task(self._write(link, told))
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    async def _write(self, link: Link, told: Json) -> None:
        async with self._queue:
            try:
                await link.socket.send_str(json.dumps(told))
                link.sent.append(told)
            except (ConnectionError, RuntimeError):
                pass
        self._workspace.changed()

    def _acknowledge(self, told: Json) -> None:
        if self.unacknowledged.pop(told.get("envelope_id", ""), None) is not None:
            self.acknowledged.append(told["envelope_id"])
        self._workspace.changed()
