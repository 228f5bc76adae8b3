"""The stand-in over HTTP and WebSocket: /api/v10/…, /gateway and /files/…"""

import json
import time
from itertools import count
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.standins.base import StandIn, hang_up
from tests.standins.discord_api import spec
from tests.standins.discord_api.faults import Faults
from tests.standins.discord_api.gateway import Gateway
from tests.standins.discord_api.refusal import Refusal, unauthorized
from tests.standins.discord_api.rest import CALLS, Call
from tests.standins.discord_api.world import StandInBot, StoredFile, World
from tests.standins.faults import Answer, Drop, Hold, Script

_API = "/api/v10"
# Answered with every call that no test limits: so many that nobody waits.
_PLENTY = (1000, 1.0)


class DiscordStandIn(StandIn):
    """Discord's REST API and gateway."""

    def __init__(self, *, port: int = 0) -> None:
        super().__init__(port=port)
        self.calls: list[Call] = []
        """Every call as it arrived, whatever became of it."""
        self.faults = Faults()
        self.scripts: dict[str, Script] = {}
        """By method and path, such as "POST /channels/1/messages"."""
        self.limits: dict[str, tuple[int, float]] = {}
        """By call: how many are taken in how many seconds."""
        self.world = World(self.changed, lambda file: f"{self.url}/files/{file}")
        self.gateway = Gateway(self.world, self._ws_url, self.changed)
        self._used: dict[str, tuple[float, int]] = {}
        """By call: when its bucket was last full, and how many were taken from it since."""
        self._numbers = count(1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return self.url + _API

    def _ws_url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    async def go_down(self) -> None:
        """Nobody answers on the port any more, and every connection is cut."""
        for connection in list(self.gateway.connections):
            if (transport := connection.socket._req.transport) is not None:  # pyright: ignore[reportOptionalMemberAccess]
                transport.abort()
        await super().go_down()

    def routes(self) -> web.Application:
        app = web.Application(client_max_size=200_000_000)
        for name, (method, path, _) in CALLS.items():
            app.router.add_route(method, _API + path, self._handler(name))
        app.router.add_get(_API + "/gateway/bot", self._handler("get_bot_gateway"))
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/resume-gateway", self.gateway.serve)
        app.router.add_get("/files/{id}", self._file)
        app.router.add_route("*", "/{anything:.*}", self._lost)
        return app

    def add_bot(self, name: str = "Robo", *, content: bool = True, members: bool = False) -> StandInBot:
        return self.world.bot(f"FAKE-TOKEN-OF-A-STAND-IN.{next(self._numbers)}", name, content=content, members=members)

    def calls_of(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.name == name]

    async def until_called(self, name: str, times: int = 1) -> Call:
        """The call, when so many of this name were made."""
        await self.until(lambda: len(self.calls_of(name)) >= times)
        return self.calls_of(name)[times - 1]

    def _handler(self, name: str) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await self._run(name, request)
            except Refusal as refusal:
                return _json(refusal.status, refusal.body, self._rate_headers(name))

        return handle

    async def _run(self, name: str, request: web.Request) -> web.StreamResponse:
        call = await _read(name, request)
        self.calls.append(call)
        self.changed()
        fault = self.faults.take(name)
        match fault:
            case Answer(body=str(words)):
                return web.Response(status=fault.status, text=words, content_type="text/html", headers=fault.headers)
            case Answer():
                return _json(fault.status, fault.body, fault.headers)
            case Drop(when="before"):
                return hang_up(request)
            case Hold():
                fault.arrived.set()
                await fault.let_go.wait()
            case _:
                pass
        bot = self._authorized(request)
        if (limited := self._limited(name)) is not None:
            return limited
        self._judge(call)
        if (script := self.scripts.get(address(call))) is not None:
            return _json(script.status, script.next(), self._rate_headers(name))
        status, body = self._gateway_told() if name == "get_bot_gateway" else CALLS[name][2](self.world, bot, call)
        self.changed()
        if isinstance(fault, Drop):
            return hang_up(request)
        return _json(status, body, self._rate_headers(name))

    def _authorized(self, request: web.Request) -> StandInBot:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bot" or token not in self.world.bots:
            raise unauthorized()
        return self.world.bots[token]

    def _limited(self, name: str) -> web.Response | None:
        """The refusal when the bucket of this call is empty."""
        limit, seconds = self.limits.get(name, _PLENTY)
        now = time.monotonic()
        began, used = self._used.get(name, (now, 0))
        if now >= began + seconds:
            began, used = now, 0
        if used < limit:
            self._used[name] = began, used + 1
            return None
        wait = began + seconds - now
        body = {"message": "You are being rate limited.", "retry_after": round(wait, 3), "global": False}
        return _json(429, body, {**self._rate_headers(name), "Via": "1.1 google", "Retry-After": str(int(wait) + 1), "X-RateLimit-Scope": "user"})

    def _rate_headers(self, name: str) -> dict[str, str]:
        limit, seconds = self.limits.get(name, _PLENTY)
        now = time.monotonic()
        began, used = self._used.get(name, (now, 0))
        left = max(0.0, began + seconds - now)
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - used)),
            "X-RateLimit-Reset": f"{time.time() + left:.3f}",
            "X-RateLimit-Reset-After": f"{left:.3f}",
            "X-RateLimit-Bucket": f"bucket-of-{name}",
        }

    def _judge(self, call: Call) -> None:
        """Refuses, and remembers, what no program should ever ask."""
        found: list[str] = []
        if (described := spec.load()) is not None:
            found = described.faults(call.name, call.query, call.body)
        limit = self.world.upload_limit(call.path.get("channel_id", ""))
        if any(len(file.content) > limit for file in call.files.values()):
            raise Refusal(413, 40005, "Request entity too large")
        # What people wrote may be wrong; only what the program itself puts together is its fault.
        found = [fault for fault in found if "$.content " not in fault and "$.embeds" not in fault]
        if found:
            self.violations += found
            raise Refusal(400, 50035, found[0])

    def _gateway_told(self) -> tuple[int, Any]:
        limit = {"total": 1000, "remaining": self.gateway.session_starts, "reset_after": 300, "max_concurrency": 1}
        return 200, {"url": self._ws_url("/gateway"), "shards": 1, "session_start_limit": limit}

    async def _file(self, request: web.Request) -> web.Response:
        """Files need no token, and Discord's file servers must not be shown one."""
        if "Authorization" in request.headers:
            self.violations.append("the token was shown to a file server")
        file = self.world.files.get(request.match_info["id"])
        return web.Response(status=404) if file is None else web.Response(body=file.content, headers={"Content-Type": file.mime})

    async def _lost(self, request: web.Request) -> web.Response:
        self.violations.append(f"{request.method} {request.path} is not known to this stand-in")
        return _json(404, {"message": "404: Not Found", "code": 0}, {})


def address(call: Call) -> str:
    """The call's method and path under the API's address."""
    method, path, _ = CALLS.get(call.name, ("GET", "/gateway/bot", None))
    return f"{method} {path.format(**call.path)}"


def _json(status: int, body: Any, headers: dict[str, str]) -> web.Response:
    """discord.py reads an answer as JSON only where its type is exactly this, without a charset."""
    if body is None:
        return web.Response(status=status, headers=headers)
    return web.Response(status=status, body=json.dumps(body).encode(), headers={**headers, "Content-Type": "application/json"})


async def _read(name: str, request: web.Request) -> Call:
    body: Any = None
    files: dict[str, StoredFile] = {}
    if request.content_type == "multipart/form-data":
        for field, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                files[field] = StoredFile(value.filename, value.content_type, value.file.read())
            elif field == "payload_json":
                body = json.loads(value)  # pyright: ignore[reportArgumentType] - text, of a field without a file name
    elif request.can_read_body:
        body = await request.json()
    path = {key: unquote(value) for key, value in request.match_info.items()}
    return Call(name, path, dict(request.query), body, files)
