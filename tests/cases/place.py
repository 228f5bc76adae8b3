"""The application that the cases of one file share, and what is asked of it over HTTP."""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from mcp_messenger.operations.application import App
from mcp_messenger.operations.table import OPERATIONS
from tests.postgres import execute
from tests.running import running_app, serving, until_status
from tests.standins.agent_os import AgentOsStandIn, agent_os
from tests.stored import one, rows
from tests.waiting import until

Json = dict[str, Any]

PATIENCE = 30.0
ANSWER = "The agent has nothing to add."
"""What the agent says where a case does not say it. Messages of this text are not the case's."""
_LATER = """UPDATE deliveries SET run_at = now(), created_at = created_at - interval '1 minute'
    WHERE status = 'pending' AND target = 'agno'"""
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_BY_NAME = {row.name: row for row in OPERATIONS}


class Refused(Exception):
    """An operation was answered with a problem."""

    def __init__(self, problem: Json) -> None:
        super().__init__(json.dumps(problem))
        self.problem = problem


@dataclass
class Place:
    """`agents` answer for the instances that are made with an agent."""

    database_url: str
    folder: Path
    agents: AgentOsStandIn
    config: Json
    """Of Config's fields."""
    app: App = None  # pyright: ignore[reportAssignmentType] - there once it has started
    url: str = ""

    def __post_init__(self) -> None:
        self._running = AsyncExitStack()

    async def start(self) -> None:
        self.app = await self._running.enter_async_context(running_app(self.database_url, self.folder, agno_url=self.agents.url, **self.config))
        self.url = await self._running.enter_async_context(serving(self.app))

    async def stop(self) -> None:
        await self._running.aclose()

    async def call(self, operation: str, **arguments: Any) -> Json:
        """The answer of an operation over REST. Raises Refused."""
        row = _BY_NAME[operation]
        path = row.path
        for name in [name for name in row.input.model_fields if f"{{{name}}}" in path]:
            path = path.replace(f"{{{name}}}", quote(str(arguments.pop(name)), safe=""))
        given: Json = {"json": arguments} if row.method in _WITH_BODY else {"params": {name: _text(value) for name, value in arguments.items()}}
        return await self.request(row.method, f"/api/v1{path}", **given)

    def _client(self, timeout: float) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=timeout, verify=self.app.tls())

    async def request(self, method: str, path: str, **given: Any) -> Json:
        async with self._client(PATIENCE) as client:
            answer = await client.request(method, path, **given)
        if answer.is_error:
            raise Refused(answer.json())
        return answer.json() if answer.content else {}

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """The status of a platform's delivery."""
        async with self._client(PATIENCE) as client:
            return (await client.post(path, content=body, headers=headers)).status_code

    async def streamed(self, instance_id: str, count: int) -> list[Json]:
        """The first events of the event stream."""
        found: list[Json] = []
        path = f"/api/v1/events/stream?instance_id={instance_id}"
        async with self._client(PATIENCE) as client, client.stream("GET", path) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    found.append(json.loads(line.removeprefix("data:")))
                if len(found) == count:
                    break
        return found

    async def make(self, provider: str, credentials: Json, *, agent: bool = False) -> str:
        """The id of a new instance that is ready."""
        answers = {"agno_enable": True, "agent_id": "helper"} if agent else {}
        made = await self.call("create_instance", provider=provider, credentials=credentials, **answers)
        await until_status(self.app, made["instance_id"], "ready")
        return made["instance_id"]

    def rows(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        return rows(self.database_url, statement, *params)

    def one(self, statement: str, *params: object) -> Any:
        return one(self.database_url, statement, *params)

    async def agents_have_decided(self, instance_id: str) -> None:
        """Returns when each question to an agent is answered, or left alone, and the answers are out."""
        waiting = """SELECT (SELECT count(*) FROM deliveries WHERE target = 'agno' AND status = 'pending' AND instance_id = %s)
            + (SELECT count(*) FROM outbox WHERE instance_id = %s)"""

        def decided() -> bool:
            if not self.one(waiting, instance_id, instance_id):
                return True
            # What time would do: the seconds of silence that end a burst have passed.
            execute(self.database_url, _LATER)
            self.app.agents.wake()
            return False

        await until(decided, PATIENCE)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@asynccontextmanager
async def placed(database_url: str, folder: Path, **config: Any) -> AsyncGenerator[Place]:
    async with agent_os() as agents:
        place = Place(database_url, folder, agents, config)
        await place.start()
        try:
            yield place
        finally:
            await place.stop()
