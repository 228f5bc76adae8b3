"""The application as a process of its own, which does what a test tells it, and can be made to die at a named point.

As a program it reads one JSON object a line, {"id", "operation", "arguments"}, and answers {"id", "answer"} or {"id", "error"}.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic import SecretStr

import db.batches
import db.deliveries
import db.inbound
import db.leases
import db.outbox
from mcp_messenger.agents import agents
from mcp_messenger.agents.agno import AgentOs
from mcp_messenger.app import running
from mcp_messenger.config import Config
from mcp_messenger.operations.application import App
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.security.caller import ADMIN
from providers import provider_class
from providers.errors import MessengerError
from tests.waiting import PATIENCE, until_answer

ROOT = Path(__file__).parent.parent
LINE_MAX = 1_000_000

When = Literal["before", "given", "after"]
POINTS: dict[str, tuple[Any, str, When]] = {
    "before the queue": (db.outbox, "queue", "before"),
    "after the queue": (db.outbox, "queue", "given"),
    "after the claim": (db.outbox, "claim", "given"),
    "after the platform": ("telegram", "send", "given"),
    "after the settling": (db.outbox, "sent", "given"),
    "before storing": (db.inbound, "append_messages", "before"),
    "after storing": (db.inbound, "append_messages", "given"),
    "before the lease": (db.leases, "acquire", "before"),
    "after the lease": (db.leases, "acquire", "given"),
    "before the posts": (db.deliveries, "claim", "given"),
    "after the posts": (db.deliveries, "settle", "before"),
    "after the settled posts": (db.deliveries, "settle", "given"),
    "after the question's claim": (db.batches, "take", "given"),
    "after the run": (AgentOs, "run", "given"),
    "before it is shown": (db.batches, "show", "after"),
    "before an edit": ("telegram", "edit", "before"),
    "after an edit": ("telegram", "edit", "after"),
    "before the question's end": (db.batches, "end", "before"),
}
"""The owner, or the messenger whose provider it is, what is called of it, and whether to die before, after, or when it has given something."""


def die_at(point: str, times: int = 1) -> None:
    """The so-manieth time that it gets there."""
    owner, name, when = POINTS[point]
    if isinstance(owner, str):
        # An SDK costs half a second, which most peers need not spend.
        owner = provider_class(owner)
    act: Callable[..., Awaitable[Any]] = getattr(owner, name)
    left = itertools.count(times - 1, -1)

    async def deadly(*args: Any, **kwargs: Any) -> Any:
        given = None if when == "before" else await act(*args, **kwargs)
        if (given or when != "given") and next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return await act(*args, **kwargs) if when == "before" else given

    setattr(owner, name, deadly)


async def obey(app: App, request: dict[str, Any]) -> None:
    try:
        if request["operation"] == "held":
            answer: Any = [str(instance_id) for instance_id in app.supervisor.owned]
        else:
            operation = BY_NAME[request["operation"]]
            answer = (await operation.run(app, ADMIN, operation.input.model_validate(request["arguments"]))).model_dump(mode="json", by_alias=True)
        say({"id": request["id"], "answer": answer})
    except MessengerError as error:
        say({"id": request["id"], "error": {"code": error.code, "detail": error.detail}})


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def main(database_url: str, data_dir: str, point: str, agno_url: str, lease: str) -> None:
    if point:
        die_at(point)
    if lease:
        agents.LEASE = float(lease)
    # What it posts and fetches in tests is on this machine.
    here = (IPv4Network("127.0.0.0/8"),)
    config = Config(data_dir=Path(data_dir), database_url=SecretStr(database_url), allowed_networks=here, agno_url=agno_url or None)
    async with running(config) as app:
        await app.database.started()
        async with anyio.create_task_group() as tasks:
            while line := await anyio.to_thread.run_sync(sys.stdin.readline):
                tasks.start_soon(obey, app, json.loads(line))


class Refused(Exception):
    """What the operation raised there; its code, then its detail."""


class Peer:
    def __init__(self, process: anyio.abc.Process, log: Path) -> None:
        self.log = log
        self._process = process
        self._numbers = itertools.count()
        self._answers: dict[int, dict[str, Any]] = {}
        self._answered = anyio.Event()

    async def listen(self) -> None:
        assert self._process.stdout is not None
        lines = BufferedByteReceiveStream(self._process.stdout)
        try:
            while True:
                answer = json.loads(await lines.receive_until(b"\n", LINE_MAX))
                self._answers[answer["id"]] = answer
                self._answered.set()
                self._answered = anyio.Event()
        except (anyio.EndOfStream, anyio.IncompleteRead):
            return

    async def tell(self, operation: str, **arguments: Any) -> int:
        """Ask without waiting; the number of the answer."""
        assert self._process.stdin is not None
        number = next(self._numbers)
        await self._process.stdin.send(json.dumps({"id": number, "operation": operation, "arguments": arguments}).encode() + b"\n")
        return number

    async def call(self, operation: str, **arguments: Any) -> Any:
        """Raises Refused."""
        number = await self.tell(operation, **arguments)
        with anyio.fail_after(PATIENCE):
            while number not in self._answers:
                await self._answered.wait()
        answer = self._answers.pop(number)
        if "error" in answer:
            raise Refused(answer["error"]["code"], answer["error"]["detail"])
        return answer["answer"]

    async def until_ready(self, instance_id: str) -> None:
        await until_answer(lambda: self.call("get_auth_status", instance_id=instance_id), lambda found: found["state"] == "ready")

    async def until_it_holds(self, *instance_ids: str) -> None:
        await until_answer(lambda: self.call("held"), lambda held: sorted(held) == sorted(instance_ids))

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        with anyio.fail_after(PATIENCE):
            return await self._process.wait()

    async def stop(self) -> int:
        """As a client that closes its end: the process ends by itself."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()
        return await self.ended()


@asynccontextmanager
async def peer(database_url: str, data_dir: Path, *, dies: str = "", agno_url: str = "", lease: str = "") -> AsyncGenerator[Peer]:
    """Killed at the end, if it still runs. `dies` is one of POINTS, `lease` the seconds for which a question to an agent is held."""
    log = data_dir / f"peer-{os.urandom(3).hex()}.log"
    command = [sys.executable, "-m", "tests.peer", database_url, str(data_dir), dies, agno_url, lease]
    with log.open("w") as stderr:
        process = await anyio.open_process(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
    async with process, anyio.create_task_group() as tasks:
        here = Peer(process, log)
        tasks.start_soon(here.listen)
        try:
            yield here
        finally:
            if process.returncode is None:
                process.kill()
            tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5])
