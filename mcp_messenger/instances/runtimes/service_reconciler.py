"""Makes one instance's Swarm service what is wanted: existing, of the newest specification, with one task that the relay answers in."""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import anyio

from mcp_messenger.errors import EngineRefused
from mcp_messenger.instances.runtimes import services
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.instances.runtimes.passes import CrashLoop, Reconciler, Restarting
from mcp_messenger.instances.runtimes.service_spec import FENCE, ServiceSpec
from mcp_messenger.instances.runtimes.services import ENDED_BADLY, Node, Service, Task
from mcp_messenger.instances.runtimes.spec import PORT
from providers.events import StateChanged
from providers.states import InstanceState

log = logging.getLogger(__name__)

STEADY = 60.0
"""Seconds that a task must have run for its end to be no crash loop."""
PULL_WITHIN = 2.5
"""Seconds that a request for events stays open where a relay without a manager lets go of its account."""
LET_GO_WITHIN = FENCE + PULL_WITHIN + 3.0
"""Seconds after the last answer of a relay until it has surely let go of its account: its own clock, the last request, and the end itself."""


@dataclass(frozen=True)
class SwarmSite:
    """What all services of one installation have in common."""

    engine: Engine
    installation: UUID
    network: str
    nodes: Callable[[], Mapping[str, Node]]
    """As they were at the last look."""


class ServiceReconciler(Reconciler):
    """Makes passes over one instance's service. Swarm itself starts another task where one has ended."""

    def __init__(
        self,
        site: SwarmSite,
        instance_id: UUID,
        spec: ServiceSpec,
        on_trouble: Callable[[StateChanged | None], Awaitable[None]],
        *,
        heard_at: Callable[[], float | None],
        had_login: bool,
    ) -> None:
        """`heard_at` is when the relay answered last, by the monotonic clock. With `had_login` a missing service means that a login may be lost."""
        super().__init__(instance_id, on_trouble)
        self._site = site
        self._spec = spec
        self._heard_at = heard_at
        self._had_login = had_login
        self._task: str | None = None
        self._running_since = 0.0
        self._is_revived = False
        self._began = time.monotonic()

    async def _reconcile(self) -> None:
        site, spec = self._site, self._spec
        service = await services.find(site.engine, site.installation, self._instance_id)
        if service is None:
            await self._create()
            raise Restarting("The service was made; its task follows.")
        if service.spec != spec.digest:
            log.info("service of an outdated specification is brought up to date", extra=self._extra)
            await self._update(service, node=service.node)
            raise Restarting("The service is brought up to date.")
        if service.replicas == 0:
            await self._update(service, node=service.node)
            raise Restarting("The service is being started.")
        tasks = await services.tasks(site.engine, site.network, service=spec.name)
        task = next((one for one in tasks if one.wanted in {"running", "ready"} and not one.has_ended), None)
        await self._tell_end(tasks, task)
        if task is None:
            await self._revive(service, tasks)
            raise Restarting("Swarm starts it again.")
        if task.state != "running" or task.address is None:
            self._down()
            raise Restarting(self._why(service, task))
        if spec.driver is None and service.node is None:
            # Before the relay gets its settings: what it stores from now on is on this node.
            await self._update(service, node=task.node)
            self.wake()
            raise Restarting("The service is bound to the node of its volume.")
        await self._attach_to(service, task, tasks)

    async def _attach_to(self, service: Service, task: Task, tasks: Sequence[Task]) -> None:
        if task.id != self._task:
            self._down()
            await self._outwait(task, tasks)
            self._task, self._running_since = task.id, time.monotonic()
        url = f"http://{task.address}:{PORT}"
        if url != self._url:
            self._down()
            await self._rise(url)
            await services.remove_secrets(self._site.engine, self._site.installation, self._instance_id, but=service.secret_ids[0])
        elif time.monotonic() - self._running_since > STEADY:
            self._is_revived = False

    async def _create(self) -> None:
        site, spec = self._site, self._spec
        self._down()
        if self._had_login:
            words = "The service was gone and was made again. If it begins on another node than before, the account has to be logged in again."
            await self._tell(InstanceState.DEGRADED, words)
        self._had_login = True
        is_being_emptied = str(self._instance_id) in {instance for _, instance in await services.sweeps(site.engine, site.installation)}
        volume = f"{spec.name}-{secrets.token_hex(3)}" if is_being_emptied else spec.name
        secret_id = await services.ensure_secret(site.engine, spec)
        await services.create(site.engine, spec.arguments(secret_id=secret_id, volume=volume, node=None, force=0))

    async def _update(self, service: Service, *, node: str | None, force: int | None = None) -> None:
        secret_id = await services.ensure_secret(self._site.engine, self._spec)
        force = service.force if force is None else force
        arguments = self._spec.arguments(secret_id=secret_id, volume=service.volume, node=node, force=force)
        try:
            await services.update(self._site.engine, service, arguments)
        except EngineRefused as error:
            if "out of sequence" in error.detail:
                raise Restarting("Another manager has just changed the service.") from error
            raise

    async def _tell_end(self, tasks: Sequence[Task], now: Task | None) -> None:
        """Say why the task that the relay was in is not the present one any more."""
        former = next((one for one in tasks if one.id == self._task), None)
        if self._url is None or former is None or (now is not None and now.id == former.id):
            return
        self._down()
        await self._tell(InstanceState.DEGRADED, self._cause(former))

    def _cause(self, task: Task) -> str:
        node = self._site.nodes().get(task.node or "")
        where = f"The node {node.name}" if node is not None else "The node"
        if node is not None and not node.is_up:
            return f"{where} that it ran on is down."
        if node is not None and node.availability == "drain":
            return f"{where} that it ran on is being drained."
        if task.state in ENDED_BADLY:
            return f"The task ended: {task.trouble or f'exit code {task.exit_code}'}."
        return "The task is replaced by another one."

    def _why(self, service: Service, task: Task) -> str:
        """Say what a task waits for. Raises EngineRefused for a node that will not come back."""
        if task.state != "pending" or service.node is None:
            return f"The task is {task.state}.{f' Swarm says: {task.trouble}.' if task.trouble else ''}"
        node = self._site.nodes().get(service.node)
        if node is None:
            raise EngineRefused(
                "The node that has its volume has left the swarm.",
                hint="process_instance with force_recreate begins on another one; an account with a QR code has to be logged in again.",
            )
        if not node.is_usable:
            how = "drained" if node.is_up else "down"
            return f"The node {node.name}, which has its volume, is {how}. The instance goes on by itself when the node is back."
        return f"Swarm finds no room on the node {node.name}, which has its volume: {task.trouble or 'it says nothing'}."

    async def _outwait(self, task: Task, tasks: Sequence[Task]) -> None:
        """Wait until a former task that nobody has seen end has let go of the account. Only a volume that moves allows two at once."""
        if self._spec.driver is None or all(one.id == task.id or one.has_ended for one in tasks):
            return
        heard_at = self._heard_at()
        left = (self._began if heard_at is None else heard_at) + LET_GO_WITHIN - time.monotonic()
        if left > 0:
            await self._tell(InstanceState.PROCESSING, "A node is cut off; its relay lets go of the account first.")
            await anyio.sleep(left)

    async def _revive(self, service: Service, tasks: Sequence[Task]) -> None:
        """Have Swarm begin again after it has given up. A new reconciler, as after restart_instance, may do so once."""
        self._down()
        if not tasks or tasks[0].state not in ENDED_BADLY | {"complete"}:
            return
        if self._is_revived:
            lines = await services.log_lines(self._site.engine, self._spec.name, 1)
            last = f' Its last words: "{lines[-1][:300]}".' if lines else ""
            raise CrashLoop(f"The task ends again and again. {self._cause(tasks[0])}{last} It is left alone until restart_instance.")
        self._is_revived = True
        await self._update(service, node=service.node, force=service.force + 1)
