"""Instances as services of a Docker swarm, one task each."""

import ipaddress
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any
from uuid import UUID

import anyio

from db import installation, leases
from db.database import Database
from db.instances import InstanceRow
from mcp_messenger.config.containers import ContainerConfig, SwarmConfig
from mcp_messenger.config.modes import mode_of
from mcp_messenger.errors import Conflict, EngineAway, EngineRefused
from mcp_messenger.instances.remote_provider import Timing
from mcp_messenger.instances.runtimes import services
from mcp_messenger.instances.runtimes.contained import ContainedProvider
from mcp_messenger.instances.runtimes.containers import Listed
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.instances.runtimes.log_stream import followed
from mcp_messenger.instances.runtimes.runtime import Runtime
from mcp_messenger.instances.runtimes.service_reconciler import PULL_WITHIN, ServiceReconciler, SwarmSite
from mcp_messenger.instances.runtimes.service_spec import service_spec
from mcp_messenger.instances.runtimes.services import Node, Service, Task
from mcp_messenger.instances.runtimes.spec import INSTALLATION, name_of
from mcp_messenger.observability.workers import Workers
from mcp_messenger.security.vault import Vault
from mcp_messenger.version import __version__
from providers.base import Provider, ProviderContext, Settings

log = logging.getLogger(__name__)

LOOK_EVERY = 30.0
"""Seconds between two looks at everything."""
POLL_EVERY = 1.0
"""Seconds between two looks at the tasks: Swarm has no events of them."""
RETRY_EVERY = 2.0
STOP_WITHIN = 20.0
"""Seconds for a task to end; a node that is cut off says nothing."""
STOP_POLL = 0.2


class SwarmRuntime(Runtime):
    """`changed` is called when the swarm has come or gone."""

    def __init__(self, database: Database, config: ContainerConfig, swarm: SwarmConfig, vault: Callable[[], Vault], workers: Workers) -> None:
        self._database = database
        self._worker = workers.worker("swarm", vital=False)
        self._config = config
        self._swarm = swarm
        self._vault = vault
        self.engine = Engine(config.engine)
        self._site: SwarmSite | None = None
        self._away: str | None = "The swarm has not answered yet."
        self._providers: dict[UUID, ContainedProvider[ServiceReconciler]] = {}
        self._discarded: set[UUID] = set()
        """Whose login was thrown away on purpose."""
        self._nodes: Mapping[str, Node] = {}
        self._seen: Mapping[UUID, tuple[tuple[str, str, str], ...]] = {}
        """Of each instance its tasks and their states, as they were at the last look."""
        self._warned = False
        self.containers: Mapping[UUID, Listed] = {}
        """The present task of each instance, as it was at the last look."""
        self.version: str | None = None
        self.changed: Callable[[], None] = lambda: None

    @property
    def away(self) -> str | None:
        return self._away

    async def run(self) -> None:
        try:
            await self._worker.keep(self._watch_once, partial(anyio.sleep, RETRY_EVERY))
        finally:
            self.engine.close()

    async def _watch_once(self) -> None:
        try:
            await self._attend()
        except (EngineAway, EngineRefused, Conflict) as error:
            self._note(f"{error.detail} {error.hint or ''}".strip() if isinstance(error, (EngineRefused, Conflict)) else error.detail)

    def _note(self, away: str | None) -> None:
        if away == self._away:
            return
        came_or_went = (away is None) != (self._away is None)
        self._away = away
        if away is not None:
            log.warning("%s", away)
        if came_or_went:
            if away is None:
                log.info("Docker %s answers, a manager of its swarm", self.version)
            self.changed()
            self._wake_all()

    def _wake_all(self) -> None:
        for provider in self._providers.values():
            provider.reconciler.wake()

    async def _attend(self) -> None:
        """Look until the engine is away. Raises EngineAway, EngineRefused and Conflict."""
        await self._require_manager()
        network = await services.ensure_network(self.engine, self._swarm.network)
        await anyio.to_thread.run_sync(_require_on, network)
        found = await installation.identify(self._database)
        self._site = SwarmSite(self.engine, found, self._swarm.network, lambda: self._nodes)
        await self._poll(found)
        await self._look(found)
        self._note(None)
        self._worker.works()
        self._wake_all()
        looked = time.monotonic()
        while True:
            await anyio.sleep(POLL_EVERY)
            await self._poll(found)
            if time.monotonic() - looked > LOOK_EVERY:
                await self._look(found)
                looked = time.monotonic()

    async def _require_manager(self) -> None:
        info = await self.engine.call(lambda api: api.info())
        self.version = info["ServerVersion"]
        swarm = services.part(info, "Swarm")
        if swarm.get("LocalNodeState") != "active":
            hint = "Make one with 'docker swarm init', or set DOCKER_HOST to the engine of one of its managers."
            raise EngineRefused("The engine is in no swarm.", hint=hint)
        if not swarm.get("ControlAvailable"):
            hint = "Run this server on a manager node, or set DOCKER_HOST to the engine of one."
            raise EngineRefused("The engine is a worker of its swarm, and only managers take services.", hint=hint)

    async def _poll(self, installation: UUID) -> None:
        self._nodes = await services.nodes(self.engine)
        self._warn_of_engines()
        tasks = await services.tasks(self.engine, self._swarm.network, label=f"{INSTALLATION}={installation}")
        by_instance: dict[UUID, list[Task]] = {}
        for task in tasks:
            if task.instance_id is not None:
                by_instance.setdefault(task.instance_id, []).append(task)
        seen = {id: tuple((one.id, one.wanted, one.state) for one in own) for id, own in by_instance.items()}
        for id in seen.keys() | self._seen.keys():
            if seen.get(id) != self._seen.get(id) and id in self._providers:
                self._providers[id].reconciler.wake()
        self._seen = seen
        self.containers = {id: _listed(installation, id, own) for id, own in by_instance.items()}

    def _warn_of_engines(self) -> None:
        old = [node.name for node in self._nodes.values() if services.drops_no_new_privileges(node)]
        if old and not self._warned:
            log.warning("the engines of %s drop no-new-privileges from services: version 25 or newer keeps it", ", ".join(sorted(old)[:5]))
        self._warned = self._warned or bool(old)

    async def _look(self, installation: UUID) -> None:
        """Collect what belongs to instances that are gone, and stop what is not to run any more."""
        listed = await services.listing(self.engine, installation)
        fates = await leases.fates(self._database, list(listed))
        for instance_id, service in listed.items():
            fate = fates.get(instance_id)
            if fate is None:
                log.info("service of an instance that is gone is removed", extra={"instance_id": str(instance_id)})
                await self._throw_away(installation, service)
            elif fate.desired == "stopped" and not fate.is_owned and service.replicas:
                await services.scale(self.engine, service, 0)
        for service_id, _ in await services.sweeps(self.engine, installation):
            tasks = await services.tasks(self.engine, self._swarm.network, service=service_id)
            if any(one.state == "complete" for one in tasks):
                await services.remove(self.engine, service_id)

    async def _throw_away(self, installation: UUID, service: Service) -> None:
        await self._stop(service)
        await services.remove(self.engine, service.id)
        await services.sweep(self.engine, installation, service)
        await services.remove_secrets(self.engine, installation, service.instance_id)

    async def _stop(self, service: Service) -> None:
        """Stop the task and wait until it has ended, for a while."""
        if service.replicas:
            await services.scale(self.engine, service, 0)
        with anyio.move_on_after(STOP_WITHIN):
            while not all(one.has_ended for one in await services.tasks(self.engine, self._swarm.network, service=service.id)):  # noqa: ASYNC110 - Swarm has no events of tasks
                await anyio.sleep(STOP_POLL)

    def _here(self) -> SwarmSite:
        """Raises EngineAway."""
        if self._site is None:
            raise EngineAway(self._away or "")
        return self._site

    async def provider(self, row: InstanceRow, cls: type[Provider], settings: Settings, context: ProviderContext) -> Provider:
        """Raises EngineAway, and VaultError."""
        site, key = self._here(), self._vault().relay_key(row.id)
        spec = service_spec(
            self._config,
            self._swarm,
            installation=site.installation,
            instance_id=row.id,
            image=self._config.image_of(cls.image_stage)[0],
            version=__version__,
            mode=mode_of(row.provider),
            relay_key=key,
            passed_on={name: value for name, value in self._config.environ.items() if name in cls.passed_on},
        )
        had_login = row.account is not None and row.id not in self._discarded
        self._discarded.discard(row.id)

        def reconciler_of(provider: ContainedProvider[ServiceReconciler]) -> ServiceReconciler:
            return ServiceReconciler(site, row.id, spec, provider.trouble_changed, heard_at=lambda: provider.heard_at, had_login=had_login)

        timing = None if self._swarm.driver is None else Timing(wait=PULL_WITHIN)
        made = ContainedProvider(cls, settings, context, reconciler_of=reconciler_of, on_stop=self._forget, key=key, timing=timing)
        self._providers[row.id] = made
        return made

    def _forget(self, provider: ContainedProvider[ServiceReconciler]) -> None:
        id = UUID(provider.context.instance_id)
        if self._providers.get(id) is provider:
            del self._providers[id]

    async def halt(self, instance_id: UUID) -> None:
        service = await services.find(self.engine, self._here().installation, instance_id)
        if service is not None:
            await self._stop(service)

    async def discard(self, instance_id: UUID) -> None:
        """Remove the service, and have its volume emptied on the node that has it."""
        site = self._here()
        service = await services.find(self.engine, site.installation, instance_id)
        if service is not None:
            await self._throw_away(site.installation, service)
        self._discarded.add(instance_id)

    async def log_lines(self, instance_id: UUID, tail: int) -> list[str]:
        return await services.log_lines(self.engine, name_of(self._here().installation, instance_id), tail)

    def following(self, instance_id: UUID) -> AbstractAsyncContextManager[deque[str]]:
        name = name_of(self._here().installation, instance_id)
        return followed(self.engine, partial(_log_stream, name))


def _log_stream(name: str, since: float, api: Any) -> Any:
    return api.service_logs(name, stdout=True, stderr=True, follow=True, since=int(since), tail=0, is_tty=False)


def _listed(installation: UUID, instance_id: UUID, tasks: list[Task]) -> Listed:
    """Show the task that is wanted, or the newest one."""
    task = next((one for one in tasks if one.wanted in {"running", "ready"}), tasks[0])
    return Listed(instance_id, task.id, name_of(installation, instance_id), task.state, None, "", "")


def _require_on(network: Mapping[str, Any]) -> None:
    """Raise EngineRefused where this process has no address on the network: it could not reach a single instance."""
    import psutil

    subnets = [ipaddress.ip_network(one["Subnet"]) for one in services.parts(services.part(network, "IPAM"), "Config") if one.get("Subnet")]
    own = [address.address for addresses in psutil.net_if_addrs().values() for address in addresses if address.family.name == "AF_INET"]
    if not any(ipaddress.ip_address(address) in subnet for address in own for subnet in subnets):
        raise EngineRefused(
            f"This server is not on the network {network['Name']}, on which it would reach the instances.",
            hint=f"Run it as a service of the swarm on that network, or in a container after 'docker network connect {network['Name']} CONTAINER'.",
        )
