"""The container engine."""

from collections.abc import Sequence
from typing import Any

import anyio.to_thread

from mcp_messenger.commands.finding import Finding, ok, problem, warning
from mcp_messenger.config import PREFIX, Config
from providers.text import clean_line

CHECK = "engine"
WITHIN = 5
IN_CONTAINERS = frozenset({"docker", "swarm"})
HINT = "Start Docker, and let this user use it (on Linux: the group docker), or set DOCKER_HOST."


async def check_engine(config: Config, runtimes: Sequence[str]) -> list[Finding]:
    """`runtimes` are those of the instances there are."""
    needed = bool(IN_CONTAINERS & set(runtimes))
    if config.containers.enabled is False:
        if needed:
            detail = f"{PREFIX}DOCKER=0 turns containers off, and there are instances that run in them."
            return [problem(CHECK, detail, f"Unset {PREFIX}DOCKER, or delete those instances.")]
        return [ok(CHECK, f"{PREFIX}DOCKER=0: no instance runs in a container.")]
    try:
        version = await anyio.to_thread.run_sync(_ping)
    except OSError as error:
        detail = f"No container engine answers: {clean_line(str(error))}."
        if needed:
            return [problem(CHECK, detail, HINT)]
        return [warning(CHECK, f"{detail} No instance needs one.", f"For instances in containers only: {HINT}")]
    return [ok(CHECK, f"Docker {version} answers.")]


def _ping() -> str:
    """Its version. Raises OSError."""
    import docker
    from docker.errors import DockerException

    try:
        client: Any = docker.from_env(timeout=WITHIN)
        try:
            return str(client.version()["Version"])
        finally:
            client.close()
    except (DockerException, KeyError) as error:
        raise OSError(str(error)) from error
