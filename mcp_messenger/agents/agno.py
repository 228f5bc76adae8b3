"""A run of an agent on an AgentOS (Agno 3), as its events stream in."""

from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote

import anyio

from mcp_messenger.agents.agent import Hear, Question
from mcp_messenger.agents.http import Call, called
from mcp_messenger.errors import AgentFailed, quoted
from providers.text import clean_line

SECONDS = 240.0
CANCEL_WITHIN = 5.0
WHO = "AgentOS"


@dataclass(frozen=True)
class AgentOs:
    """Where it is, without a slash at the end, and the key it asks for."""

    url: str
    key: str | None = field(default=None, repr=False)

    @property
    def history(self) -> int:
        return 0

    async def run(self, question: Question, hear: Hear) -> str:
        """Return the answer of the agent with the question's id.

        The session belongs to the user who began it, so the user is the same as the session: always sent, and never another.
        """
        import httpx

        agent_id, session = question.agent_id, question.session
        if not agent_id.strip(". "):
            raise AgentFailed(f"{quoted(agent_id)} is no agent's id.")
        form = {"message": question.text, "stream": "true", "session_id": session, "user_id": session}
        parts = [("files", (file.name, file.content, file.mime)) for file in question.files]
        url = f"{self.url}/agents/{quote(agent_id, safe='')}/runs"
        async with called(WHO, url, key=self.key, seconds=SECONDS, data=form, files=parts or None) as call:
            run = _Run()
            try:
                return await run.answer(call, hear)
            finally:
                if run.id is not None and not run.is_over:
                    with anyio.move_on_after(CANCEL_WITHIN, shield=True), suppress(httpx.HTTPError):
                        await call.client.post(f"{url}/{quote(run.id, safe='')}/cancel", params={"session_id": session})


@dataclass
class _Run:
    """A run as its events tell of it; `id` is None until one has named it."""

    id: str | None = None
    is_over: bool = False

    async def answer(self, call: Call, hear: Hear) -> str:
        said = ""
        async for event in call.events():
            if isinstance(event.get("run_id"), str):
                self.id = event["run_id"]
            match event.get("event"):
                case "RunContent":
                    said += str(event.get("content") or "")
                    hear(said)
                case "RunCompleted":
                    self.is_over = True
                    return str(event.get("content") or said)
                case "RunError" | "RunCancelled":
                    self.is_over = True
                    raise AgentFailed(f"The run ended with {event['event']}: {clean_line(str(event.get('content') or ''))}.")
                case _:
                    pass
        raise AgentFailed("The stream broke off before the run was complete.")
