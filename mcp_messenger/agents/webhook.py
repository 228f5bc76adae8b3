"""An agent behind any address that answers a POST: a workflow, a function, a program of one's own.

It may answer with JSON (`answer`, `text`, `output` or `message`), with plain text, with nothing (204: it has nothing to say), or with a stream
of events whose data is `{"delta": "…"}` for what follows and `{"answer": "…"}` or `[DONE]` for the end.
"""

from dataclasses import dataclass
from typing import Any

from mcp_messenger.agents.agent import Hear, Question
from mcp_messenger.agents.http import EVENTS, JSON, Call, as_object, called
from mcp_messenger.config.agents import AgentConfig
from mcp_messenger.errors import AgentFailed

ANSWERS = ("answer", "text", "output", "message")


@dataclass(frozen=True)
class WebhookAgent:
    name: str
    config: AgentConfig

    @property
    def history(self) -> int:
        return 0

    async def run(self, question: Question, hear: Hear) -> str:
        headers, seconds = {"Idempotency-Key": question.key, "Accept": f"{EVENTS}, {JSON}, text/plain"}, self.config.seconds
        async with called(self.name, self.config.url, key=self.config.bearer, seconds=seconds, headers=headers, json=_body(question)) as call:
            if call.response.status_code == 204:
                return ""
            if call.is_stream:
                return await _streamed(call, hear)
            if call.response.headers.get("content-type", "").startswith("text/"):
                return (await call.whole()).decode(errors="replace")
            return _answer(await call.object())


def _body(question: Question) -> dict[str, Any]:
    return {
        "agent": question.agent_id,
        "session": question.session,
        "instance_id": question.instance_id,
        "chat": {"id": question.chat_id, "kind": question.chat_kind},
        "text": question.text,
        "messages": [
            {
                "id": str(message.id),
                "from": {"id": message.sender_id, "name": message.sender_name},
                "at": message.sent_at.isoformat(),
                "kind": message.kind,
                "text": message.body,
            }
            for message in question.messages
        ],
        "untrusted": True,
    }


def _answer(found: dict[str, Any]) -> str:
    """Return what is to be sent. Raises AgentFailed for JSON without a text under a name that we know."""
    for name in ANSWERS:
        if isinstance(found.get(name), str):
            return found[name]
    if any(name in found and found[name] is None for name in ANSWERS):
        return ""
    raise AgentFailed(f"The answer has none of {', '.join(ANSWERS)}.")


async def _streamed(call: Call, hear: Hear) -> str:
    said = ""
    async for event in call.events():
        if event is None:
            return said
        part = as_object(event)
        if isinstance(part.get("delta"), str):
            said += part["delta"]
            hear(said)
        else:
            return _answer(part)
    raise AgentFailed("The stream broke off before the answer was complete.")
