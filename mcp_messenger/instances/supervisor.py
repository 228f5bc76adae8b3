"""Runs the instances whose lease this process holds. Exactly one process may poll a bot or hold a session."""

import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import anyio
import anyio.abc

from db import clock, instances, leases, messages
from db.database import Database
from db.errors import StoreUnavailable
from db.instances import InstanceRow
from mcp_messenger.delivery.feed import Feed
from mcp_messenger.delivery.inbound import Inbound
from mcp_messenger.delivery.journal import Journal
from mcp_messenger.delivery.outbox import Outbox
from mcp_messenger.delivery.owned_instance import OwnedInstance
from mcp_messenger.delivery.pacing import Pacing
from mcp_messenger.errors import Conflict, NotAvailable
from mcp_messenger.instances import classes, roster
from mcp_messenger.instances.runtimes.runtime import Runtime
from mcp_messenger.instances.states import States
from mcp_messenger.observability.workers import Workers
from mcp_messenger.security import credentials
from mcp_messenger.security.vault import Vault
from providers.base import Provider, ProviderContext
from providers.errors import MessengerError
from providers.events import Event, StateChanged
from providers.states import WORKING, InstanceState

log = logging.getLogger(__name__)

RENEW_EVERY = leases.TTL / 4
FENCE_AFTER = leases.TTL * 0.7
"""Seconds without a renewal until everything is let go of; the rest of the time is for letting go."""
HERE = "process"
SHARED = (HERE, "swarm")
"""The runtimes whose instances are shared out. Which engine a container is on, other servers may not reach."""
TELL_WITHIN = 3.0
"""For the store to hear that an instance is given up. Without it the lease ends by itself, and whoever waits for us to stop does not wait long."""
HAND_OVER_AT_ONCE = 4
"""Instances, at each look, that another process is to have: those that are on their way are not reached for a moment."""
SET_UP_AT_ONCE = 4
"""A thousand instances that begin together must not keep the leases from being renewed."""


def _is_movable(owned: OwnedInstance) -> bool:
    """Not while somebody logs in, and not what keeps its login in a folder of this machine, as that does which belongs in a container."""
    works = owned.provider.state.state in WORKING and not owned.stopping
    return works and (owned.row.runtime == "swarm" or owned.row.runtime == HERE == owned.provider.default_runtime)


def _nothing() -> None:
    pass


class Supervisor:
    """Takes leases, starts and stops providers, and writes down their states."""

    def __init__(
        self,
        database: Database,
        *,
        vault: Callable[[], Vault],
        feed: Feed,
        inbound: Inbound,
        outbox: Outbox,
        owner: UUID,
        context: Callable[[UUID], ProviderContext],
        runtimes: Mapping[str, Runtime],
        workers: Workers,
        shares: bool = False,
        stop_within: float,
    ) -> None:
        """`shares`: it takes its share among all that do so. Otherwise (a process that a client starts for a while) it takes what is free."""
        self._database = database
        self._workers = workers
        self._worker = workers.worker("supervisor")
        self._vault = vault
        self._states = States(database, feed, vault)
        self._inbound = inbound
        self._outbox = outbox
        self.owner = owner
        self._surroundings = context
        self._runtimes = runtimes
        self._shares = shares
        self._stop_within = stop_within
        self._leases: dict[UUID, int] = {}
        self._owned: dict[UUID, OwnedInstance] = {}
        self._broken: dict[UUID, datetime] = {}
        self._handed_over: dict[UUID, float] = {}
        self._set_ups = anyio.CapacityLimiter(SET_UP_AT_ONCE)
        self._wake = anyio.Event()
        self._is_eager = True
        self._renewed = 0.0
        self._is_first = True
        self._was_set_back = False
        """Of the database's clock, which the leases show."""
        self._closing = False
        self.looked: Callable[[], None] = _nothing
        """Called after each look, when what is owned here may have changed."""

    def get(self, instance_id: UUID) -> OwnedInstance | None:
        return self._owned.get(instance_id)

    @property
    def owned(self) -> dict[UUID, OwnedInstance]:
        return dict(self._owned)

    def wake(self) -> None:
        """Something about instances changed here: look now."""
        self._is_eager = True
        self._wake.set()

    def changed_elsewhere(self) -> None:
        """Another process says that something about instances changed."""
        self._wake.set()

    def data_dir(self, instance_id: UUID) -> Path:
        return self._surroundings(instance_id).data_dir

    async def run(self) -> None:
        async with anyio.create_task_group() as running:
            running.start_soon(self._fence_in_time)
            running.start_soon(partial(self._workers.worker("leases").keep, self._renew_when_due, partial(anyio.sleep, RENEW_EVERY / 4)))
            try:
                await self._worker.keep(partial(self._reconcile, running), self._wait)
            finally:
                with anyio.CancelScope(shield=True):
                    await self._give_up_all()

    async def _wait(self) -> None:
        with anyio.move_on_after(RENEW_EVERY) as pause:
            await self._wake.wait()
        self._is_eager = self._is_eager or pause.cancelled_caught

    async def _reconcile(self, running: anyio.abc.TaskGroup) -> None:
        self._wake = anyio.Event()
        if self._is_first:
            self._was_set_back = await clock.was_set_back(self._database)
            self._is_first = False
        await self._renew()
        await self._follow_clock()
        await self._apply_desired_states()
        for instance_id, epoch in (await self._take()).items():
            # Its lease may have been ours, and expired since the renewal: the database's clock was set forward.
            self._let_go(instance_id)
            self._leases[instance_id] = epoch
            running.start_soon(self._live, instance_id, epoch)
        for instance_id in await leases.orphaned_instances(self._database):
            await self._states.write(instance_id, None, StateChanged(state=InstanceState.STOPPED))
        await self._tell_who_waits()
        self.looked()

    async def _follow_clock(self) -> None:
        if self._was_set_back:
            log.warning("the database's clock was set back: what waited for a later time is tried now")
            await clock.bring_forward(self._database)
            self._was_set_back = False

    async def _take(self) -> dict[UUID, int]:
        able = [name for name, runtime in self._runtimes.items() if runtime.away is None]
        if not self._shares:
            return await leases.acquire(self._database, self.owner, able, but=self._broken)
        apart = [name for name in able if name not in SHARED]
        taken = await leases.acquire(self._database, self.owner, apart, but=self._broken) if apart else {}
        is_eager, self._is_eager = self._is_eager, False
        for runtime in SHARED:
            if runtime in able:
                taken |= await self._take_share(runtime, is_eager=is_eager)
        return taken

    async def _take_share(self, runtime: str, *, is_eager: bool) -> dict[UUID, int]:
        capacity = await leases.capacity(self._database, self.owner, runtime)
        # What is left over (nobody else can run it) is taken one by one, but not at once after another has let go of it.
        capacity, surplus = max(capacity, 1 if is_eager else 0), -capacity
        self._hand_over(runtime, surplus)
        recent = [id for id, at in self._handed_over.items() if anyio.current_time() - at < leases.TTL]
        if capacity <= 0:
            return {}
        return await leases.acquire(self._database, self.owner, [runtime], but=self._broken, handed_over=recent, limit=capacity)

    def _hand_over(self, runtime: str, surplus: int) -> None:
        """Stop so many, for others to take. One that has come back is kept: the others cannot run it."""
        own = {id: owned for id, owned in self._owned.items() if owned.row.runtime == runtime}
        surplus -= sum(owned.stopping for owned in own.values())
        free = [owned for id, owned in own.items() if id not in self._handed_over and _is_movable(owned)]
        for owned in free[: max(0, min(surplus, HAND_OVER_AT_ONCE))]:
            log.info("instance handed over", extra={"instance_id": str(owned.row.id)})
            self._handed_over[owned.row.id] = anyio.current_time()
            owned.stop(self._stop_within)

    async def _tell_who_waits(self) -> None:
        """Instances that nobody can run for now say why; they begin by themselves."""
        for name, runtime in self._runtimes.items():
            if (reason := runtime.away) is not None:
                for instance_id in await leases.waiting(self._database, name, reason):
                    await self._states.write(instance_id, None, StateChanged(state=InstanceState.PROCESSING, reason=reason))

    async def _renew_when_due(self) -> None:
        """Beside the looks, since a pool whose connections are all busy holds them up."""
        if self._leases and anyio.current_time() - self._renewed > RENEW_EVERY * 1.2:
            await self._renew()

    async def _renew(self) -> None:
        began = anyio.current_time()
        ours = dict(self._leases)
        still, was_set_back = await leases.renew(self._database, ours) if ours else (set[UUID](), False)
        self._was_set_back = self._was_set_back or was_set_back
        self._renewed = max(self._renewed, began)
        for instance_id in ours.keys() - still:
            # Not one that was released, or taken again, meanwhile.
            if self._leases.get(instance_id) == ours[instance_id]:
                log.warning("lease lost", extra={"instance_id": str(instance_id)})
                self._let_go(instance_id)

    def _let_go(self, instance_id: UUID) -> None:
        """Another process runs it, or may at any moment: two must never poll at once."""
        self._leases.pop(instance_id, None)
        owned = self._owned.get(instance_id)
        if owned is not None:
            owned.scope.cancel()

    def _in_time(self) -> bool:
        return anyio.current_time() - self._renewed < FENCE_AFTER

    async def _fence_in_time(self) -> None:
        """Beside the looks, since a store that hangs holds them up."""
        while True:
            late = anyio.current_time() - self._renewed - FENCE_AFTER
            if late < 0:
                await anyio.sleep(-late)
                continue
            if self._leases:
                log.warning("the store is away for too long: everything is let go of")
            for instance_id in list(self._leases):
                self._let_go(instance_id)
            await anyio.sleep(RENEW_EVERY)

    async def _apply_desired_states(self) -> None:
        desired_states = await leases.desired_states(self._database, list(self._owned)) if self._owned else {}
        for instance_id, owned in self._owned.items():
            desired = desired_states.get(instance_id)
            if desired is None or desired.desired != "running":
                owned.stop(self._stop_within)
            elif desired.has_queued_sends:
                owned.wake_outbox()

    async def _live(self, instance_id: UUID, epoch: int) -> None:
        """One instance, from the lease to its release."""
        try:
            with self._worker.contained(instance_id=str(instance_id)):
                owned = await self._set_up(instance_id, epoch)
                if owned is not None:
                    await self._run(owned)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(TELL_WITHIN):
                await self._release(instance_id, epoch)

    async def _release(self, instance_id: UUID, epoch: int) -> None:
        if self._leases.get(instance_id) == epoch:
            del self._leases[instance_id]
        # Without the store the lease ends by itself.
        with self._worker.contained(instance_id=str(instance_id)):
            await leases.release(self._database, instance_id, epoch)
        self._wake.set()

    async def _set_up(self, instance_id: UUID, epoch: int) -> OwnedInstance | None:
        async with self._set_ups:
            row = await instances.get(self._database, instance_id)
            if row is None:
                return None
            provider: Provider | None = None
            # One that cannot be built must not take the others with it.
            with self._worker.contained(instance_id=str(instance_id)) as contained:
                provider = await self._provider(row)
            if contained.error is not None:
                await self._break(row, epoch, contained.error)
        if provider is None:
            return None
        journal = Journal(self.data_dir(instance_id), epoch)
        return OwnedInstance(row, epoch, provider, Pacing(provider.limits, time.monotonic), self._in_time, journal)

    async def _provider(self, row: InstanceRow) -> Provider:
        cls = await classes.load(row.provider)
        settings = await credentials.load(self._database, self._vault(), row, cls.settings_type)
        # What a provider keeps in its folder does not come along when another machine takes over.
        context = replace(self._surroundings(row.id), heard_until=await messages.heard_until(self._database, row.id))
        return await self.runtime(row).provider(row, cls, settings, context)

    def runtime(self, row: InstanceRow) -> Runtime:
        """Raises NotAvailable where this process has none of that kind."""
        runtime = self._runtimes.get(row.runtime)
        if runtime is None:
            raise NotAvailable(f"This process runs nothing in {row.runtime}.", hint="Ask the server that does (mcp-messenger serve).")
        return runtime

    async def _break(self, row: InstanceRow, epoch: int, error: Exception) -> None:
        """Leave it alone until somebody changes or restarts it; the store's trouble passes by itself, and it is taken again."""
        if isinstance(error, StoreUnavailable):
            return
        reason = error.detail if isinstance(error, MessengerError) else "The instance broke down; the log says why."
        await self._states.write(row.id, epoch, StateChanged(state=InstanceState.ERROR, reason=reason))
        now = await instances.get(self._database, row.id)
        if now is not None:
            self._broken[row.id] = now.updated_at

    async def _run(self, owned: OwnedInstance) -> None:
        former = self._owned.get(owned.row.id)
        if former is not None:
            # We lost the lease and got it again before that one had ended.
            await former.stopped.wait()
        if self._closing or self._leases.get(owned.row.id) != owned.epoch:
            return
        self._owned[owned.row.id] = owned
        try:
            with self._worker.contained(instance_id=str(owned.row.id)) as contained, owned.scope:
                await self._work(owned)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(self._stop_within):
                await self._end(owned)
            del self._owned[owned.row.id]
            owned.stopped.set()
        if contained.error is not None and not isinstance(contained.error, Conflict):
            await self._break(owned.row, owned.epoch, contained.error)

    async def _work(self, owned: OwnedInstance) -> None:
        async def deliver(events: Sequence[Event]) -> None:
            await self._deliver(owned, events)

        await owned.provider.start(deliver)
        async with anyio.create_task_group() as parts:
            parts.start_soon(roster.keep, self._database, owned, self._workers.worker("roster", vital=False, instance_id=str(owned.row.id)))
            await self._outbox.run(owned)
            parts.cancel_scope.cancel()

    async def _end(self, owned: OwnedInstance) -> None:
        with self._worker.contained(instance_id=str(owned.row.id)):
            await owned.provider.stop()
        with anyio.move_on_after(TELL_WITHIN if self._closing else self._stop_within), self._worker.contained(instance_id=str(owned.row.id)):
            await self._tell_end(owned)

    async def _tell_end(self, owned: OwnedInstance) -> None:
        row = await instances.get(self._database, owned.row.id)
        if row is None or row.desired == "stopped":
            await self._halt(owned.row)
        if row is not None and row.desired == "stopped":
            await self._states.write(row.id, owned.epoch, StateChanged(state=InstanceState.STOPPED))

    async def _halt(self, row: InstanceRow) -> None:
        try:
            await self.runtime(row).halt(row.id)
        except MessengerError as error:
            log.warning("what the instance ran in was not stopped: %s", error, extra={"instance_id": str(row.id)})

    async def _give_up_all(self) -> None:
        """Leases are kept until the last send has ended."""
        self._closing = True
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._leave, list(self._leases))
            for owned in self._owned.values():
                owned.stop(self._stop_within)
            while self._owned:
                with anyio.move_on_after(RENEW_EVERY), self._worker.contained():
                    await self._renew()
                # Apart from the renewal: without the store that ends at once, and this loop would leave no time for anything to stop.
                with anyio.move_on_after(RENEW_EVERY):
                    for owned in list(self._owned.values()):
                        await owned.stopped.wait()

    async def _leave(self, owned: Sequence[UUID]) -> None:
        with anyio.move_on_after(TELL_WITHIN), self._worker.contained():
            await leases.leave(self._database, self.owner, owned=owned)

    async def _deliver(self, owned: OwnedInstance, events: Sequence[Event]) -> None:
        others: list[Event] = []
        for event in events:
            if not isinstance(event, StateChanged):
                others.append(event)
                continue
            await self._inbound.deliver(owned.source, others)
            others = []
            await self._state(owned, event)
        await self._inbound.deliver(owned.source, others)

    async def _state(self, owned: OwnedInstance, event: StateChanged) -> None:
        if not await self._states.write(owned.row.id, owned.epoch, event):
            raise Conflict("Another process runs this instance now.")
        owned.wake_outbox()
        if event.state is InstanceState.READY:
            owned.became_ready.set()

    def refresh(self, row: InstanceRow) -> None:
        """The instance's row was changed: who gets its events, and the like."""
        owned = self._owned.get(row.id)
        if owned is not None:
            owned.row = row

    async def unstarted(self, row: InstanceRow) -> Provider:
        """A provider of the instance that is not connected: for what can be known without asking the platform."""
        cls = await classes.load(row.provider)
        return cls(await credentials.load(self._database, self._vault(), row, cls.settings_type), self._surroundings(row.id))

    @asynccontextmanager
    async def following(self, row: InstanceRow) -> AsyncGenerator[deque[str]]:
        """New log lines of an instance that runs apart; none where it cannot be asked from here."""
        runtime = self._runtimes.get(row.runtime)
        if runtime is None or runtime.away is not None:
            yield deque()
            return
        async with runtime.following(row.id) as lines:
            yield lines

    async def wake_outbox(self, instance_id: UUID) -> None:
        """Something is queued: tell the owner, here or in another process."""
        owned = self._owned.get(instance_id)
        if owned is not None:
            owned.wake_outbox()
        else:
            await leases.tell_owner(self._database, instance_id)

    async def nobody_runs(self, instance_id: UUID) -> bool:
        return await leases.owner_of(self._database, instance_id) is None

    async def announce(self, row: InstanceRow, state: InstanceState) -> None:
        """Write down the state of an instance that nobody runs."""
        await self._states.write(row.id, None, StateChanged(state=state))
