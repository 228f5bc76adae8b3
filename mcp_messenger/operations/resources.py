"""What the machine has, and what is used of it."""

from datetime import datetime
from typing import Any

import anyio.to_thread

from mcp_messenger.app import App
from mcp_messenger.caller import Caller
from mcp_messenger.operations.operation import Input, Nothing, Output


class Performance(Output):
    """Percent of the machine's processor and memory; this process's own share in `process`."""

    cpu_usage: float
    memory_usage: float
    load_average: list[float]
    process: dict[str, float]


class Resources(Performance):
    disk: dict[str, float]
    instances: dict[str, Any]


class Ports(Output):
    """Ports given to instance containers. None are, where no instance runs in a container."""

    used_ports: list[int]
    range: list[int]
    free: int


async def get_performance(app: App, caller: Caller, args: Input) -> Performance:
    return await anyio.to_thread.run_sync(_performance)


async def get_resources(app: App, caller: Caller, args: Input) -> Resources:
    performance = await anyio.to_thread.run_sync(_performance)
    disk = await anyio.to_thread.run_sync(_disk, app)
    running = app.supervisor.held
    return Resources(
        **dict(performance),
        disk=disk,
        instances={"running": len(running), "known": len(app.memory.entries())} if caller.is_admin else {},
    )


def _performance() -> Performance:
    import psutil

    own = psutil.Process()
    with own.oneshot():
        process = {"memory_mb": round(own.memory_info().rss / 2**20, 1), "cpu_seconds": round(sum(own.cpu_times()[:2]), 2)}
    # Over a short while: the figure since the last call would be nonsense at the first.
    return Performance(
        cpu_usage=psutil.cpu_percent(interval=0.1),
        memory_usage=psutil.virtual_memory().percent,
        load_average=[round(value, 2) for value in psutil.getloadavg()],
        process=process,
    )


def _disk(app: App) -> dict[str, float]:
    import shutil

    app.config.data_dir.mkdir(parents=True, exist_ok=True)
    usage = shutil.disk_usage(app.config.data_dir)
    return {"total_gb": round(usage.total / 2**30, 1), "free_gb": round(usage.free / 2**30, 1)}


async def get_ports(app: App, caller: Caller, args: Input) -> Ports:
    return Ports(used_ports=[], range=[], free=0)


async def clear_port_cache(app: App, caller: Caller, args: Input) -> Nothing:
    caller.require_admin()
    return Nothing()


class Health(Output):
    status: str
    timestamp: datetime
    uptime: float
    environment: str
    version: str
    checks: dict[str, Any]
