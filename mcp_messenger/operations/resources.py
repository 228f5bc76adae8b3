"""Processor, memory, disk and ports of the machine, and how much of them is used."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import anyio.to_thread

from db import addresses, instances
from mcp_messenger.instances.runtimes.containers import Listed
from mcp_messenger.instances.runtimes.docker import DockerRuntime
from mcp_messenger.instances.runtimes.statistics import Usage
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Input, Nothing, Output
from mcp_messenger.security.caller import Caller

INSTANCES_MAX = 10_000


class Performance(Output):
    """Percent of the machine's processor and memory; this process's own share in `process`."""

    cpu_usage: float
    memory_usage: float
    load_average: list[float]
    process: dict[str, float]


class EngineFigures(Output):
    """The Docker engine; `away` says why it does not answer."""

    version: str | None = None
    away: str | None = None
    containers: int = 0
    running: int = 0


class ContainerFigures(Output):
    """One instance's container; processor in percent of one, memory in MB without the page cache. Figures are up to ten seconds old."""

    instance_id: str
    state: str
    port: int | None = None
    cpu: float | None = None
    memory_mb: float | None = None
    memory_limit_mb: float | None = None
    processes: int | None = None


class Resources(Performance):
    disk: dict[str, float]
    instances: dict[str, Any]
    docker: EngineFigures | None = None
    containers: list[ContainerFigures] = []


class Ports(Output):
    """Ports of instances' own addresses; first and last of the range, which is empty where instances have none."""

    used_ports: list[int]
    range: list[int]
    free: int


async def get_performance(app: App, caller: Caller, args: Input) -> Performance:
    return await anyio.to_thread.run_sync(_performance)


async def get_resources(app: App, caller: Caller, args: Input) -> Resources:
    performance = await anyio.to_thread.run_sync(_performance)
    disk = await anyio.to_thread.run_sync(_disk, app)
    running = app.supervisor.owned
    return Resources(
        **dict(performance),
        disk=disk,
        instances={"running": len(running), "known": len(app.memory.entries())} if caller.is_admin else {},
        docker=_engine(app.docker) if app.docker is not None else None,
        containers=await _containers(app, app.docker, caller) if app.docker is not None else [],
    )


def _engine(docker: DockerRuntime) -> EngineFigures:
    states = [one.state for one in docker.containers.values()]
    return EngineFigures(version=docker.version, away=docker.away, containers=len(states), running=states.count("running"))


async def _containers(app: App, docker: DockerRuntime, caller: Caller) -> list[ContainerFigures]:
    """The caller's own."""
    usage: Mapping[UUID, Usage] = await docker.statistics.usage() if docker.away is None else {}
    rows = await instances.listing(app.database, user_id=caller.user_id, id=caller.instance_id, limit=INSTANCES_MAX)
    return [_figures(one, row.tcp_port, usage.get(row.id)) for row in rows if caller.sees(row) and (one := docker.containers.get(row.id)) is not None]


def _figures(one: Listed, port: int | None, usage: Usage | None) -> ContainerFigures:
    plain = ContainerFigures(instance_id=str(one.instance_id), state=one.state, port=port)
    if usage is None:
        return plain
    figures = {"cpu": usage.cpu, "memory_mb": usage.memory, "memory_limit_mb": usage.memory_limit, "processes": usage.processes}
    return plain.model_copy(update=figures)


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

    # Of a folder that is not there: of the disk that it would be on.
    folder = next(folder for folder in (app.config.data_dir, *app.config.data_dir.absolute().parents) if folder.exists())
    usage = shutil.disk_usage(folder)
    return {"total_gb": round(usage.total / 2**30, 1), "free_gb": round(usage.free / 2**30, 1)}


async def get_ports(app: App, caller: Caller, args: Input) -> Ports:
    ports = app.addresses.ports
    if ports is None:
        return Ports(used_ports=[], range=[], free=0)
    used = await addresses.used_ports(app.database)
    return Ports(used_ports=used, range=[ports[0], ports[-1]], free=len(ports) - len(set(used) & set(ports)))


async def clear_port_cache(app: App, caller: Caller, args: Input) -> Nothing:
    caller.require_admin()
    app.addresses.clear()
    return Nothing()


class Health(Output):
    status: str
    timestamp: datetime
    uptime: float
    environment: str
    version: str
    checks: dict[str, Any]
