"""Makes one instance's container what is wanted: existing, of the newest specification, running."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from mcp_messenger.config.containers import OWN, ContainerConfig
from mcp_messenger.errors import EngineRefused
from mcp_messenger.instances.runtimes import containers, networks
from mcp_messenger.instances.runtimes.containers import Found
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.instances.runtimes.images import Images
from mcp_messenger.instances.runtimes.passes import STARTS, STARTS_WITHIN, CrashLoop, Reconciler, Restarting
from mcp_messenger.instances.runtimes.spec import PORT, RESTARTS, Spec
from providers.events import StateChanged
from providers.states import InstanceState

log = logging.getLogger(__name__)

STEADY = 60.0
"""Seconds that a container must have run for its end to be no crash loop."""
KILLED = 137
"""The exit code of SIGKILL."""
GOING = frozenset({"removing", "dead"})
"""The engine's words for a container that is being removed."""


@dataclass(frozen=True)
class Site:
    """What all containers of one installation have in common."""

    engine: Engine
    config: ContainerConfig
    images: Images
    installation: UUID


class ContainerReconciler(Reconciler):
    """Makes passes over one instance's container."""

    def __init__(
        self,
        site: Site,
        instance_id: UUID,
        stage: str,
        spec_of: Callable[[str], Spec],
        on_trouble: Callable[[StateChanged | None], Awaitable[None]],
        *,
        had_login: bool,
    ) -> None:
        """`stage` is of the Dockerfile. With `had_login` a missing volume means that a login was lost."""
        super().__init__(instance_id, on_trouble)
        self._site = site
        self._stage = stage
        self._spec_of = spec_of
        self._had_login = had_login
        self._container: str | None = None
        self._has_joined = False
        """Whether this process is on the instance's own network."""
        self._is_oom = False
        self._is_end_known = False

    def happened(self, action: str, container: str, attributes: Mapping[str, str]) -> None:
        """Take an event of the engine's. An event of a container that was replaced is no news."""
        if container == self._container and action in {"oom", "start"}:
            self._is_oom = action == "oom"
        if container == self._container and action == "die":
            # Its port may be another program's from now on.
            self._down()
            self._news.append(self._cause(int(attributes.get("exitCode", "0") or 0), is_oom=self._is_oom))
            self._is_oom = False
            self._is_end_known = True
        self.wake()

    async def _reconcile(self) -> None:
        site = self._site
        spec = self._spec_of(await site.images.id(self._stage))
        found = await self._find()
        if found is not None and found.listed.spec != spec.digest:
            log.info("container of an outdated specification is replaced", extra=self._extra)
            await self._remove(spec)
            found = None
        if found is None or not found.is_running:
            self._down()
            found = await self._set_going(found, spec)
        self._container, self._is_end_known = found.listed.id, False
        if self._site.config.network == OWN and not self._has_joined:
            await networks.join(site.engine, spec.network)
            self._has_joined = True
        url = self._url_of(found)
        if url != self._url:
            self._down()
            await self._rise(url)

    async def _find(self) -> Found | None:
        return await containers.find(self._site.engine, self._site.installation, self._instance_id)

    async def _set_going(self, found: Found | None, spec: Spec) -> Found:
        """Create or start the container. Raises Restarting while there is nothing to do but wait, and CrashLoop."""
        if found is None:
            await self._create(spec)
        elif found.listed.state in GOING:
            raise Restarting("The container is being removed; another follows.")
        elif found.is_restarting:
            raise Restarting(f"{self._cause(found.exit_code, is_oom=found.is_oom)} It is being started again.")
        else:
            await self._revive(found, spec)
        now = await self._find()
        if now is None or not now.is_running:
            raise Restarting("The container ended as soon as it was started.")
        return now

    async def _create(self, spec: Spec) -> None:
        site = self._site
        if await containers.ensure_volume(site.engine, site.installation, self._instance_id) and self._had_login:
            await self._tell(InstanceState.DEGRADED, "The volume with the login was gone. A new one was made: the account has to be logged in again.")
        self._had_login = True
        await networks.ensure(site.engine, spec, site.config.subnets)
        self._has_joined = False
        await containers.create(site.engine, spec)
        try:
            await containers.start(site.engine, spec.name)
        except EngineRefused:
            await containers.remove(site.engine, spec.name)
            raise

    async def _revive(self, found: Found, spec: Spec) -> None:
        """Start a container that has ended. A new reconciler, as after restart_instance, counts its starts from zero."""
        site = self._site
        if self._starts and found.restarts >= RESTARTS and found.ran_for < STEADY:
            raise CrashLoop(await self._last_words(found))
        if len(self._starts) == STARTS and self._starts[0] > time.monotonic() - STARTS_WITHIN:
            raise CrashLoop(await self._last_words(found))
        self._starts.append(time.monotonic())
        if found.listed.id == self._container and not self._is_end_known:
            # The engine was away when it happened.
            await self._tell(InstanceState.DEGRADED, self._cause(found.exit_code, is_oom=found.is_oom))
        try:
            await containers.start(site.engine, spec.name)
        except EngineRefused as error:
            if "network" in error.detail and "not found" in error.detail:
                await self._remove(spec)
                raise Restarting("The container's network was removed; both are made again.") from error
            if "marked for removal" in error.detail:
                raise Restarting("The container is being removed; another follows.") from error
            raise

    async def _remove(self, spec: Spec) -> None:
        self._down()
        self._container = None
        await containers.remove(self._site.engine, spec.name)

    async def _last_words(self, found: Found) -> str:
        lines = await containers.log_lines(self._site.engine, found.listed.name, 1)
        last = f' Its last words: "{lines[-1][:300]}".' if lines else ""
        return (
            f"The container ends again and again. {self._cause(found.exit_code, is_oom=found.is_oom)}{last} It is left alone until restart_instance."
        )

    def _cause(self, exit_code: int, *, is_oom: bool) -> str:
        if is_oom:
            return f"The container ran out of memory (limit {self._site.config.memory // 2**20} MB)."
        killed = " (killed)" if exit_code == KILLED else ""
        return f"The container ended with exit code {exit_code}{killed}."

    def _url_of(self, found: Found) -> str:
        """Return the relay's address as it is now. The engine chooses a published port at each start, also when it restarts the container."""
        if self._site.config.network is not None:
            return f"http://{found.listed.name}:{PORT}"
        if found.listed.port is None:
            raise Restarting("The container is up, and the engine has not published its port yet.")
        return f"http://127.0.0.1:{found.listed.port}"
