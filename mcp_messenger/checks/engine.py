"""The container engine, and its swarm."""

from collections.abc import Mapping, Sequence
from typing import Any

import anyio.to_thread

from mcp_messenger.checks.finding import Finding, ok, problem, warning
from mcp_messenger.config import PREFIX, Config
from providers.text import clean_line

CHECK = "engine"
WITHIN = 5
HINT = "Start Docker, and let this user use it (on Linux: the group docker), or set DOCKER_HOST."


async def check_engine(config: Config, runtimes: Sequence[str]) -> list[Finding]:
    """`runtimes` are those of the instances there are."""
    off = _turned_off(config, runtimes)
    if off is not None:
        return off
    try:
        version, info = await anyio.to_thread.run_sync(_ask, config.containers.swarm is not None)
    except OSError as error:
        detail = f"No container engine answers: {clean_line(str(error))}."
        if {"docker", "swarm"} & set(runtimes):
            return [problem(CHECK, detail, HINT)]
        return [warning(CHECK, f"{detail} No instance needs one.", f"For instances in containers only: {HINT}")]
    return [ok(CHECK, f"Docker {version} answers."), *_swarm(config, info)]


def _turned_off(config: Config, runtimes: Sequence[str]) -> list[Finding] | None:
    """Return what to say where nothing here asks an engine; None where something does."""
    if "swarm" in runtimes and config.containers.swarm is None:
        detail = f"{PREFIX}SWARM is not set, and there are instances that run in a swarm."
        return [problem(CHECK, detail, f"Set {PREFIX}SWARM=1, or delete those instances.")]
    if config.containers.enabled is not False or config.containers.swarm is not None:
        return None
    if "docker" in runtimes:
        detail = f"{PREFIX}DOCKER=0 turns containers off, and there are instances that run in them."
        return [problem(CHECK, detail, f"Unset {PREFIX}DOCKER, or delete those instances.")]
    return [ok(CHECK, f"{PREFIX}DOCKER=0: no instance runs in a container.")]


def _swarm(config: Config, info: Mapping[str, Any]) -> list[Finding]:
    if config.containers.swarm is None:
        return []
    swarm: Mapping[str, Any] = info.get("Swarm") or {}
    if swarm.get("ControlAvailable"):
        managers = int(swarm.get("Managers") or 0)
        if managers in {1, 2}:
            detail = f"The swarm has {managers} manager{'s' if managers > 1 else ''}: without one nothing is moved or made."
            return [warning(CHECK, detail, "Make it three: 'docker node promote NODE'.")]
        return [ok(CHECK, f"It manages a swarm of {swarm.get('Nodes')} nodes, one of {managers} managers.")]
    return [problem(CHECK, f"{PREFIX}SWARM=1, and the engine manages no swarm.", "Run 'docker swarm init', or set DOCKER_HOST to one that does.")]


def _ask(about_swarm: bool) -> tuple[str, Mapping[str, Any]]:
    """Return its version, and what it says of itself where that is wanted: a broker does not tell it. Raises OSError."""
    import docker
    from docker.errors import DockerException

    try:
        client: Any = docker.from_env(timeout=WITHIN)
        try:
            version = clean_line(str(client.version()["Version"]))
            return version, client.info() if about_swarm else {}
        finally:
            client.close()
    except (DockerException, KeyError) as error:
        raise OSError(str(error)) from error
