"""A run of an agent on an AgentOS (Agno 3), as its events stream in."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import anyio

from mcp_messenger.errors import AgentFailed, quoted
from providers.models import Download
from providers.text import clean_line

Hear = Callable[[str], None]
"""Takes all that the agent has said so far."""

SECONDS = 240.0
LINE_MAX = 4_000_000


@dataclass(frozen=True)
class AgentOs:
    """Where it is, without a slash at the end, and the key it asks for."""

    url: str
    key: str | None = field(default=None, repr=False)

    async def run(self, agent_id: str, *, message: str, session: str, files: Sequence[Download] = (), hear: Hear = lambda said: None) -> str:
        """Return the agent's answer; meanwhile `hear` gets its text so far. Raises AgentFailed.

        The session belongs to the user who began it, so the user is the same as the session: always sent, and never another.
        """
        import httpx

        if not agent_id.strip(". "):
            raise AgentFailed(f"{quoted(agent_id)} is no agent's id.")
        form = {"message": message, "stream": "true", "session_id": session, "user_id": session}
        parts = [("files", (file.name, file.content, file.mime)) for file in files]
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        url = f"{self.url}/agents/{quote(agent_id, safe='')}/runs"
        try:
            with anyio.fail_after(SECONDS):
                async with (
                    httpx.AsyncClient(trust_env=False, timeout=SECONDS, headers=headers) as client,
                    client.stream("POST", url, data=form, files=parts or None) as response,
                ):
                    if response.status_code != 200:
                        await response.aread()
                        raise AgentFailed(f"AgentOS answered {response.status_code}: {_detail(response.content)}.", status=response.status_code)
                    return await _answer(response, hear)
        except TimeoutError:
            raise AgentFailed(f"The agent did not answer within {SECONDS:g} s.") from None
        except httpx.HTTPError as error:
            raise AgentFailed(f"AgentOS does not answer: {clean_line(str(error)) or type(error).__name__}.") from error


async def _answer(response: Any, hear: Hear) -> str:
    said = ""
    async for line in response.aiter_lines():
        if not line.startswith("data:") or len(line) > LINE_MAX:
            continue
        try:
            event: Any = json.loads(line.removeprefix("data:"))
        except ValueError:
            raise AgentFailed("AgentOS sent something that is not JSON.") from None
        match event.get("event"):
            case "RunContent":
                said += str(event.get("content") or "")
                hear(said)
            case "RunCompleted":
                return str(event.get("content") or said)
            case "RunError" | "RunCancelled":
                raise AgentFailed(f"The run ended with {event['event']}: {clean_line(str(event.get('content') or ''))}.")
            case _:
                pass
    raise AgentFailed("The stream broke off before the run was complete.")


def _detail(content: bytes) -> str:
    try:
        detail: Any = json.loads(content)["detail"]
    except (ValueError, KeyError, TypeError):
        return "no reason given"
    return clean_line(detail) if isinstance(detail, str) else "the request does not fit"
