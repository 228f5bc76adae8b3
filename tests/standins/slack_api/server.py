"""The stand-in over HTTP: /api/<method>, /upload, /files-pri and /link, as Slack has them."""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from providers.base import WebhookRequest
from tests.standins.base import StandIn, hang_up
from tests.standins.faults import Answer, Drop, Fault, Hold, Script
from tests.standins.slack_api import spec
from tests.standins.slack_api.methods import METHODS, need
from tests.standins.slack_api.refusal import Refusal
from tests.standins.slack_api.socket_mode import SocketMode
from tests.standins.slack_api.workspace import Json, Workspace

OF_PERSON = frozenset({"search.messages", "conversations.mark"})
"""Methods that are called for a person here."""
READ_BY_PERSON = frozenset({"conversations.history"})
MAX_RESPONSES = 5
"""To one response_url."""


@dataclass
class Call:
    method: str
    params: dict[str, str]


class SlackStandIn(StandIn, Workspace):
    """Slack's Web API, its files and Socket Mode."""

    def __init__(self) -> None:
        StandIn.__init__(self)
        Workspace.__init__(self, lambda: f"http://127.0.0.1:{self.port}", self.changed)
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.scripts: dict[str, Script] = {}
        """By method."""
        self.responses: list[Json] = []
        """What was posted to a response_url."""
        self._uses: dict[str, int] = {}
        self.sockets = SocketMode(self)
        self.listener = lambda payload: self.sockets.push("events_api", payload)

    @property
    def api(self) -> str:
        return f"{self.url()}/api"

    async def go_down(self) -> None:
        """Nobody answers on the port any more, and who is connected is cut off."""
        self.sockets.cut()
        await super().go_down()

    def routes(self) -> web.Application:
        app = web.Application(client_max_size=200_000_000)
        app.router.add_route("*", "/api/{method}", self._answer)
        app.router.add_post("/upload/v1/{file}", self._upload)
        app.router.add_get("/files-pri/{team_and_file}/download/{name}", self._download)
        app.router.add_get("/link/", self.sockets.serve)
        app.router.add_post("/response/{number}", self._respond)
        return app

    def calls_of(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    # What goes wrong

    def fail_next(self, method: str, status: int = 500, error: str | None = None, *, is_done: bool = False, **more: Any) -> None:
        body: Json | str = "<html>Oops</html>" if error is None else {"ok": False, "error": error, **more}
        self.faults.append(Answer(method, status, body, is_done=is_done))

    def flood_next(self, method: str, retry_after: int) -> None:
        self.faults.append(Answer(method, 429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(retry_after)}))

    def garble_next(self, method: str, status: int, body: str) -> None:
        self.faults.append(Answer(method, status, body))

    def drop_next(self, method: str, when: Literal["before", "after"]) -> None:
        self.faults.append(Drop(method, when))

    def hold_next(self, method: str) -> Hold:
        hold = Hold(method)
        self.faults.append(hold)
        return hold

    # Events by HTTP, for a test to carry

    def signed(self, payload: Json) -> WebhookRequest:
        return self.signed_body(json.dumps(payload).encode(), "application/json")

    def signed_body(self, body: bytes, kind: str, *, at: float | None = None, secret: str | None = None) -> WebhookRequest:
        stamp = str(int(at or time.time()))
        key = (secret or self.signing_secret).encode()
        signature = "v0=" + hmac.new(key, b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
        headers = {"content-type": kind, "x-slack-request-timestamp": stamp, "x-slack-signature": signature}
        return WebhookRequest("POST", headers, {}, body)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._run(request)
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)

    async def _run(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        params = await self._read(request, method)
        self.calls.append(Call(method, {name: value for name, value in params.items() if name != "token"}))
        self.changed()
        fault = self._take_fault(method)
        match fault:
            case Answer(is_done=False):
                return _say(fault)
            case Drop(when="before"):
                return hang_up(request)
            case Hold():
                fault.arrived.set()
                await fault.let_go.wait()
            case _:
                pass
        token = params.pop("token", "") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        self._authorize(method, token)
        self._judge(method, params)
        if (script := self.scripts.get(method)) is not None:
            return web.json_response(script.next(), status=script.status)
        answer = self._open_socket() if method == "apps.connections.open" else METHODS[method].run(self, params)
        self.changed()
        if isinstance(fault, Answer):
            return _say(fault)
        if isinstance(fault, Drop):
            return hang_up(request)
        return web.json_response({"ok": True, **answer}, headers={"X-OAuth-Scopes": ",".join(sorted(self.scopes))})

    def _take_fault(self, method: str) -> Fault | None:
        fault = next((fault for fault in self.faults if fault.call == method), None)
        if fault is not None:
            self.faults.remove(fault)
        return fault

    async def _read(self, request: web.Request, method: str) -> dict[str, str]:
        params = dict(request.query)
        if request.content_type == "application/json":
            if method in METHODS and not METHODS[method].takes_json:
                self.violations.append(f"{method} takes no JSON")
            body: Json = await request.json()
            params |= {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
        elif request.can_read_body:
            params |= {name: str(value) for name, value in (await request.post()).items()}
        return params

    def _authorize(self, method: str, token: str) -> None:
        if not token:
            raise Refusal("not_authed")
        if token in self.revoked:
            raise Refusal("token_revoked")
        if token not in {self.bot_token, self.app_token, self.user_token}:
            raise Refusal("invalid_auth")
        if (token == self.user_token) != (method in OF_PERSON) and not (token == self.user_token and method in READ_BY_PERSON):
            raise Refusal("not_allowed_token_type")
        if (token == self.app_token) != (method == "apps.connections.open"):
            raise Refusal("not_allowed_token_type")

    def _judge(self, method: str, params: dict[str, str]) -> None:
        """Refuses, and remembers, what no program should ever ask."""
        if method == "apps.connections.open":
            return
        known = METHODS.get(method)
        if known is None and method not in self.scripts:
            self.violations.append(f"{method} is no method of this stand-in")
            raise Refusal("unknown_method")
        found = [f"{method}: {name} is required" for name in known.required - params.keys()] if known else []
        if (described := spec.load()) is not None:
            found += described.faults(method, params)
        if found:
            self.violations += found
            raise Refusal("invalid_arguments", response_metadata={"messages": found})
        if known and known.scopes and not known.scopes & self.scopes:
            need(self, min(known.scopes))

    def _open_socket(self) -> Json:
        if "connections:write" not in self.app_scopes:
            raise Refusal("missing_scope", needed="connections:write", provided="")
        return {"url": self.sockets.ticket(self.url())}

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        if "Authorization" in request.headers:
            self.violations.append("the token went to a response_url")
        body: Json = await request.json()
        number = request.match_info["number"]
        self._uses[number] = self._uses.get(number, 0) + 1
        if self._uses[number] > MAX_RESPONSES:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        if not body.get("text") and not body.get("blocks"):
            return web.json_response({"ok": False, "error": "no_text"}, status=400)
        self.responses.append(body)
        self.changed()
        return web.Response(text="ok")

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        fault = self._take_fault("upload")
        if isinstance(fault, Answer):
            return _say(fault)
        if isinstance(fault, Drop):
            return hang_up(request)
        if "Authorization" in request.headers:
            self.violations.append("the token went to the upload address")
        file = self.files.get(request.match_info["file"])
        content = await request.read()
        if file is None or len(content) != file.size:
            return web.Response(status=400, text="Bad length")
        file.content = content
        return web.Response(text=f"OK - {file.size}")

    async def _download(self, request: web.Request) -> web.StreamResponse:
        file = self.files.get(request.match_info["team_and_file"].partition("-")[2])
        if request.headers.get("Authorization") != f"Bearer {self.bot_token}" or "files:read" not in self.scopes:
            return web.Response(status=302, headers={"Location": "https://stand-in.slack.com/?redir=login"})
        if file is None or file.is_deleted:
            return web.Response(status=404)
        return web.Response(body=file.content, content_type="application/octet-stream")


def _say(fault: Answer) -> web.Response:
    if isinstance(fault.body, str):
        return web.Response(status=fault.status, text=fault.body, content_type="text/html", headers=fault.headers)
    return web.json_response(fault.body, status=fault.status, headers=fault.headers)
