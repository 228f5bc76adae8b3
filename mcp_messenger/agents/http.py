"""Calls to agents: their answers, streamed or whole, and their refusals as AgentFailed."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import anyio

from mcp_messenger.errors import AgentFailed
from providers.text import clean_line

if TYPE_CHECKING:
    import httpx

LINE_MAX = 4_000_000
ANSWER_MAX = 4_000_000
DETAIL_MAX = 64 * 1024
JSON, EVENTS = "application/json", "text/event-stream"


@dataclass(frozen=True)
class Call:
    """A call that an agent has taken."""

    client: "httpx.AsyncClient"
    response: "httpx.Response"
    who: str

    @property
    def is_stream(self) -> bool:
        return self.response.headers.get("content-type", "").partition(";")[0].strip() == EVENTS

    async def events(self) -> AsyncIterator[Any]:
        """Yield the data of each event as JSON; a last `[DONE]` ends it."""
        async for line in self.response.aiter_lines():
            if not line.startswith("data:") or len(line) > LINE_MAX:
                continue
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                yield None
                return
            try:
                yield json.loads(data)
            except ValueError:
                raise AgentFailed(f"{self.who} sent something that is not JSON.") from None

    async def whole(self) -> bytes:
        """Return the body. Raises AgentFailed for one that no chat takes."""
        body = await _beginning(self.response, ANSWER_MAX + 1)
        if len(body) > ANSWER_MAX:
            raise AgentFailed(f"{self.who} sent more than {ANSWER_MAX} bytes.")
        return body

    async def object(self) -> dict[str, Any]:
        """Return the body as a JSON object."""
        try:
            found: Any = json.loads(await self.whole())
        except ValueError:
            raise AgentFailed(f"{self.who} sent something that is not JSON.") from None
        return as_object(found)


@asynccontextmanager
async def called(
    who: str, url: str, *, key: str | None, seconds: float, headers: Mapping[str, str] | None = None, **body: Any
) -> AsyncGenerator[Call]:
    """Post to an agent; `body` is httpx's. Raises AgentFailed for every way in which it does not answer."""
    import httpx

    given = {**(headers or {}), **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        with anyio.fail_after(seconds):
            async with (
                httpx.AsyncClient(trust_env=False, timeout=seconds, headers=given) as client,
                client.stream("POST", url, **body) as response,
            ):
                if not response.is_success:
                    reason = _detail(await _beginning(response, DETAIL_MAX))
                    raise AgentFailed(f"{who} answered {response.status_code}: {reason}.", status=response.status_code)
                yield Call(client, response, who)
    except TimeoutError:
        raise AgentFailed(f"The agent did not answer within {seconds:g} s.") from None
    except httpx.HTTPError as error:
        raise AgentFailed(f"{who} does not answer: {clean_line(str(error)) or type(error).__name__}.") from error


def as_object(value: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


async def _beginning(response: "httpx.Response", most: int) -> bytes:
    """Return at most so many bytes of a body: whatever answers there may send more than there is room for."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            break
    return body[:most]


def _detail(content: bytes) -> str:
    """Return the reason in a refusal, as FastAPI, OpenAI and JSON-RPC word it."""
    try:
        found = as_object(json.loads(content))
    except ValueError:
        return "no reason given"
    error = found.get("error")
    detail: Any = found.get("detail") or as_object(error).get("message") or error or found.get("message")
    if detail is None:
        return "no reason given"
    return clean_line(detail)[:500] if isinstance(detail, str) else "the request does not fit"
