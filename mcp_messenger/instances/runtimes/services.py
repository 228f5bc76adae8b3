"""Services, tasks, secrets and nodes of a Docker swarm: those with the label of this installation, and no others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mcp_messenger.errors import Conflict, EngineRefused, NoSuchThing
from mcp_messenger.instances.runtimes.containers import readable
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.instances.runtimes.service_spec import (
    NODE,
    SWEEP,
    VOLUME,
    ServiceSpec,
    Storage,
    instance_of,
    sweep_arguments,
)
from mcp_messenger.instances.runtimes.spec import INSTALLATION, SPEC, labels_of, name_of
from providers.text import clean_line

Json = Mapping[str, Any]
Nothing: Json = {}
ENDED = frozenset({"complete", "failed", "rejected", "shutdown", "remove", "orphaned"})
"""Swarm's words for a task that does not run any more."""
ENDED_BADLY = frozenset({"failed", "rejected"})
FIRST_SAFE_ENGINE = (25, 0)
"""Older engines drop no-new-privileges from a service without a word."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service as Swarm describes it."""

    id: str
    instance_id: UUID
    version: int
    spec: str
    volume: str
    node: str | None
    """That it is bound to."""
    replicas: int
    force: int
    secret_ids: tuple[str, ...]
    image: str
    driver: str | None
    options: Mapping[str, str]

    @property
    def storage(self) -> Storage:
        return Storage(volume=self.volume, driver=self.driver, options=self.options)


@dataclass(frozen=True, slots=True)
class Task:
    id: str
    instance_id: UUID | None
    service_id: str
    wanted: str
    """Swarm's desired state: running, ready, shutdown, …"""
    state: str
    """new, pending, assigned, preparing, starting, running, or one of ENDED."""
    trouble: str | None
    """Swarm's words for what is wrong, or why it ended."""
    node: str | None
    exit_code: int | None
    address: str | None
    """On the network of the instances."""
    created: str

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Node:
    id: str
    name: str
    is_up: bool
    availability: str
    """active, pause or drain."""
    engine: str

    @property
    def is_usable(self) -> bool:
        return self.is_up and self.availability != "drain"


def part(found: Json, name: str) -> Json:
    """Return an object of the engine's JSON, which is null or missing where it is empty."""
    return found.get(name) or {}


def parts(found: Json, name: str) -> Sequence[Json]:
    """Return a list of the engine's JSON, which is null or missing where it is empty."""
    return found.get(name) or ()


def _service(found: Json) -> Service | None:
    spec = part(found, "Spec")
    labels = part(spec, "Labels")
    instance_id = instance_of(labels)
    if instance_id is None:
        return None
    template = part(spec, "TaskTemplate")
    container = part(template, "ContainerSpec")
    mount = next((one for one in parts(container, "Mounts") if one.get("Source") == labels.get(VOLUME)), Nothing)
    driver = part(part(mount, "VolumeOptions"), "DriverConfig")
    return Service(
        id=found["ID"],
        instance_id=instance_id,
        version=found["Version"]["Index"],
        spec=labels.get(SPEC, ""),
        volume=labels.get(VOLUME, ""),
        node=labels.get(NODE),
        replicas=part(part(spec, "Mode"), "Replicated").get("Replicas", 0),
        force=template.get("ForceUpdate") or 0,
        secret_ids=tuple(one["SecretID"] for one in parts(container, "Secrets")),
        image=container["Image"],
        driver=driver.get("Name"),
        options=part(driver, "Options"),
    )


def _task(found: Json, network: str) -> Task:
    status = part(found, "Status")
    attached = [one for one in parts(found, "NetworksAttachments") if part(part(one, "Network"), "Spec").get("Name") == network]
    addresses = [str(address).partition("/")[0] for one in attached for address in parts(one, "Addresses")]
    trouble = status.get("Err")
    return Task(
        id=found["ID"],
        instance_id=instance_of(part(part(part(found, "Spec"), "ContainerSpec"), "Labels")),
        service_id=found.get("ServiceID", ""),
        wanted=found.get("DesiredState", ""),
        state=status.get("State", ""),
        trouble=clean_line(str(trouble))[:300] if trouble else None,
        node=found.get("NodeID"),
        exit_code=part(status, "ContainerStatus").get("ExitCode"),
        address=addresses[0] if addresses else None,
        created=found.get("CreatedAt", ""),
    )


async def listing(engine: Engine, installation: UUID) -> dict[UUID, Service]:
    found = await engine.call(lambda api: api.services(filters={"label": f"{INSTALLATION}={installation}"}))
    parsed = (_service(one) for one in found)
    return {one.instance_id: one for one in parsed if one is not None}


async def find(engine: Engine, installation: UUID, instance_id: UUID) -> Service | None:
    """Raises Conflict when its name belongs to a service that is not ours."""
    name = name_of(installation, instance_id)
    try:
        found = await engine.call(lambda api: api.inspect_service(name))
    except NoSuchThing:
        return None
    if part(found["Spec"], "Labels").get(INSTALLATION) != str(installation):
        raise Conflict(f"The service {name} is not one of this installation's; it is left alone.", hint="Rename or remove it, if nobody needs it.")
    return _service(found)


async def tasks(engine: Engine, network: str, **filters: str) -> list[Task]:
    """Return tasks, the newest first. `filters` are the engine's."""
    found = await engine.call(lambda api: api.tasks(filters=filters))
    return sorted((_task(one, network) for one in found), key=lambda one: one.created, reverse=True)


async def nodes(engine: Engine) -> dict[str, Node]:
    found: Sequence[Any] = await engine.call(lambda api: api.nodes())
    parsed = (
        Node(
            one["ID"],
            clean_line(one["Description"].get("Hostname") or one["ID"]),
            one["Status"]["State"] == "ready",
            one["Spec"].get("Availability", "active"),
            part(one["Description"], "Engine").get("EngineVersion", ""),
        )
        for one in found
    )
    return {one.id: one for one in parsed}


def drops_no_new_privileges(node: Node) -> bool:
    major, _, rest = node.engine.partition(".")
    minor = rest.partition(".")[0]
    return (int(major), int(minor)) < FIRST_SAFE_ENGINE if major.isdecimal() and minor.isdecimal() else False


async def ensure_secret(engine: Engine, spec: ServiceSpec) -> str:
    """Return the id of the secret with the present content."""
    labels = labels_of(spec.installation, spec.instance_id)
    name = spec.secret_name
    while True:
        found = await engine.call(lambda api: api.secrets(filters={"name": name}))
        known = [one["ID"] for one in found if one["Spec"]["Name"] == name]
        if known:
            return known[0]
        try:
            made = await engine.call(lambda api: api.create_secret(name, spec.secret_data, labels=labels))
            return made["ID"]
        except EngineRefused as error:
            # Another manager was faster.
            if "already exists" not in error.detail:
                raise


async def remove_secrets(engine: Engine, installation: UUID, instance_id: UUID, *, but: str | None = None) -> None:
    """Remove the secrets of an instance, `but` the one with this id. One that a task still uses stays until the next time."""
    found = await engine.call(lambda api: api.secrets(filters={"label": f"{INSTALLATION}={installation}"}))
    for one in found:
        if instance_of(part(one["Spec"], "Labels")) == instance_id and one["ID"] != but:
            try:
                await engine.call(lambda api, secret=one["ID"]: api.remove_secret(secret))
            except NoSuchThing:
                continue
            except EngineRefused as error:
                if "in use" not in error.detail:
                    raise


async def create(engine: Engine, arguments: Mapping[str, Any]) -> None:
    await engine.call(lambda api: api.create_service(**arguments))


async def update(engine: Engine, service: Service, arguments: Mapping[str, Any]) -> None:
    """Raises EngineRefused when another manager has changed it since."""
    await engine.call(lambda api: api.update_service(service.id, service.version, **arguments))


async def scale(engine: Engine, service: Service, replicas: int) -> None:
    mode = {"Replicated": {"Replicas": replicas}}
    await engine.call(lambda api: api.update_service(service.id, service.version, mode=mode, fetch_current_spec=True))


async def remove(engine: Engine, service_id: str) -> None:
    """Running or not; nothing where there is none. Its volume stays."""
    try:
        await engine.call(lambda api: api.remove_service(service_id))
    except NoSuchThing:
        return


async def sweep(engine: Engine, installation: UUID, service: Service) -> None:
    """Have the volume emptied where it is: the login in it is thrown away, as soon as its node is there."""
    arguments = sweep_arguments(installation, service.instance_id, service.image, service.storage, service.node)
    try:
        await create(engine, arguments)
    except EngineRefused as error:
        if "already exists" not in error.detail and "name conflicts" not in error.detail:
            raise


async def sweeps(engine: Engine, installation: UUID) -> Sequence[tuple[str, str]]:
    """Return the ids of services that empty volumes, each with the id of its instance."""
    found = await engine.call(lambda api: api.services(filters={"label": [f"{INSTALLATION}={installation}", SWEEP]}))
    return [(one["ID"], one["Spec"]["Labels"][SWEEP]) for one in found]


async def ensure_network(engine: Engine, name: str) -> Mapping[str, Any]:
    """Return the overlay network, made where it is missing. Raises Conflict for another kind of network with that name."""
    found = [one for one in await engine.call(lambda api: api.networks(names=[name])) if one["Name"] == name]
    if not found:
        await engine.call(lambda api: api.create_network(name, driver="overlay", attachable=True, check_duplicate=True))
        return await engine.call(lambda api: api.inspect_network(name))
    if found[0]["Driver"] != "overlay" or found[0]["Scope"] != "swarm":
        raise Conflict(
            f"The network {name} is no overlay network of the swarm.", hint="Set MCP_MESSENGER_SWARM_NETWORK to another name, or remove that network."
        )
    return found[0]


async def log_lines(engine: Engine, name: str, tail: int) -> list[str]:
    try:
        chunks = await engine.call(lambda api: b"".join(api.service_logs(name, tail=tail, stdout=True, stderr=True, is_tty=False)))
    except NoSuchThing:
        return []
    return [readable(line) for line in chunks.splitlines()]
