"""The specification of an instance's Swarm service. Its digest tells whether a service is outdated."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from mcp_messenger.config.containers import ContainerConfig, SwarmConfig
from mcp_messenger.instances.runtimes.spec import DATA, INSTALLATION, INSTANCE, PORT, SECOND, SPEC, USER, labels_of, name_of

NODE = "mcp-messenger.node"
"""Label of a service: the node that has its volume, and the only one where it runs."""
VOLUME = "mcp-messenger.volume"
"""Label of a service: the name of its volume."""
SWEEP = "mcp-messenger.sweep"
"""Label of a service that empties the volume of the instance it names."""
SECRET_FILE = "/run/secrets/mcp-messenger"  # noqa: S105 - a path
RESTART_AFTER = 2
"""Seconds until Swarm starts another task in the place of one that ended."""
RESTARTS = 5
RESTARTS_WITHIN = 300
"""Seconds; after so many ends Swarm leaves it alone."""
STOP_WITHIN = 15
SWEEP_AGAIN = 30
FENCE = 8
"""Seconds without a manager after which a relay whose volume may be mounted elsewhere lets go of its account. Swarm takes longer to give a
node up, so nothing is waited for when a task is started on another one."""
TMPFS_MODE = 0o1777


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Where the data of one instance is. `driver` None: a volume of the node, which the service is then bound to."""

    volume: str
    driver: str | None = None
    options: Mapping[str, str]

    def mount(self, labels: Mapping[str, str]) -> dict[str, Any]:
        options: dict[str, Any] = {"Labels": dict(labels)}
        if self.driver is not None:
            given = {name: value.replace("{name}", self.volume) for name, value in self.options.items()}
            options["DriverConfig"] = {"Name": self.driver, "Options": given}
        return {"Type": "volume", "Source": self.volume, "Target": DATA, "VolumeOptions": options}


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    installation: UUID
    instance_id: UUID
    image: str
    version: str
    """Of this program: an upgrade replaces the tasks, also where the image's name stays."""
    command: Sequence[str]
    environment: dict[str, str]
    sealed: dict[str, str]
    """Variables that are handed over in a Swarm secret."""
    network: str
    constraints: Sequence[str]
    driver: str | None
    options: dict[str, str]
    memory: int
    cpus: float
    pids: int

    @property
    def name(self) -> str:
        return name_of(self.installation, self.instance_id)

    @property
    def digest(self) -> str:
        return _digest(asdict(self))

    @property
    def secret_name(self) -> str:
        """Return a name that changes with the content, which Swarm never changes; at most 64 characters."""
        return f"mm-{self.instance_id.hex}-{_digest(self.sealed)}"

    @property
    def secret_data(self) -> bytes:
        return json.dumps(self.sealed, sort_keys=True).encode()

    def storage(self, volume: str) -> Storage:
        return Storage(volume=volume, driver=self.driver, options=self.options)

    def arguments(self, *, secret_id: str, volume: str, node: str | None, force: int, replicas: int = 1) -> dict[str, Any]:
        """Return the arguments of the SDK's create_service and update_service.

        One task at most runs at any time: an update stops the old one first, and a volume of a node binds the service to that node.
        """
        labels = labels_of(self.installation, self.instance_id)
        bound = [] if node is None else [f"node.id=={node}"]
        secret = {"SecretID": secret_id, "SecretName": self.secret_name, "File": {"Name": SECRET_FILE, "UID": "10001", "GID": "10001", "Mode": 0o400}}
        tmpfs = {"Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": {"SizeBytes": 64 * 2**20, "Mode": TMPFS_MODE}}  # noqa: S108 - the container's own
        update = {"Parallelism": 1, "Order": "stop-first", "FailureAction": "continue"}
        return {
            "task_template": {
                "ContainerSpec": {
                    "Image": self.image,
                    "Args": list(self.command),
                    "Env": [f"{name}={value}" for name, value in sorted(self.environment.items())],
                    "User": USER,
                    "Labels": labels,
                    "Mounts": [self.storage(volume).mount(labels), tmpfs],
                    "Secrets": [secret],
                    "ReadOnly": True,
                    "Init": True,
                    # The image's own check would hold a start up for 15 seconds; the server watches the relay itself.
                    "Healthcheck": {"Test": ["NONE"]},
                    "CapabilityDrop": ["ALL"],
                    "Privileges": {"NoNewPrivileges": True},
                    "StopGracePeriod": STOP_WITHIN * SECOND,
                },
                "Resources": {"Limits": {"NanoCPUs": int(self.cpus * SECOND), "MemoryBytes": self.memory, "Pids": self.pids}},
                "RestartPolicy": {
                    "Condition": "any",
                    "Delay": RESTART_AFTER * SECOND,
                    "MaxAttempts": RESTARTS,
                    "Window": RESTARTS_WITHIN * SECOND,
                },
                "Placement": {"Constraints": [*self.constraints, *bound], "MaxReplicas": 1},
                "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m", "max-file": "3"}},
                "Networks": [{"Target": self.network}],
                "ForceUpdate": force,
            },
            "name": self.name,
            "labels": {**labels, SPEC: self.digest, VOLUME: volume} | ({} if node is None else {NODE: node}),
            "mode": {"Replicated": {"Replicas": replicas}},
            "update_config": update,
            "rollback_config": update,
            # Swarm's virtual addresses need a kernel module that not every machine has, and one task needs no balancing.
            "endpoint_spec": {"Mode": "dnsrr"},
        }


def sweep_arguments(installation: UUID, instance_id: UUID, image: str, storage: Storage, node: str | None) -> dict[str, Any]:
    """Return the arguments of create_service for a task that empties a volume, which no other node can remove."""
    return {
        "task_template": {
            "ContainerSpec": {
                "Image": image,
                "Command": ["find", DATA, "-mindepth", "1", "-delete"],
                "User": USER,
                "Mounts": [storage.mount(labels_of(installation, instance_id))],
                "ReadOnly": True,
                "CapabilityDrop": ["ALL"],
                "Privileges": {"NoNewPrivileges": True},
            },
            "Resources": {"Limits": {"MemoryBytes": 64 * 2**20, "Pids": 16}},
            "RestartPolicy": {"Condition": "on-failure", "Delay": SWEEP_AGAIN * SECOND, "MaxAttempts": 0},
            "Placement": {"Constraints": [] if node is None else [f"node.id=={node}"]},
        },
        "name": f"mm-sweep-{_digest([str(instance_id), storage.volume])}",
        "labels": {INSTALLATION: str(installation), SWEEP: str(instance_id), VOLUME: storage.volume},
        "mode": {"Replicated": {"Replicas": 1}},
        "endpoint_spec": {"Mode": "dnsrr"},
    }


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, default=str, sort_keys=True).encode()).hexdigest()[:16]


def service_spec(
    config: ContainerConfig,
    swarm: SwarmConfig,
    *,
    installation: UUID,
    instance_id: UUID,
    image: str,
    version: str,
    mode: str,
    relay_key: SecretStr,
    passed_on: Mapping[str, str],
) -> ServiceSpec:
    environment = {
        "MCP_MESSENGER_MANAGED": "1",
        "MCP_MESSENGER_INSTANCE_ID": str(instance_id),
        "MCP_MESSENGER_SECRET_FILE": SECRET_FILE,
        "MCP_MESSENGER_DATA_DIR": DATA,
        "MCP_MESSENGER_PORT": str(PORT),
    } | ({"MCP_MESSENGER_FENCE": str(FENCE)} if swarm.driver is not None else {})
    return ServiceSpec(
        installation=installation,
        instance_id=instance_id,
        image=image,
        version=version,
        command=["--mode", mode, "--host", "0.0.0.0", "--api-port", str(PORT)],  # noqa: S104 - within the container
        environment=environment,
        sealed={**passed_on, "MCP_MESSENGER_API_KEY_SHA256": hashlib.sha256(relay_key.get_secret_value().encode()).hexdigest()},
        network=swarm.network,
        constraints=swarm.constraints,
        driver=swarm.driver,
        options=dict(swarm.options),
        memory=config.memory,
        cpus=config.cpus,
        pids=config.pids,
    )


def instance_of(labels: Mapping[str, str]) -> UUID | None:
    """Return the instance that labels name; None for something else."""
    try:
        return UUID(labels.get(INSTANCE, ""))
    except ValueError:
        return None
