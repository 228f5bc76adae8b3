"""Several `mcp-messenger serve` on one database, as processes that are killed, frozen and started again."""

import json
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx

from tests.peer import POINTS
from tests.program import ROOT, environment
from tests.system_postgres import free_port
from tests.waiting import until

AGENTS = {"after the question's claim", "after the run", "before it is shown", "before an edit", "after an edit", "before the question's end"}
DEADLY = sorted(POINTS.keys() - AGENTS)
"""All but those where an agent answers."""
TIMES_MAX = 40
"""The deadly point is reached so often at most before a manager dies there."""


class Manager:
    """One place of the cluster, on one port: when its process has died, another is started there."""

    def __init__(self, name: str, env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self.process: anyio.abc.Process | None = None
        self.folder = folder
        self._env = env
        self._lives = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def live(self, fate: Mapping[str, Any]) -> int:
        """From start to death; its exit code."""
        self._lives += 1
        command = [sys.executable, "-m", "tests.doomed", json.dumps(fate), "serve", "--port", str(self.port), "--log-level", "WARNING"]
        with (self.folder / f"{self.name}-{self._lives}.log").open("w") as log:
            self.process = await anyio.open_process(command, cwd=ROOT, env=self._env, stdout=subprocess.DEVNULL, stderr=log)
        try:
            return await self.process.wait()
        finally:
            if self.process.returncode is None:
                self.process.kill()
                with anyio.CancelScope(shield=True):
                    await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def until_up(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:

            async def is_healthy() -> bool:
                try:
                    return (await client.get(f"{self.url}/health")).is_success
                except httpx.TransportError:
                    return False

            await until(is_healthy)


class Managers:
    """`deaths` counts by their cause: a named point, or a signal of the test's."""

    def __init__(self, members: Sequence[Manager], *, lease: float | None, seed: int) -> None:
        self.members = members
        self.deaths: Counter[str] = Counter()
        self.dooming = False
        self._lease = lease
        self._random = random.Random(seed)
        self._ending = False

    def __iter__(self) -> Any:
        return iter(self.members)

    async def keep(self, manager: Manager) -> None:
        """Start it again and again."""
        while not self._ending:
            fate = self._fate()
            code = await manager.live(fate)
            if self._ending:
                assert code == 0, f"{manager.name} ended with {code}"
            elif code == -signal.SIGKILL:
                self.deaths[fate.get("point") or "killed"] += 1
            else:
                raise AssertionError(f"{manager.name} ended with {code}, and nobody had told it to")

    def _fate(self) -> dict[str, Any]:
        fate: dict[str, Any] = {"lease": self._lease}
        if self.dooming and self._random.random() < 0.7:
            fate |= {"point": self._random.choice(DEADLY), "times": self._random.randint(1, TIMES_MAX)}
        return fate

    async def until_up(self) -> None:
        for manager in self.members:
            await manager.until_up()

    async def stop(self) -> None:
        """All of them, in order; fails when one does not end as it should."""
        # Who is still starting does not listen to signals yet.
        await self.until_up()
        self._ending = True
        for manager in self.members:
            manager.signal(signal.SIGTERM)

    def complaints(self) -> list[str]:
        """Lines of their logs that tell of something that broke."""
        found: list[str] = []
        for path in sorted(self.members[0].folder.glob("manager-*.log")):
            lines = path.read_text(errors="replace").splitlines()
            found += [f"{path.name}: {line}" for line in lines if re.search(r"\bERROR\b|Traceback", line)]
        return found


@asynccontextmanager
async def managers(
    database_url: str, folder: Path, *, count: int = 3, lease: float | None = None, seed: int = 0, **more: str
) -> AsyncGenerator[Managers]:
    """Ready for calls. They are stopped in order at the end, or killed when the test has failed."""
    env = environment(folder / "data", database_url, MCP_MESSENGER_ALLOW_NETWORKS="127.0.0.0/8", MCP_MESSENGER_RATE_LIMIT="0", **more)
    (folder / "data").mkdir(exist_ok=True)
    cluster = Managers([Manager(f"manager-{number}", env, folder) for number in range(count)], lease=lease, seed=seed)
    async with anyio.create_task_group() as tasks:
        for manager in cluster.members:
            tasks.start_soon(cluster.keep, manager)
        await cluster.until_up()
        yield cluster
        await cluster.stop()
