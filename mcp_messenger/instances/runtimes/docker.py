"""Instances in one container each, run by a Docker engine."""

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any
from uuid import UUID

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from db import installation, leases
from db.database import Database
from db.instances import InstanceRow
from mcp_messenger.config import Config
from mcp_messenger.config.containers import OWN
from mcp_messenger.config.modes import mode_of
from mcp_messenger.errors import EngineAway, EngineRefused
from mcp_messenger.instances.runtimes import containers, networks
from mcp_messenger.instances.runtimes.contained import ContainedProvider
from mcp_messenger.instances.runtimes.containers import Listed
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.instances.runtimes.images import Images
from mcp_messenger.instances.runtimes.log_stream import followed
from mcp_messenger.instances.runtimes.reconciler import ContainerReconciler, Site
from mcp_messenger.instances.runtimes.runtime import Runtime
from mcp_messenger.instances.runtimes.spec import INSTALLATION, INSTANCE, Spec, name_of, own_network, spec_for
from mcp_messenger.instances.runtimes.statistics import Statistics
from mcp_messenger.observability.workers import Workers
from mcp_messenger.security.vault import Vault
from providers.base import Provider, ProviderContext, Settings

log = logging.getLogger(__name__)

LOOK_EVERY = 30.0
"""Seconds between two looks at everything; between them the engine's events say what has changed."""
SETTLE = 0.05
"""Seconds: events come in bursts."""
RETRY_EVERY = 2.0
MOVES = frozenset({"create", "start", "die", "oom", "destroy", "rename", "pause", "unpause"})
"""Events that change a container's state; the others come from health checks, by the thousand."""


class DockerRuntime(Runtime):
    """`changed` is called when the engine has come or gone."""

    def __init__(self, database: Database, config: Config, vault: Callable[[], Vault], workers: Workers) -> None:
        self._database = database
        self._worker = workers.worker("docker", vital=False)
        self._config = config
        self._vault = vault
        self.engine = Engine(config.containers.engine)
        self._images = Images(self.engine, config.containers, self._wake_all, workers)
        self._site: Site | None = None
        self._away: str | None = "Docker has not answered yet."
        self._providers: dict[UUID, ContainedProvider[ContainerReconciler]] = {}
        self._discarded: set[UUID] = set()
        """Whose login was thrown away on purpose."""
        self.containers: Mapping[UUID, Listed] = {}
        """As they were at the last look."""
        self.statistics = Statistics(self.engine, lambda: self.containers)
        self.version: str | None = None
        self.changed: Callable[[], None] = lambda: None
        self._due = anyio.Event()

    @property
    def away(self) -> str | None:
        return self._away

    @property
    def installation(self) -> UUID | None:
        """None until the engine has answered once."""
        return self._site and self._site.installation

    def look_again(self) -> None:
        """At everything, now."""
        self._due.set()
        self._wake_all()

    def _wake_all(self) -> None:
        for provider in self._providers.values():
            provider.reconciler.wake()

    async def run(self) -> None:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._images.run)
                group.start_soon(self._watch)
        finally:
            self.engine.close()

    async def _watch(self) -> None:
        await self._worker.keep(self._watch_once, partial(anyio.sleep, RETRY_EVERY))

    async def _watch_once(self) -> None:
        try:
            await self._attend()
            # The stream of events has ended: the engine was stopped, most likely.
            await self.engine.call(lambda api: api.ping())
        except (EngineAway, EngineRefused) as error:
            self._note(error.detail)

    def _note(self, away: str | None) -> None:
        if away == self._away:
            return
        came_or_went = (away is None) != (self._away is None)
        self._away = away
        if came_or_went:
            if away is None:
                log.info("Docker %s answers", self.version)
            else:
                log.warning("%s", away)
            self.changed()
            self._wake_all()

    async def _attend(self) -> None:
        """Look at everything, then at what the engine says has changed. The engine forgets events, so each stream begins with the whole."""
        self.version = (await self.engine.call(lambda api: api.version()))["Version"]
        found = await installation.identify(self._database)
        self._site = Site(self.engine, self._config.containers, self._images, found)
        filters = {"type": "container", "label": f"{INSTALLATION}={found}"}
        async with self.engine.stream(lambda api: api.events(decode=True, filters=filters)) as events:
            await self._look(found)
            self._note(None)
            self._worker.works()
            self._wake_all()
            looked = time.monotonic()
            while await self._news(events, until=looked + LOOK_EVERY):
                if time.monotonic() - looked > LOOK_EVERY or self._due.is_set():
                    self._due = anyio.Event()
                    await self._look(found)
                    looked = time.monotonic()
                else:
                    self.containers = await containers.listing(self.engine, found)

    async def _news(self, events: MemoryObjectReceiveStream[Any], *, until: float) -> bool:
        """Wait for an event that changes something, and pass it to the reconcilers; return False when the stream has ended."""
        try:
            with anyio.move_on_after(max(0.0, until - time.monotonic())):
                while not self._due.is_set() and not self._tell(await events.receive()):
                    pass
            await anyio.sleep(SETTLE)
            while True:
                self._tell(events.receive_nowait())
        except anyio.WouldBlock:
            return True
        except anyio.EndOfStream:
            return False

    def _tell(self, event: Mapping[str, Any]) -> bool:
        action, actor = event.get("Action", ""), event.get("Actor", {})
        if action not in MOVES:
            return False
        attributes: Mapping[str, str] = actor.get("Attributes", {})
        provider = self._providers.get(_id_of(attributes.get(INSTANCE, "")))
        if provider is not None:
            provider.reconciler.happened(action, actor.get("ID", ""), attributes)
        return True

    async def _look(self, installation: UUID) -> None:
        """Collect what belongs to instances that are gone, and stop what is not to run any more."""
        self.containers = await containers.listing(self.engine, installation)
        volumes = await containers.volumes(self.engine, installation)
        own = await networks.of_instances(self.engine, installation)
        fates = await leases.fates(self._database, list(self.containers.keys() | volumes.keys() | own.keys()))
        for instance_id, one in self.containers.items():
            fate = fates.get(instance_id)
            if fate is None:
                log.info("container of an instance that is gone is removed", extra={"instance_id": str(instance_id)})
                await containers.remove(self.engine, one.name)
            elif fate.desired == "stopped" and not fate.is_owned and one.state == "running":
                await containers.stop(self.engine, one.name)
        for instance_id, name in volumes.items():
            if instance_id not in fates:
                await self._remove("volume", containers.remove_volume, name)
        for instance_id, name in own.items():
            if instance_id not in fates:
                await self._remove("network", networks.remove, name)

    async def _remove(self, kind: str, remove: Callable[[Engine, str], Awaitable[None]], name: str) -> None:
        try:
            await remove(self.engine, name)
        except EngineRefused as error:
            log.warning("%s of an instance that is gone stays for now: %s", kind, error.detail)

    def _here(self) -> Site:
        """Raises EngineAway."""
        if self._site is None:
            raise EngineAway(self._away or "")
        return self._site

    async def provider(self, row: InstanceRow, cls: type[Provider], settings: Settings, context: ProviderContext) -> Provider:
        """Raises EngineAway, and VaultError."""
        site, mode = self._here(), mode_of(row.provider)
        key = self._vault().relay_key(row.id)

        def spec_of(image_id: str) -> Spec:
            return spec_for(
                site.config,
                installation=site.installation,
                instance_id=row.id,
                image_id=image_id,
                mode=mode,
                relay_key=key,
                passed_on={name: value for name, value in site.config.environ.items() if name in cls.passed_on},
            )

        had_login = row.account is not None and row.id not in self._discarded
        self._discarded.discard(row.id)
        made = ContainedProvider(
            cls,
            settings,
            context,
            reconciler_of=lambda provider: ContainerReconciler(site, row.id, cls.image_stage, spec_of, provider.trouble_changed, had_login=had_login),
            on_stop=self._forget,
            key=key,
        )
        self._providers[row.id] = made
        return made

    def _forget(self, provider: ContainedProvider[ContainerReconciler]) -> None:
        id = UUID(provider.context.instance_id)
        if self._providers.get(id) is provider:
            del self._providers[id]

    async def halt(self, instance_id: UUID) -> None:
        site = self._here()
        await containers.stop(self.engine, name_of(site.installation, instance_id))

    async def discard(self, instance_id: UUID) -> None:
        site = self._here()
        name = name_of(site.installation, instance_id)
        await containers.remove(self.engine, name)
        await containers.remove_volume(self.engine, name)
        if self._config.containers.network == OWN:
            await networks.remove(self.engine, own_network(site.installation, instance_id))
        self._discarded.add(instance_id)

    async def log_lines(self, instance_id: UUID, tail: int) -> list[str]:
        return await containers.log_lines(self.engine, name_of(self._here().installation, instance_id), tail)

    def following(self, instance_id: UUID) -> AbstractAsyncContextManager[deque[str]]:
        name = name_of(self._here().installation, instance_id)
        return followed(self.engine, lambda since, api: api.logs(name, stream=True, follow=True, since=since))


def _id_of(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
