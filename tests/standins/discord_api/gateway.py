"""The stand-in's gateway: hello, identify or resume, heartbeats, events; and the close codes Discord has for what is wrong."""

import asyncio
import importlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from tests.standins.discord_api.world import CONTENT, CONTENT_FLAG, MEMBERS_FLAG, Session, StandInBot, World

Json = dict[str, Any]

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 0, 1, 2, 6, 7, 9, 10, 11
_MEMBERS = 1 << 1
_PRESENCES = 1 << 8
_KNOWN_INTENTS = (1 << 26) - 1
_SYNC = zlib.Z_SYNC_FLUSH


class Closed(Exception):
    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class _Compressor(Protocol):
    def __call__(self, text: bytes) -> bytes: ...


@dataclass(eq=False)
class Connection:
    """One connection. What goes out is put into `outgoing` and written in its order."""

    socket: web.WebSocketResponse
    path: str
    outgoing: asyncio.Queue[Json] = field(default_factory=asyncio.Queue[Json])
    bot: StandInBot | None = None
    session: Session | None = None
    received: list[Json] = field(default_factory=list[Json])


class Gateway:
    """`session_starts` are how many IDENTIFYs are left today."""

    def __init__(self, world: World, url: Callable[[str], str], changed: Callable[[], None]) -> None:
        self.connections: list[Connection] = []
        """The live ones."""
        self.history: list[Connection] = []
        self.heartbeat_ms = 41_250
        self.session_starts = 1000
        self.is_silent = False
        """Nothing is written any more, and connections stay open: as when a router in between forgot them."""
        self.cut_at: str | None = None
        """The connection breaks instead of the next event of this kind, which a resumed session gets again."""
        self._world = world
        self._url = url
        self._changed = changed
        self._names = count(1)

    # What goes wrong

    def of(self, bot: StandInBot) -> Connection:
        return next(connection for connection in reversed(self.connections) if connection.bot is bot and connection.session is not None)

    async def close(self, bot: StandInBot, code: int) -> None:
        """Closes the bot's connection with a code of Discord's."""
        await self.of(bot).socket.close(code=code)

    def drop(self, bot: StandInBot) -> None:
        """The line is cut, without a word."""
        transport = self.of(bot).socket._req.transport  # pyright: ignore[reportOptionalMemberAccess]
        assert transport is not None
        transport.abort()

    def reconnect(self, bot: StandInBot) -> None:
        self.of(bot).outgoing.put_nowait({"op": RECONNECT, "d": None})

    def forget(self, bot: StandInBot) -> None:
        """The session is over; resuming it is refused."""
        for session in bot.sessions.values():
            session.send = None
        bot.sessions.clear()

    def invalidate(self, bot: StandInBot) -> None:
        """Tells the connected bot that its session is over."""
        connection = self.of(bot)
        self.forget(bot)
        connection.outgoing.put_nowait({"op": INVALID_SESSION, "d": False})

    # What the server uses

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=4096 * 4)
        await socket.prepare(request)
        connection = Connection(socket, request.path)
        self.connections.append(connection)
        self.history.append(connection)
        writing, code = None, None
        try:
            compress = self._compression(request)
            connection.outgoing.put_nowait({"op": HELLO, "d": {"heartbeat_interval": self.heartbeat_ms}})
            writing = asyncio.create_task(self._write(connection, compress))
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    raise Closed(4002, "Error while decoding payload.")
                self._take(connection, message.data)
            code = socket.close_code
        except Closed as closed:
            await socket.close(code=closed.code, message=closed.words.encode())
        finally:
            if writing is not None:
                writing.cancel()
            self._gone(connection, code)
        return socket

    def _compression(self, request: web.Request) -> _Compressor:
        if request.query.get("v") != "10":
            raise Closed(4012, "Invalid API version.")
        if request.query.get("encoding") != "json":
            raise Closed(4002, "Error while decoding payload.")
        match request.query.get("compress"):
            case "zlib-stream":
                zlib_stream = zlib.compressobj()
                return lambda text: zlib_stream.compress(text) + zlib_stream.flush(_SYNC)
            case "zstd-stream":
                zstd: Any = importlib.import_module("compression.zstd")  # of Python 3.14
                zstd_stream = zstd.ZstdCompressor()
                return lambda text: bytes(zstd_stream.compress(text, mode=zstd.ZstdCompressor.FLUSH_BLOCK))
            case _:
                raise Closed(4002, "Error while decoding payload.")

    async def _write(self, connection: Connection, compress: _Compressor) -> None:
        while True:
            payload = await connection.outgoing.get()
            if self.is_silent:
                continue
            if self.cut_at is not None and payload.get("t") == self.cut_at:
                self.cut_at = None
                transport = connection.socket._req.transport  # pyright: ignore[reportOptionalMemberAccess]
                assert transport is not None
                transport.abort()
                return
            await connection.socket.send_bytes(compress(json.dumps(payload).encode()))

    def _take(self, connection: Connection, text: str) -> None:
        payload = json.loads(text)
        connection.received.append(payload)
        match payload["op"]:
            case 1:
                connection.outgoing.put_nowait({"op": HEARTBEAT_ACK, "d": None})
            case 2 | 6 if connection.session is not None:
                raise Closed(4005, "Already authenticated.")
            case 2:
                self._identify(connection, payload["d"])
            case 6:
                self._resume(connection, payload["d"])
            case _:
                raise Closed(4003, "Not authenticated.") if connection.session is None else Closed(4001, "Unknown opcode.")
        self._changed()

    def _bot(self, token: str) -> StandInBot:
        if token not in self._world.bots:
            raise Closed(4004, "Authentication failed.")
        return self._world.bots[token]

    def _identify(self, connection: Connection, data: Json) -> None:
        bot = self._bot(data["token"])
        self.session_starts -= 1
        intents = data["intents"]
        if intents & ~_KNOWN_INTENTS or not {"os", "browser", "device"} <= data["properties"].keys():
            raise Closed(4013, "Invalid intent(s).")
        flags = bot.application["flags"]
        refused = (intents & CONTENT and not flags & CONTENT_FLAG) or (intents & _MEMBERS and not flags & MEMBERS_FLAG) or intents & _PRESENCES
        if refused:
            raise Closed(4014, "Disallowed intent(s).")
        session = Session(f"session-{next(self._names)}", intents)
        bot.sessions[session.id] = session
        self._join(connection, bot, session)
        guilds = [id for id, guild in self._world.guilds.items() if bot.id in guild["people"]]
        application = {"id": bot.application["id"], "flags": flags}
        unavailable = [{"id": id, "unavailable": True} for id in guilds]
        ready = {"v": 10, "user": bot.user, "guilds": unavailable, "session_id": session.id, "application": application}
        session.dispatch("READY", {**ready, "resume_gateway_url": self._url("/resume-gateway")})
        for id in guilds:
            session.dispatch("GUILD_CREATE", self._world.guild_told(id))

    def _resume(self, connection: Connection, data: Json) -> None:
        bot = self._bot(data["token"])
        session = bot.sessions.get(data["session_id"])
        if session is None:
            connection.outgoing.put_nowait({"op": INVALID_SESSION, "d": False})
            return
        if not isinstance(data["seq"], int) or data["seq"] > len(session.events):
            raise Closed(4007, "Invalid seq.")
        missed = session.events[data["seq"] :]
        self._join(connection, bot, session)
        for event in missed:
            connection.outgoing.put_nowait(event)
        session.dispatch("RESUMED", {"_trace": []})

    def _join(self, connection: Connection, bot: StandInBot, session: Session) -> None:
        connection.bot, connection.session = bot, session
        session.send = connection.outgoing.put_nowait

    def _gone(self, connection: Connection, code: int | None) -> None:
        """`code` is the one that the bot closed with."""
        self.connections.remove(connection)
        session, bot = connection.session, connection.bot
        if session is not None and bot is not None:
            if session.send == connection.outgoing.put_nowait:
                session.send = None
            if code in {1000, 1001}:
                bot.sessions.pop(session.id, None)
        self._changed()
