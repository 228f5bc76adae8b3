"""A strict stand-in of an AgentOS (Agno 3.1): takes forms alone, keeps sessions to their users, streams its events in the order of the real one."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import anyio
from starlette.applications import Starlette
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.running import serving_asgi

FIELDS = frozenset({"message", "stream", "session_id", "user_id", "files", "files_metadata", "version", "background", "factory_input"})
TYPES = ("image/", "text/", "application/pdf", "application/json", "audio/", "video/")


@dataclass(frozen=True)
class Run:
    agent: str
    message: str
    session_id: str
    user_id: str | None
    files: dict[str, bytes]


@dataclass
class AgentOsStandIn:
    """`answer` makes what the agent says of a message. `broken` is answered in the place of it.

    `gate` is waited for before the first word, and each of `pauses` after so many words.
    """

    agents: frozenset[str] = frozenset({"helper"})
    key: str | None = None
    answer: Callable[[str], str] = field(default=lambda message: f"agent: {message}")
    broken: int | None = None
    breaks_off: bool = False
    gate: anyio.Event | None = None
    pauses: dict[int, anyio.Event] = field(default_factory=dict[int, anyio.Event])
    runs: list[Run] = field(default_factory=list[Run])
    cancelled: list[str] = field(default_factory=list[str])
    """Sessions whose run was cancelled."""
    _sessions: dict[str, str] = field(default_factory=dict[str, str])
    url: str = ""
    _owners: dict[str, str | None] = field(default_factory=dict[str, str | None])

    async def run(self, request: Request) -> Response:
        if self.broken is not None:
            return JSONResponse({"detail": "broken"}, self.broken)
        refused = self._stranger(request)
        if refused is not None:
            return refused
        if not request.headers.get("content-type", "").startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
            return JSONResponse({"detail": [{"loc": ["body", "message"], "msg": "Field required"}]}, 422)
        async with request.form() as form:
            return await self._taken(request.path_params["agent"], form)

    def _stranger(self, request: Request) -> Response | None:
        given = request.headers.get("authorization")
        if self.key is None or given == f"Bearer {self.key}":
            return None
        return JSONResponse({"detail": "Invalid authentication token" if given else "Authorization header required"}, 401)

    async def _taken(self, agent: str, form: FormData) -> Response:
        assert set(form) <= FIELDS, set(form) - FIELDS
        if agent not in self.agents:
            return JSONResponse({"detail": "Agent not found"}, 404)
        message, session, user = form.get("message"), form.get("session_id"), form.get("user_id")
        if not isinstance(message, str) or not message:
            return JSONResponse({"detail": [{"loc": ["body", "message"], "msg": "Field required"}]}, 422)
        session, user = str(session or uuid4()), None if user is None else str(user)
        if self._owners.setdefault(session, user) != user:
            return JSONResponse({"detail": "Session not found"}, 404)
        files: dict[str, bytes] = {}
        for file in form.getlist("files"):
            assert isinstance(file, UploadFile)
            if not (file.content_type or "").startswith(TYPES):
                return JSONResponse({"detail": "Unsupported file type"}, 400)
            files[file.filename or ""] = await file.read()
        assert form.get("stream") == "true"
        self.runs.append(Run(agent, message, session, user, files))
        run = str(uuid4())
        self._sessions[run] = session
        return StreamingResponse(self._events(run, message), media_type="text/event-stream")

    async def cancel(self, request: Request) -> Response:
        refused = self._stranger(request)
        if refused is not None:
            return refused
        run, session = request.path_params["run"], request.query_params.get("session_id")
        if session is None or self._sessions.get(run) != session or request.path_params["agent"] not in self.agents:
            return JSONResponse({"detail": "Run not found"}, 404)
        self.cancelled.append(session)
        return JSONResponse({})

    async def _events(self, run: str, message: str) -> AsyncIterator[str]:
        said = self.answer(message)
        yield _event("RunStarted", run_id=run)
        yield _event("ModelRequestStarted")
        if self.gate is not None:
            await self.gate.wait()
        for count, word in enumerate(said.split(" ")):
            if count in self.pauses:
                await self.pauses[count].wait()
            yield _event("RunContent", content=f"{word} ")
        if self.breaks_off:
            return
        yield _event("ModelRequestCompleted")
        yield _event("RunContentCompleted")
        yield _event("RunCompleted", content=said, metrics={})


def _event(name: str, **fields: object) -> str:
    return f"event: {name}\ndata: {json.dumps({'event': name, **fields})}\n\n"


@asynccontextmanager
async def agent_os(**how: object) -> AsyncGenerator[AgentOsStandIn]:
    stand_in = AgentOsStandIn(**how)  # pyright: ignore[reportArgumentType]
    app = Starlette(
        routes=[
            Route("/agents/{agent}/runs", stand_in.run, methods=["POST"]),
            Route("/agents/{agent}/runs/{run}/cancel", stand_in.cancel, methods=["POST"]),
        ]
    )
    async with serving_asgi(app) as stand_in.url:
        yield stand_in
