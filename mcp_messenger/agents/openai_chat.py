"""An agent behind an OpenAI-compatible chat address: a model, a gateway, or a framework that speaks like one.

It remembers nothing, so it is shown what was said before in the chat, its own answers among it.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from mcp_messenger.agents.agent import Hear, Question
from mcp_messenger.agents.http import Call, as_object, called
from mcp_messenger.agents.transcript import transcript
from mcp_messenger.config.agents import AgentConfig
from mcp_messenger.errors import AgentFailed
from providers.text import clean_line

EARLIER_MAX = 40_000
"""Characters of what was said before."""


@dataclass(frozen=True)
class OpenAiChat:
    name: str
    config: AgentConfig

    @property
    def history(self) -> int:
        return self.config.history

    async def run(self, question: Question, hear: Hear) -> str:
        body = {"messages": [*self._before(question), {"role": "user", "content": _content(question)}], "stream": True}
        body |= {"model": self.config.model} if self.config.model else {}
        headers = {"Idempotency-Key": question.key}
        async with called(self.name, self.config.url, key=self.config.bearer, seconds=self.config.seconds, headers=headers, json=body) as call:
            return await _streamed(call, hear) if call.is_stream else _said(await call.object(), "message")

    def _before(self, question: Question) -> list[dict[str, str]]:
        """Return the system's words, and the chat as far as there is room for it."""
        found: list[dict[str, str]] = []
        room = EARLIER_MAX
        for message in reversed(question.earlier):
            words = message.body if message.outgoing else transcript([message], question.chat_kind)
            room -= len(words)
            if room < 0:
                break
            if words.strip():
                found.append({"role": "assistant" if message.outgoing else "user", "content": words})
        system = [{"role": "system", "content": self.config.system}] if self.config.system else []
        return system + found[::-1]


def _content(question: Question) -> str | list[dict[str, Any]]:
    """Return the question: text alone, or with its pictures. A server that takes none refuses it, and is asked again without."""
    pictures = [file for file in question.files if file.mime.startswith("image/")]
    if not pictures:
        return question.text
    shown = [{"type": "image_url", "image_url": {"url": f"data:{file.mime};base64,{b64encode(file.content).decode()}"}} for file in pictures]
    return [{"type": "text", "text": question.text}, *shown]


async def _streamed(call: Call, hear: Hear) -> str:
    said, is_over = "", False
    async for event in call.events():
        if event is None:
            return said
        if (error := as_object(event).get("error")) is not None:
            raise AgentFailed(f"{call.who} broke off: {clean_line(str(as_object(error).get('message') or error))[:500]}.")
        said += _said(event, "delta")
        is_over = is_over or _choice(event).get("finish_reason") is not None
        if said:
            hear(said)
    if not is_over:
        raise AgentFailed("The stream broke off before the answer was complete.")
    return said


def _choice(event: Any) -> dict[str, Any]:
    choices = as_object(event).get("choices")
    return as_object(choices[0]) if isinstance(choices, list) and choices else {}


def _said(event: Any, part: str) -> str:
    content = as_object(_choice(event).get(part)).get("content")
    return content if isinstance(content, str) else ""
