"""A swarm of several nodes on one machine: each an engine in a container, with a network between them that can be cut."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import docker.errors
import docker.types
import pytest
import requests

from tests.program import ROOT
from tests.swarm import Manager, tasks_of
from tests.waiting import until, until_blocking

IMAGE = "mcp-messenger-test-node:latest"
LOCAL_DEBIAN = "local/debian:trixie"
SUBNET = "10.229.77.0/24"
PORT = 2375
CAPABILITIES = ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "NET_RAW", "DAC_READ_SEARCH", "IPC_LOCK", "SYS_NICE"]
"""What an engine needs; all of them may not be had everywhere."""
SHARED = "/shared"
"""A folder of all nodes, as a network file system would be."""


ELSEWHERE = {"MCP_MESSENGER_SWARM_CONSTRAINTS": "node.hostname!=node0"}
"""Instances are not where the first manager is."""
MOVES = {**ELSEWHERE, "MCP_MESSENGER_SWARM_VOLUME_DRIVER": "local", "MCP_MESSENGER_SWARM_VOLUME_OPTIONS": f"type=none o=bind device={SHARED}"}
"""And their volumes are of a driver that every node can mount, as far as these nodes are concerned."""


@dataclass(frozen=True)
class Node:
    name: str
    container: str
    address: str
    api: Any
    """The SDK's client of its engine."""


class Cluster:
    """Three nodes, all of them managers of the swarm."""

    def __init__(self, engine: Any, network: str, nodes: Sequence[Node]) -> None:
        self.engine = engine
        self.nodes = nodes
        self._network = network

    def kill(self, node: Node) -> None:
        """As if the power had failed."""
        self.engine.kill(node.container)

    def revive(self, node: Node) -> None:
        """Start it again, if it does not run."""
        self.engine.start(node.container)
        _until_answering(node.api)
        until_blocking(lambda: node.api.info()["Swarm"]["LocalNodeState"] == "active")

    def is_whole(self) -> bool:
        """Whether the first node sees them all; without a leader, for a moment, it answers with an error."""
        with suppress(docker.errors.APIError):
            return [one["Status"]["State"] for one in self.nodes[0].api.nodes()] == ["ready"] * len(self.nodes)
        return False

    def cut_off(self, node: Node) -> None:
        self.engine.disconnect_container_from_network(node.container, self._network, force=True)

    def heal(self, node: Node) -> None:
        self.engine.connect_container_to_network(node.container, self._network, ipv4_address=node.address)

    def said(self, node: Node, instance_id: str) -> str:
        """What the relays of an instance on this node have logged, also on one that is cut off."""
        script = f'for id in $(docker ps -aq --filter label=mcp-messenger.instance={instance_id}); do docker logs "$id" 2>&1; done'
        done = subprocess.run(["docker", "exec", node.container, "sh", "-c", script], capture_output=True, text=True, check=True)
        return done.stdout

    def running(self, node: Node, instance_id: str) -> int:
        command = ["docker", "exec", node.container, "docker", "ps", "-q", "--filter", f"label=mcp-messenger.instance={instance_id}"]
        return len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@dataclass
class Place:
    """An instance, and the node where it runs."""

    cluster: Cluster
    here: Manager
    instance_id: str

    def node(self) -> Node | None:
        api = self.here.engine
        ids = {one["ID"]: one["Description"]["Hostname"] for one in api.nodes()}
        running = [ids[one["NodeID"]] for one in tasks_of(api, self.instance_id) if one["DesiredState"] == one["Status"]["State"] == "running"]
        return next((node for node in self.cluster.nodes if running and node.name == running[0]), None)

    async def until_elsewhere(self, former: Node) -> Node:
        """Return the other node, as soon as the instance sends and gets answers there."""
        await until(lambda: self.node() not in {None, former}, pause=0.2)
        await self.here.until_instance(self.instance_id, lambda found: found["status"] == "ready" and found["container"] == "running")
        assert await self.here.sends(self.instance_id, f"from another node than {former.name}")
        found = self.node()
        assert found is not None
        return found


@contextmanager
def drained(api: Any) -> Generator[Callable[[Node], None]]:
    """Gives a function that drains a node; those that were drained are active again at the end."""
    made: list[Node] = []

    def drain(node: Node) -> None:
        made.append(node)
        _set_availability(api, node, "drain")

    yield drain
    for node in made:
        _set_availability(api, node, "active")


def _set_availability(api: Any, node: Node, word: str) -> None:
    found = api.inspect_node(node.name)
    api.update_node(found["ID"], found["Version"]["Index"], {"Role": "manager", "Availability": word})


@contextmanager
def cluster(engine: Any, image: str, socket_folder: str) -> Generator[Cluster]:
    """With the image, and the folder of PostgreSQL's socket, on each node."""
    _build(engine)
    network = f"mcp-messenger-test-nodes-{uuid4().hex[:8]}"
    ipam = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet=SUBNET)])
    made: list[str] = []
    with tempfile.TemporaryDirectory() as shared:
        os.chown(shared, 10001, 10001)
        engine.create_network(network, driver="bridge", ipam=ipam)
        try:
            nodes = [_node(engine, network, number, [f"{socket_folder}:{socket_folder}", f"{shared}:{SHARED}"], made) for number in range(3)]
            _load(engine, image, nodes)
            first, *others = nodes
            first.api.init_swarm(advertise_addr=first.address)
            token = first.api.inspect_swarm()["JoinTokens"]["Manager"]
            for node in others:
                node.api.join_swarm(remote_addrs=[first.address], join_token=token, advertise_addr=node.address)
            until_blocking(lambda: [one["Status"]["State"] for one in first.api.nodes()] == ["ready"] * 3)
            yield Cluster(engine, network, nodes)
        finally:
            for container in made:
                engine.remove_container(container, force=True, v=True)
            engine.remove_network(network)


def _build(engine: Any) -> None:
    if engine.images(IMAGE):
        return
    arguments = []
    with_local = engine.images(LOCAL_DEBIAN)
    if with_local:
        arguments = [f"--build-arg=DEBIAN_IMAGE={LOCAL_DEBIAN}"]
    command = ["docker", "build", "-q", "-t", IMAGE, *arguments, str(ROOT / "tests" / "swarm_node")]
    built = subprocess.run(command, env={**os.environ, "DOCKER_BUILDKIT": "0"}, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        pytest.skip(f"the image of a node cannot be built: {built.stderr[-300:]}")


def _node(engine: Any, network: str, number: int, binds: Sequence[str], made: list[str]) -> Node:
    name = f"node{number}"
    address = SUBNET.replace(".0/24", f".{number + 10}")
    host = engine.create_host_config(
        cap_add=CAPABILITIES,
        security_opt=["seccomp=unconfined"],
        device_cgroup_rules=["a *:* rwm"],
        binds=[*binds, "/sys/fs/cgroup:/sys/fs/cgroup:rw"],
        network_mode=network,
        init=True,
    )
    # As the docker command's systempaths=unconfined.
    host |= {"MaskedPaths": [], "ReadonlyPaths": []}
    command = ["dockerd", f"--cgroup-parent=/{network}-{number}", "-H", "unix:///var/run/docker.sock", "-H", f"tcp://0.0.0.0:{PORT}", "--tls=false"]
    container = engine.create_container(
        IMAGE,
        ["sh", "-c", f"rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid; exec {' '.join(command)}"],
        hostname=name,
        volumes=["/var/lib/docker"],
        host_config=host,
        networking_config=engine.create_networking_config({network: engine.create_endpoint_config(ipv4_address=address)}),
    )["Id"]
    made.append(container)
    engine.start(container)
    api = _until_reached(f"tcp://{address}:{PORT}")
    return Node(name, container, address, api)


def _until_reached(address: str) -> Any:
    until_blocking(lambda: _answers(address))
    return docker.APIClient(address, version="1.45", timeout=60)


def _answers(address: str) -> bool:
    with suppress(docker.errors.DockerException, requests.RequestException):
        docker.APIClient(address, version="1.45", timeout=5).ping()
        return True
    return False


def _until_answering(api: Any) -> None:
    def answers() -> bool:
        try:
            return bool(api.ping())
        except (docker.errors.DockerException, requests.RequestException):
            return False

    until_blocking(answers)


def _load(engine: Any, image: str, nodes: Sequence[Node]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tar"
        subprocess.run(["docker", "save", "-o", str(path), image], check=True)

        def load(node: Node) -> None:
            with path.open("rb") as file:
                for _ in node.api.load_image(file, quiet=True):
                    pass

        with ThreadPoolExecutor(len(nodes)) as pool:
            list(pool.map(load, nodes))
