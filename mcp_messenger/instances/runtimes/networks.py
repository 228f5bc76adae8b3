"""Networks of instances at the engine, on which no instance reaches another one."""

import socket
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from itertools import islice
from typing import Any
from uuid import UUID

from mcp_messenger.errors import Conflict, EngineRefused, NoSuchThing
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.instances.runtimes.spec import INSTALLATION, INSTANCE, Spec, labels_of, own_network

PREFIX = 28
"""Of one instance's network: the instance, the servers, and the gateway."""
TRIES = 64
"""Subnets that are tried in a row, where others are used already."""
SEPARATE = {"com.docker.network.bridge.enable_icc": "false"}
"""Containers on the network do not reach one another; the machine itself reaches them."""


def shared_arguments(name: str, installation: UUID) -> dict[str, Any]:
    """Return the arguments of create_network for the network of all instances whose ports are published."""
    return {"name": name, "driver": "bridge", "labels": {INSTALLATION: str(installation)}, "options": SEPARATE, "check_duplicate": True}


def own_arguments(name: str, installation: UUID, instance_id: UUID, subnet: IPv4Network) -> dict[str, Any]:
    """Return the arguments of create_network for the network of one instance."""
    ipam = {"Driver": "default", "Config": [{"Subnet": str(subnet)}]}
    return {"name": name, "driver": "bridge", "labels": labels_of(installation, instance_id), "ipam": ipam, "check_duplicate": True}


async def ensure(engine: Engine, spec: Spec, subnets: IPv4Network) -> None:
    """Make the network of an instance where it is missing. One that is not ours by name is the operator's, and must be there. Raises Conflict."""
    if spec.is_published:
        # The engine makes a second one of the same name where two ask at once, and then knows neither by its name.
        async with engine.making:
            if not await _found(engine, spec):
                await _make_shared(engine, spec)
        return
    try:
        found = await engine.call(lambda api: api.inspect_network(spec.network))
    except NoSuchThing:
        await _make_own(engine, spec, subnets)
        return
    labels: Mapping[str, str] = found.get("Labels") or {}
    if labels.get(INSTALLATION, str(spec.installation)) != str(spec.installation):
        raise Conflict(f"The network {spec.network} is not one of this installation's; it is left alone.", hint="Remove it, if nobody needs it.")


async def _found(engine: Engine, spec: Spec) -> list[str]:
    """Return the ids of the networks with the name, the oldest first."""
    found = await engine.call(lambda api: api.networks(filters={"label": f"{INSTALLATION}={spec.installation}"}))
    return [one["Id"] for one in sorted(found, key=lambda one: (one["Created"], one["Id"])) if one["Name"] == spec.network]


async def _make_shared(engine: Engine, spec: Spec) -> None:
    arguments = shared_arguments(spec.network, spec.installation)
    made = await engine.call(lambda api: api.create_network(**arguments))
    if made["Id"] != (await _found(engine, spec))[0]:
        # Another server was faster.
        await engine.call(lambda api: api.remove_network(made["Id"]))


async def _make_own(engine: Engine, spec: Spec, subnets: IPv4Network) -> None:
    if spec.network != own_network(spec.installation, spec.instance_id):
        raise EngineRefused(f"There is no network {spec.network}.", hint="Make it, or set MCP_MESSENGER_DOCKER_NETWORK=own.")
    for subnet in islice(_rotation(subnets, spec.instance_id), TRIES):
        arguments = own_arguments(spec.network, spec.installation, spec.instance_id, subnet)
        try:
            await engine.call(lambda api, given=arguments: api.create_network(**given))
            return
        except EngineRefused as error:
            if "overlaps" not in error.detail:
                raise
    raise EngineRefused(f"No 16 addresses of {subnets} are free for a network.", hint="Set MCP_MESSENGER_DOCKER_SUBNETS to a larger one.")


def _rotation(subnets: IPv4Network, instance_id: UUID) -> Iterator[IPv4Network]:
    """Return all subnets, beginning at one that depends on the instance."""
    count = 2 ** (PREFIX - subnets.prefixlen)
    first = int(subnets.network_address)
    for number in range(count):
        yield IPv4Network((first + (instance_id.int + number) % count * 2 ** (32 - PREFIX), PREFIX))


async def join(engine: Engine, name: str) -> None:
    """Connect the container that this process is in."""
    try:
        await engine.call(lambda api: api.connect_container_to_network(socket.gethostname(), name))
    except NoSuchThing as error:
        raise EngineRefused(
            "MCP_MESSENGER_DOCKER_NETWORK is own, and the engine knows no container of this server's host name.",
            hint="Unset it where the server is in no container; in one, leave the host name to the engine.",
        ) from error
    except EngineRefused as error:
        if "already exists in network" not in error.detail:
            raise


async def remove(engine: Engine, name: str) -> None:
    """Nothing where there is none. One that a container is still on stays until the next look."""
    try:
        found = await engine.call(lambda api: api.inspect_network(name))
        if INSTALLATION not in (found.get("Labels") or {}):
            return
        for container in list[str](found.get("Containers") or ()):
            await engine.call(lambda api, of=container: api.disconnect_container_from_network(of, name, force=True))
        await engine.call(lambda api: api.remove_network(name))
    except NoSuchThing:
        return


async def of_instances(engine: Engine, installation: UUID) -> dict[UUID, str]:
    """Names of instances' own networks, by instance."""
    found: dict[UUID, str] = {}
    for network in await engine.call(lambda api: api.networks(filters={"label": f"{INSTALLATION}={installation}"})):
        try:
            found[UUID(network["Labels"].get(INSTANCE, ""))] = network["Name"]
        except ValueError:
            continue
    return found
