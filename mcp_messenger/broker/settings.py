"""The settings of the broker, read from its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_messenger.config import PREFIX
from mcp_messenger.config.containers import ContainerConfig
from mcp_messenger.errors import InvalidInput

SOCKET = "/run/mcp-messenger/broker.sock"
ENGINE = "/var/run/docker.sock"
STAGES = ("runtime", "whatsapp")
"""Stages of the Dockerfile that instances run."""
VARIABLES = frozenset({"WA_CHROMIUM_ARGS"})
"""What providers have passed on to their containers, besides the relay's own variables."""


@dataclass(frozen=True, kw_only=True)
class BrokerConfig:
    socket: Path
    engine: Path
    uid: int
    """Of the user whose calls are taken."""
    containers: ContainerConfig
    """Its limits are the highest that a container may have."""

    @property
    def images(self) -> frozenset[str]:
        return frozenset(self.containers.image_of(stage)[0] for stage in STAGES)


def from_environment(environ: Mapping[str, str], containers: ContainerConfig) -> BrokerConfig:
    """Raises InvalidInput naming the variable that cannot be read."""
    uid = environ.get(PREFIX + "BROKER_UID", "").strip() or str(os.getuid())
    if not (uid.isascii() and uid.isdecimal()):
        raise InvalidInput(f"{PREFIX}BROKER_UID is {uid!r}.", hint="Give the number of the server's user, such as 10001.")
    engine = containers.engine or f"unix://{ENGINE}"
    if not engine.startswith("unix://"):
        raise InvalidInput(
            "The broker is for an engine's socket on this machine.", hint="Set DOCKER_HOST to one, such as unix:///var/run/docker.sock."
        )
    socket = environ.get(PREFIX + "BROKER", "").strip() or SOCKET
    return BrokerConfig(socket=Path(socket), engine=Path(engine.removeprefix("unix://")), uid=int(uid), containers=containers)
