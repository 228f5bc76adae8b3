"""Settings of the containers that instances may run in."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from mcp_messenger.errors import InvalidInput

ENGINE = "DOCKER_HOST"
"""The variable that the docker command reads too."""
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
OWN = "own"
"""Instead of a network's name: a network for each instance."""
SUBNETS = IPv4Network("10.231.0.0/16")
LEAST_SUBNETS = 24
"""The longest prefix that makes sense: 16 instances."""
LEAST_MEMORY = 64 * 2**20
"""Bytes below which no instance starts."""


@dataclass(frozen=True, kw_only=True)
class SwarmConfig:
    """Of instances that run as services of a Docker swarm."""

    network: str = "mcp-messenger-instances"
    """The overlay network on which the managers reach them; made where it is missing."""
    constraints: tuple[str, ...] = ()
    """Of placement, such as node.labels.messengers==true."""
    driver: str | None = None
    """Of volumes that every node can mount; None: volumes are of the node on which an instance began, and it stays there."""
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the driver; {name} in a value is the volume's name."""


@dataclass(frozen=True, kw_only=True)
class ContainerConfig:
    enabled: bool | None = False
    """None: where an engine answers, in the mode that serves HTTP."""
    engine: str | None = None
    """The engine's address, such as unix:///var/run/docker.sock; None: as the docker command finds it."""
    image: str = "mcp-messenger:latest"
    build_from: Path | None = None
    """A folder with the Dockerfile, for an image that is missing; without one it is pulled."""
    target: str = "runtime"
    """The stage of the Dockerfile that is built for messengers that need no other."""
    build_args: Mapping[str, str] = field(default_factory=dict[str, str])
    network: str | None = None
    """Instances are reached by name on it: for a manager that is in a container itself. OWN: a network for each, which the manager joins."""
    subnets: IPv4Network = SUBNETS
    """Of which each instance's own network gets 16 addresses."""
    memory: int = 2**30
    cpus: float = 1.0
    pids: int = 512
    swarm: SwarmConfig | None = None
    """None: no instance runs as a service."""
    environ: Mapping[str, str] = field(default_factory=dict[str, str], repr=False, compare=False)
    """Of this process, for the variables that a messenger has passed on."""

    def image_of(self, stage: str) -> tuple[str, str]:
        """The name of the image that has this stage of the Dockerfile, and the stage: mcp-messenger:latest, mcp-messenger-whatsapp:latest."""
        if stage == "runtime":
            return self.image, self.target
        host, slash, rest = self.image.rpartition("/")
        name, colon, tag = rest.partition(":")
        return f"{host}{slash}{name}-{stage}{colon}{tag}", stage


def from_environment(get: Callable[[str], str], engine: str | None, environ: Mapping[str, str]) -> ContainerConfig:
    """`get` gives a variable by its name without the prefix, "" where it is not set. Raises InvalidInput naming the variable."""
    return ContainerConfig(
        enabled=_switch("DOCKER", get("DOCKER")),
        engine=engine,
        image=get("DOCKER_IMAGE") or ContainerConfig.image,
        build_from=_source(get("DOCKER_BUILD_FROM")),
        target=get("DOCKER_TARGET") or ContainerConfig.target,
        build_args=_pairs("DOCKER_BUILD_ARGS", get("DOCKER_BUILD_ARGS").split(",")),
        network=get("DOCKER_NETWORK") or None,
        subnets=_subnets(get("DOCKER_SUBNETS") or str(SUBNETS)),
        memory=_memory(get("CONTAINER_MEMORY") or "1g"),
        cpus=_positive("CONTAINER_CPUS", get("CONTAINER_CPUS") or "1"),
        pids=int(_positive("CONTAINER_PIDS", get("CONTAINER_PIDS") or "512")),
        swarm=_swarm(get) if _switch("SWARM", get("SWARM")) else None,
        environ=environ,
    )


def _wrong(name: str, value: str, hint: str) -> InvalidInput:
    return InvalidInput(f"MCP_MESSENGER_{name} is {value!r}.", hint=hint)


def _switch(name: str, value: str) -> bool | None:
    if value.lower() not in {"", "0", "1", "true", "false", "yes", "no"}:
        raise _wrong(name, value, "Give 1 or 0, or leave it out.")
    return value.lower() in {"1", "true", "yes"} if value else None


def _swarm(get: Callable[[str], str]) -> SwarmConfig:
    return SwarmConfig(
        network=get("SWARM_NETWORK") or SwarmConfig.network,
        constraints=tuple(part.strip() for part in get("SWARM_CONSTRAINTS").split(",") if part.strip()),
        driver=get("SWARM_VOLUME_DRIVER") or None,
        # Options such as o=addr=10.0.0.2,rw have commas in them.
        options=_pairs("SWARM_VOLUME_OPTIONS", get("SWARM_VOLUME_OPTIONS").split()),
    )


def _source(value: str) -> Path | None:
    """Given, or the checkout that this program runs from."""
    folder = Path(value) if value else Path(__file__).parent.parent.parent
    if (folder / "Dockerfile").is_file():
        return folder
    if value:
        raise _wrong("DOCKER_BUILD_FROM", value, "Give the folder that holds the Dockerfile.")
    return None


def _pairs(setting: str, parts: list[str]) -> dict[str, str]:
    pairs = [part.partition("=") for part in parts if part.strip()]
    if any(not sign for _, sign, _ in pairs):
        raise _wrong(setting, ",".join(parts), "Give NAME=value, several as the table of settings says.")
    return {name.strip(): rest.strip() for name, _, rest in pairs}


def _subnets(value: str) -> IPv4Network:
    try:
        found = IPv4Network(value)
    except ValueError:
        found = None
    if found is None or not found.is_private or found.prefixlen > LEAST_SUBNETS:
        raise _wrong("DOCKER_SUBNETS", value, "Give a private network that nothing else uses, such as 10.231.0.0/16.")
    return found


def _memory(value: str) -> int:
    found = re.fullmatch(r"(\d+)([kmg]?)b?", value.lower())
    size = int(found[1]) * UNITS[found[2]] if found else 0
    if size < LEAST_MEMORY:
        raise _wrong("CONTAINER_MEMORY", value, "Give 64m or more, such as 512m or 1g.")
    return size


def _positive(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise _wrong(name, value, "Give a number above 0.")
    return number
