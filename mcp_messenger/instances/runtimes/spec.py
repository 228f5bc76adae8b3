"""The specification of an instance's container. Its digest tells whether a container is outdated."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from mcp_messenger.config.containers import OWN, ContainerConfig

INSTALLATION = "mcp-messenger.installation"
INSTANCE = "mcp-messenger.instance"
SPEC = "mcp-messenger.spec"

PORT = 8080
"""The relay's, within the container."""
DATA = "/data"
USER = "10001:10001"
RESTARTS = 3
"""By the engine itself after a crash; then it is the reconciler's turn."""
SECOND = 1_000_000_000
"""The engine counts in nanoseconds."""


def name_of(installation: UUID, instance_id: UUID) -> str:
    """Return the name of the container and its volume, and its name on the network: at most 63 characters."""
    return f"mcp-messenger-{installation.hex[:8]}-{instance_id}"


def network_of(setting: str | None, installation: UUID, instance_id: UUID) -> str:
    """Return the network of an instance. `setting` None: one for all, on which containers do not reach one another."""
    if setting is None:
        return f"mcp-messenger-{installation.hex[:8]}"
    return own_network(installation, instance_id) if setting == OWN else setting


def own_network(installation: UUID, instance_id: UUID) -> str:
    """Return the name of an instance's own network.

    The engine gives a container its gateway, with its published ports, on the network that comes first by name: this one comes last, so
    the server's ports stay where they are when it joins.
    """
    return f"zz-{name_of(installation, instance_id)}"


def labels_of(installation: UUID, instance_id: UUID) -> dict[str, str]:
    return {INSTALLATION: str(installation), INSTANCE: str(instance_id)}


@dataclass(frozen=True, kw_only=True)
class Spec:
    installation: UUID
    instance_id: UUID
    image_id: str
    command: Sequence[str]
    environment: dict[str, str]
    network: str
    is_published: bool
    """The relay, on 127.0.0.1, on a port that the engine chooses at each start; else it is reached by name on the network."""
    memory: int
    cpus: float
    pids: int

    @property
    def name(self) -> str:
        return name_of(self.installation, self.instance_id)

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), default=str, sort_keys=True).encode()).hexdigest()[:16]

    def arguments(self, api: Any) -> dict[str, Any]:
        """Return the arguments of the SDK's create_container."""
        bindings = {PORT: ("127.0.0.1",)} if self.is_published else {}
        host = api.create_host_config(
            binds={self.name: {"bind": DATA, "mode": "rw"}},
            port_bindings=bindings,
            network_mode=self.network,
            mem_limit=self.memory,
            memswap_limit=self.memory,
            nano_cpus=int(self.cpus * SECOND),
            pids_limit=self.pids,
            read_only=True,
            tmpfs={"/tmp": "rw,nosuid,nodev,size=64m,mode=1777"},  # noqa: S108 - the container's own
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            restart_policy={"Name": "on-failure", "MaximumRetryCount": RESTARTS},
            init=True,
            log_config={"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        )
        return {
            "image": self.image_id,
            "name": self.name,
            "command": list(self.command),
            "user": USER,
            "environment": self.environment,
            "labels": labels_of(self.installation, self.instance_id) | {SPEC: self.digest},
            "ports": [PORT] if bindings else [],
            "host_config": host,
            "stop_timeout": 10,
        }


def spec_for(
    config: ContainerConfig,
    *,
    installation: UUID,
    instance_id: UUID,
    image_id: str,
    mode: str,
    relay_key: SecretStr,
    passed_on: Mapping[str, str],
) -> Spec:
    """Return the specification. It holds no secret: the key only as its digest, and the settings follow once the relay runs."""
    environment = {
        "MCP_MESSENGER_MANAGED": "1",
        "MCP_MESSENGER_INSTANCE_ID": str(instance_id),
        "MCP_MESSENGER_API_KEY_SHA256": hashlib.sha256(relay_key.get_secret_value().encode()).hexdigest(),
        "MCP_MESSENGER_DATA_DIR": DATA,
        "MCP_MESSENGER_PORT": str(PORT),
    }
    return Spec(
        installation=installation,
        instance_id=instance_id,
        image_id=image_id,
        command=["--mode", mode, "--host", "0.0.0.0", "--api-port", str(PORT)],  # noqa: S104 - within the container
        environment={**passed_on, **environment},
        network=network_of(config.network, installation, instance_id),
        is_published=config.network is None,
        memory=config.memory,
        cpus=config.cpus,
        pids=config.pids,
    )
