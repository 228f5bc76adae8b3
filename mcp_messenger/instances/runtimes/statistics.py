"""What containers use of the machine. The engine takes a second for each answer, so they are asked beforehand, and together."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import anyio

from mcp_messenger.errors import EngineAway, EngineRefused
from mcp_messenger.instances.runtimes.containers import Listed
from mcp_messenger.instances.runtimes.engine import Engine

FRESH = 10.0
"""Seconds that figures are good for."""
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu` in percent of one processor over the last second; memory in MB without the page cache."""

    cpu: float
    memory: float
    memory_limit: float
    processes: int


class Statistics:
    def __init__(self, engine: Engine, listed: Callable[[], Mapping[UUID, Listed]]) -> None:
        self._engine = engine
        self._listed = listed
        self._usage: dict[UUID, Usage] = {}
        self._asked = float("-inf")
        self._asking = anyio.Lock()

    async def usage(self) -> Mapping[UUID, Usage]:
        """Of the containers that run; not older than ten seconds. Who asks first waits for it, about a second for eight containers."""
        async with self._asking:
            if time.monotonic() - self._asked > FRESH:
                self._usage = await self._all()
                self._asked = time.monotonic()
        return self._usage

    async def _all(self) -> dict[UUID, Usage]:
        found: dict[UUID, Usage] = {}
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def ask(one: Listed) -> None:
            async with limiter:
                usage = await self._one(one.name)
            if usage is not None:
                found[one.instance_id] = usage

        async with anyio.create_task_group() as group:
            for one in self._listed().values():
                if one.state == "running":
                    group.start_soon(ask, one)
        return found

    async def _one(self, name: str) -> Usage | None:
        try:
            return _usage(await self._engine.call(lambda api: api.stats(name, stream=False)))
        except (EngineAway, EngineRefused):
            return None


def _usage(stats: Mapping[str, Any]) -> Usage | None:
    """None for a container that has just ended."""
    now, before, memory = stats["cpu_stats"], stats["precpu_stats"], stats["memory_stats"]
    if "usage" not in memory or "system_cpu_usage" not in now:
        return None
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    passed = now["system_cpu_usage"] - before.get("system_cpu_usage", 0)
    cpu = 100 * used / passed * now.get("online_cpus", 1) if passed > 0 else 0.0
    detail = memory.get("stats", {})
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    return Usage(
        round(cpu, 1), _megabytes(memory["usage"] - cache), _megabytes(memory.get("limit", 0)), stats.get("pids_stats", {}).get("current", 0)
    )


def _megabytes(size: int) -> float:
    return round(size / 2**20, 1)
