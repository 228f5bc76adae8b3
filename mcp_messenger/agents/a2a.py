"""An agent that speaks A2A over JSON-RPC (https://a2a-protocol.org): revision 0.3, and the shapes in which 1.0 answers it.

The conversation is the protocol's context, whose id is that of our session; a task that somebody stops is cancelled.
"""

from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import anyio

from mcp_messenger.agents.agent import Hear, Question
from mcp_messenger.agents.http import EVENTS, JSON, Call, as_object, called
from mcp_messenger.config.agents import AgentConfig
from mcp_messenger.errors import AgentFailed
from providers.text import clean_line

CANCEL_WITHIN = 5.0
FAILED = frozenset({"failed", "canceled", "rejected", "auth-required"})
OVER = FAILED | {"completed", "input-required"}


@dataclass(frozen=True)
class A2aAgent:
    name: str
    config: AgentConfig

    @property
    def history(self) -> int:
        return 0

    async def run(self, question: Question, hear: Hear) -> str:
        import httpx

        parts: list[dict[str, Any]] = [{"kind": "text", "text": question.text}]
        for file in question.files:
            content = {"name": file.name, "mimeType": file.mime, "bytes": b64encode(file.content).decode()}
            parts.append({"kind": "file", "file": content})
        message = {
            "kind": "message",
            "role": "user",
            # The same at every try, so that an agent can tell a repetition.
            "messageId": str(uuid5(NAMESPACE_URL, f"{question.session}#{question.key}")),
            "contextId": question.session,
            "parts": parts,
        }
        body = _call("message/stream", {"message": message})
        headers = {"Accept": f"{EVENTS}, {JSON}"}
        async with called(self.name, self.config.url, key=self.config.bearer, seconds=self.config.seconds, headers=headers, json=body) as call:
            task = _Task()
            try:
                return await task.answer(call, hear)
            finally:
                if task.id is not None and not task.is_over:
                    with anyio.move_on_after(CANCEL_WITHIN, shield=True), suppress(httpx.HTTPError):
                        await call.client.post(self.config.url, json=_call("tasks/cancel", {"id": task.id}))


def _call(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": str(uuid4()), "method": method, "params": params}


@dataclass
class _Task:
    """What the agent has said so far; `id` is None until a task is named."""

    id: str | None = None
    is_over: bool = False
    _artifacts: dict[str, str] = field(default_factory=dict[str, str])
    _status: str = ""

    @property
    def _said(self) -> str:
        return "\n\n".join(text for text in self._artifacts.values() if text.strip()) or self._status

    async def answer(self, call: Call, hear: Hear) -> str:
        if not call.is_stream:
            self._take(call, await call.object())
        else:
            async for event in call.events():
                self._take(call, event)
                if self._said:
                    hear(self._said)
                if self.is_over:
                    break
        if not self.is_over:
            raise AgentFailed("The stream broke off before the answer was complete.")
        return self._said

    def _take(self, call: Call, answer: Any) -> None:
        """Raises AgentFailed for an error, and for a task that ended without an answer."""
        answer = as_object(answer)
        if (error := as_object(answer.get("error"))) != {}:
            raise AgentFailed(f"{call.who} answered {error.get('code')}: {clean_line(str(error.get('message') or ''))[:500]}.")
        kind, result = _unwrapped(as_object(answer.get("result")))
        match kind:
            case "message":
                self._status, self.is_over = _text(result), True
            case "artifact-update":
                self._add(as_object(result.get("artifact")), append=bool(result.get("append")))
            case "task" | "status-update":
                self.id = result.get("id") if kind == "task" else result.get("taskId")
                for artifact in result.get("artifacts") or ():
                    self._add(as_object(artifact), append=False)
                self._state(as_object(result.get("status")))
            case _:
                raise AgentFailed(f"{call.who} sent an answer of an unknown kind.")

    def _add(self, artifact: dict[str, Any], *, append: bool) -> None:
        id = str(artifact.get("artifactId"))
        self._artifacts[id] = (self._artifacts.get(id, "") if append else "") + _text(artifact)

    def _state(self, status: dict[str, Any]) -> None:
        state = str(status.get("state") or "").removeprefix("TASK_STATE_").lower().replace("_", "-")
        words = _text(as_object(status.get("message")))
        if state in FAILED:
            self.is_over = True
            raise AgentFailed(f"The task ended as {state}: {clean_line(words)[:500]}.")
        if state in OVER:
            self._status, self.is_over = words, True


def _unwrapped(result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return what kind of answer it is, which 0.3 says in a field and 1.0 by the name of the only one."""
    names = {"task": "task", "message": "message", "statusUpdate": "status-update", "artifactUpdate": "artifact-update"}
    for name, kind in names.items():
        if "kind" not in result and isinstance(result.get(name), dict):
            return kind, result[name]
    return str(result.get("kind")), result


def _text(holder: dict[str, Any]) -> str:
    parts = holder.get("parts") or ()
    return "".join(part["text"] for part in map(as_object, parts) if isinstance(part.get("text"), str))
