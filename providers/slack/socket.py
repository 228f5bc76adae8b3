"""One Socket Mode connection. The SDK's own reads envelopes side by side, answers them on whichever connection is there, and loses their order."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from pydantic import SecretStr

from providers.errors import Unreachable
from providers.kit.json import object_in
from providers.slack.client import SlackClient
from providers.slack.errors import slack_errors

Json = dict[str, Any]

# Slack closes these soon, and wants another one opened before.
REPLACE = frozenset({"warning", "refresh_requested", "too_many_websockets"})
LINK_DISABLED = "link_disabled"

_HELLO_SECONDS = 30


class Socket:
    def __init__(self, connection: aiohttp.ClientWebSocketResponse, connections: int) -> None:
        self.connections = connections
        """How many this app has by now, all programs with its app token together."""
        self._connection = connection

    @classmethod
    async def open(cls, client: SlackClient, app_token: SecretStr, heartbeat: float) -> "Socket":
        """Returns when Slack has said hello: from then on it brings events. Raises MessengerError."""
        with slack_errors():
            connection = await client.socket(app_token, heartbeat)
        try:
            with slack_errors():
                hello = await connection.receive(timeout=_HELLO_SECONDS)
            payload = _json(hello)
            if payload.get("type") != "hello":
                raise Unreachable(f"Slack did not say hello but {payload.get('reason') or payload.get('type') or 'nothing'}.", maybe_sent=False)
        except BaseException:
            await connection.close()
            raise
        return cls(connection, payload.get("num_connections", 1))

    async def read(self, take: Callable[[Json], Awaitable[None]]) -> str | None:
        """Has each envelope taken, and acknowledges it then. Returns why Slack ends the connection; None when it broke."""
        while True:
            try:
                frame = await self._connection.receive()
            except (aiohttp.ClientError, OSError):
                return None
            if frame.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}:
                return None
            envelope = _json(frame)
            if envelope.get("type") == "disconnect":
                return str(envelope.get("reason", ""))
            if "envelope_id" in envelope:
                await take(envelope)
                if not await self._acknowledge(envelope["envelope_id"]):
                    return None

    async def _acknowledge(self, envelope_id: str) -> bool:
        """False when the connection is gone: Slack brings the envelope again, and it is known then."""
        try:
            await self._connection.send_str(json.dumps({"envelope_id": envelope_id}))
        except (aiohttp.ClientError, OSError):
            return False
        return True

    async def close(self) -> None:
        await self._connection.close()


def _json(frame: aiohttp.WSMessage) -> Json:
    """Empty for what is no JSON object: Slack sends plain words now and then."""
    return (object_in(frame.data) if frame.type is aiohttp.WSMsgType.TEXT else None) or {}
