"""A real AgentOS with a model that repeats, word by word, and of a long text says only as many words as `POST /words/N` has allowed.

Runs in an environment of its own: `python agno_server.py PORT`, with AGNO's packages there. It needs agno, fastapi, uvicorn,
python-multipart, sqlalchemy[asyncio], aiosqlite and greenlet.
"""

# pyright: basic, reportMissingImports=false
import asyncio
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from agno.agent import Agent
from agno.db.sqlite import AsyncSqliteDb
from agno.models.base import Model
from agno.models.response import ModelResponse
from agno.os import AgentOS

AT_ONCE = 10
"""Words that need no leave."""
ALLOWED = asyncio.Semaphore(0)


class Parrot(Model):
    def _said(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ModelResponse:
        messages = kwargs.get("messages") or args[0]
        return ModelResponse(role="assistant", content=f"agent: {messages[-1].content}")

    def invoke(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return self._said(args, kwargs)

    async def ainvoke(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return self._said(args, kwargs)

    def invoke_stream(self, *args: Any, **kwargs: Any) -> Iterator[ModelResponse]:
        yield self._said(args, kwargs)

    async def ainvoke_stream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ModelResponse]:
        words = re.findall(r"\S+\s*", str(self._said(args, kwargs).content))
        for word in words:
            if len(words) > AT_ONCE:
                await ALLOWED.acquire()
            yield ModelResponse(role="assistant", content=word)

    def _parse_provider_response(self, response: Any, **kwargs: Any) -> ModelResponse:
        return response

    def _parse_provider_response_delta(self, response: Any) -> ModelResponse:
        return response


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        agent = Agent(id="helper", name="helper", model=Parrot(id="parrot"), db=AsyncSqliteDb(db_file=str(Path(folder) / "agno.db")), telemetry=False)
        app = AgentOS(agents=[agent], telemetry=False).get_app()

        @app.post("/words/{count}")
        async def allow(count: int) -> None:
            for _ in range(count):
                ALLOWED.release()

        uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
