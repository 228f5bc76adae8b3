"""Strict stand-ins of agents that are no AgentOS's: an OpenAI-compatible chat address, an A2A server, and a webhook.

Each repeats the last line that it is asked, refuses what the real ones refuse, and streams word by word.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.running import serving_asgi

KEY = "sk-made-up-for-tests"
ROLES = frozenset({"system", "user", "assistant"})


@dataclass
class AnsweringAgents:
    """`asked` holds the bodies, `keys` the idempotency keys, by path. `broken`: the status of every answer. `halts`: before the last word."""

    url: str = ""
    asked: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    keys: list[str | None] = field(default_factory=list[str | None])
    cancelled: list[str] = field(default_factory=list[str])
    broken: int | None = None
    streams: bool = True
    breaks_off: bool = False
    halts: anyio.Event | None = None
    left: anyio.Event = field(default_factory=anyio.Event)
    """Set when a caller has gone before the end of its answer."""

    async def answered(self, request: Request) -> Response:
        """Take any of the three, once it is who it should be."""
        kind = request.url.path.strip("/")
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": "Incorrect API key provided"}}, 401)
        body: Any = json.loads(await request.body())
        self.asked.setdefault(kind, []).append(body)
        self.keys.append(request.headers.get("idempotency-key"))
        if self.broken is not None:
            return JSONResponse({"error": {"message": "overloaded"}}, self.broken)
        return {"chat": self._chat, "a2a": self._a2a, "hook": self._hook}[kind](body)

    def _chat(self, body: Any) -> Response:
        if not {"messages", "model"} <= body.keys() or any(message["role"] not in ROLES for message in body["messages"]):
            return JSONResponse({"error": {"message": "messages and model are needed"}}, 400)
        last = body["messages"][-1]
        if isinstance(last["content"], list):
            return JSONResponse({"error": {"message": "this model takes no pictures"}}, 400)
        said = f"chat: {last['content']}"
        if not self.streams:
            return JSONResponse(
                {"object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]}
            )
        chunks = [{"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}]
        chunks += [{"choices": [{"delta": {"content": word}, "finish_reason": None}]} for word in _words(said)]
        return self._stream([*chunks, {"choices": [{"delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": {"total_tokens": 3}}, None])

    def _a2a(self, body: Any) -> Response:
        if body["method"] == "tasks/cancel":
            self.cancelled.append(body["params"]["id"])
            return JSONResponse({"jsonrpc": "2.0", "id": body["id"], "result": {"kind": "task", "id": body["params"]["id"]}})
        message = body["params"]["message"]
        if body["method"] != "message/stream" or message["role"] != "user" or not {"messageId", "parts"} <= message.keys():
            return JSONResponse({"jsonrpc": "2.0", "id": body["id"], "error": {"code": -32602, "message": "Invalid params"}})
        said, task, context = f"a2a: {message['parts'][0]['text']}", str(uuid4()), message["contextId"]
        of = {"taskId": task, "contextId": context}
        results: list[Any] = [{"kind": "task", "id": task, "contextId": context, "status": {"state": "submitted"}}]
        results += [{"kind": "status-update", **of, "status": {"state": "working"}, "final": False}]
        for number, word in enumerate(_words(said)):
            artifact = {"artifactId": "a", "parts": [{"kind": "text", "text": word}]}
            results.append({"kind": "artifact-update", **of, "append": number > 0, "artifact": artifact})
        results.append({"kind": "status-update", **of, "status": {"state": "completed"}, "final": True})
        return self._stream([{"jsonrpc": "2.0", "id": body["id"], "result": result} for result in results])

    def _hook(self, body: Any) -> Response:
        if not {"agent", "session", "chat", "text", "messages"} <= body.keys():
            return JSONResponse({"detail": "incomplete"}, 422)
        said = f"hook: {body['text']}"
        if body["text"] == "say nothing":
            return Response(status_code=204)
        if body["text"] == "plain":
            return PlainTextResponse(said)
        if not self.streams:
            return JSONResponse({"output": said})
        return self._stream([*({"delta": word} for word in _words(said)), {"answer": said}])

    def _stream(self, events: list[Any]) -> Response:
        return StreamingResponse(self._events(events), media_type="text/event-stream")

    async def _events(self, events: list[Any]) -> AsyncIterator[str]:
        half = len(events) // 2
        try:
            for number, event in enumerate(events):
                if number == half and self.breaks_off:
                    return
                if number == half and self.halts is not None:
                    await self.halts.wait()
                yield f"data: {'[DONE]' if event is None else json.dumps(event)}\n\n"
        except BaseException:
            self.left.set()
            raise


def _words(said: str) -> list[str]:
    return [f"{word} " for word in said.split(" ")[:-1]] + [said.split(" ")[-1]]


@asynccontextmanager
async def answering_agents(**how: Any) -> AsyncGenerator[AnsweringAgents]:
    """`how` is of AnsweringAgents' fields; they are at /chat, /a2a and /hook."""
    stand_in = AnsweringAgents(**how)
    routes = [Route(f"/{kind}", stand_in.answered, methods=["POST"]) for kind in ("chat", "a2a", "hook")]
    async with serving_asgi(Starlette(routes=routes)) as stand_in.url:
        yield stand_in
