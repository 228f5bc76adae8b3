"""Containers and volumes of instances at the engine: those with the label of this installation, and no others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from mcp_messenger.errors import Conflict, EngineRefused, NoSuchThing
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.instances.runtimes.spec import INSTALLATION, INSTANCE, PORT, SPEC, Spec, labels_of, name_of
from mcp_messenger.observability.logs import redacted
from providers.text import clean

STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Listed:
    """One container as the engine lists it."""

    instance_id: UUID
    id: str
    """The engine's, new for each container."""
    name: str
    state: str
    """The engine's word: created, running, restarting, exited, dead, …"""
    port: int | None
    """On 127.0.0.1; None while it does not run, and on a network."""
    spec: str
    image_id: str


@dataclass(frozen=True, slots=True)
class Found:
    """One container as the engine describes it."""

    listed: Listed
    is_running: bool
    is_restarting: bool
    is_oom: bool
    exit_code: int
    restarts: int
    ran_for: float
    """Seconds, the last time that it ended."""


async def listing(engine: Engine, installation: UUID) -> dict[UUID, Listed]:
    found = await engine.call(lambda api: api.containers(all=True, filters={"label": f"{INSTALLATION}={installation}"}))
    parsed = (_listed(one["Labels"], one["Id"], one["Names"][0], one["State"], one.get("Ports", ()), one["ImageID"]) for one in found)
    return {one.instance_id: one for one in parsed if one is not None}


def _listed(labels: Mapping[str, str], id: str, name: str, state: str, ports: Any, image_id: str) -> Listed | None:
    try:
        instance_id = UUID(labels.get(INSTANCE, ""))
    except ValueError:
        return None
    published = [one["PublicPort"] for one in ports if one.get("PrivatePort") == PORT and one.get("PublicPort")]
    return Listed(instance_id, id, name.lstrip("/"), state, published[0] if published else None, labels.get(SPEC, ""), image_id)


async def find(engine: Engine, installation: UUID, instance_id: UUID) -> Found | None:
    """Raises Conflict when its name belongs to a container that is not ours."""
    name = name_of(installation, instance_id)
    try:
        found = await engine.call(lambda api: api.inspect_container(name))
    except NoSuchThing:
        return None
    labels: Mapping[str, str] = found["Config"]["Labels"] or {}
    check_owner(labels, installation, f"container {name}")
    # The ports as they are now: the engine chooses another one at each start.
    published: Mapping[str, Sequence[Mapping[str, str]] | None] = found["NetworkSettings"]["Ports"] or {}
    bindings = published.get(f"{PORT}/tcp") or ()
    ports = [{"PrivatePort": PORT, "PublicPort": int(one["HostPort"])} for one in bindings if one.get("HostPort")]
    state = found["State"]
    listed = _listed(labels, found["Id"], found["Name"], state["Status"], ports, found["Image"])
    assert listed is not None
    ran_for = (_time(state["FinishedAt"]) - _time(state["StartedAt"])).total_seconds()
    is_restarting = bool(state["Restarting"])
    return Found(
        listed, bool(state["Running"]) and not is_restarting, is_restarting, state["OOMKilled"], state["ExitCode"], found["RestartCount"], ran_for
    )


def _time(text: str) -> datetime:
    """The engine writes nanoseconds, and the year 1 for never."""
    head, _, tail = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{tail[:6].ljust(6, '0')}+00:00")


def check_owner(labels: Mapping[str, str], installation: UUID, what: str) -> None:
    """Raise Conflict for what has not the label of this installation."""
    if labels.get(INSTALLATION) != str(installation):
        raise Conflict(f"The {what} is not one of this installation's; it is left alone.", hint="Rename or remove it, if nobody needs it.")


async def ensure_volume(engine: Engine, installation: UUID, instance_id: UUID) -> bool:
    """Whether it had to be made. Raises Conflict when its name belongs to a volume that is not ours."""
    name = name_of(installation, instance_id)
    try:
        found = await engine.call(lambda api: api.inspect_volume(name))
    except NoSuchThing:
        await engine.call(lambda api: api.create_volume(name, labels=labels_of(installation, instance_id)))
        return True
    check_owner(found["Labels"] or {}, installation, f"volume {name}")
    return False


async def create(engine: Engine, spec: Spec) -> None:
    await engine.call(lambda api: api.create_container(**spec.arguments(api)))


async def start(engine: Engine, name: str) -> None:
    await engine.call(lambda api: api.start(name))


async def stop(engine: Engine, name: str) -> None:
    """Nothing where there is none."""
    try:
        await engine.call(lambda api: api.stop(name, timeout=STOP_SECONDS))
    except NoSuchThing:
        return


async def remove(engine: Engine, name: str) -> None:
    """Running or not; nothing where there is none. Its volume stays."""
    try:
        await engine.call(lambda api: api.remove_container(name, force=True))
    except NoSuchThing:
        return
    except EngineRefused as error:
        # Another manager is at it.
        if "already in progress" not in error.detail:
            raise


async def remove_volume(engine: Engine, name: str) -> None:
    try:
        await engine.call(lambda api: api.remove_volume(name))
    except NoSuchThing:
        return


async def volumes(engine: Engine, installation: UUID) -> dict[UUID, str]:
    """Names by instance."""
    answer: Any = await engine.call(lambda api: api.volumes(filters={"label": f"{INSTALLATION}={installation}"}))
    found: dict[UUID, str] = {}
    for volume in answer["Volumes"] or ():
        try:
            found[UUID(volume["Labels"].get(INSTANCE, ""))] = volume["Name"]
        except ValueError:
            continue
    return found


async def log_lines(engine: Engine, name: str, tail: int) -> list[str]:
    try:
        text: bytes = await engine.call(lambda api: api.logs(name, tail=tail))
    except NoSuchThing:
        return []
    return [readable(line) for line in text.splitlines()]


def readable(line: bytes) -> str:
    """A container's line as it may be shown: without secrets, controls and line ends."""
    return clean(redacted(line.decode(errors="replace")))
