"""Runs the instances whose lease this process holds. Exactly one process may poll a bot or hold a session."""

import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

import anyio
import anyio.abc

from db import instances, leases, messages
from db.database import Database
from db.errors import StoreUnavailable
from db.instances import InstanceRow
from mcp_messenger.delivery.feed import Feed
from mcp_messenger.delivery.inbound import Inbound
from mcp_messenger.delivery.outbox import Outbox
from mcp_messenger.delivery.pace import Pace
from mcp_messenger.errors import Conflict, NotAvailable
from mcp_messenger.instances import classes, credentials, roster
from mcp_messenger.instances.held import WORKING, Held
from mcp_messenger.instances.runtimes.runtime import Runtime
from mcp_messenger.instances.states import States
from mcp_messenger.vault import Vault
from providers.base import Provider, Surroundings
from providers.errors import MessengerError
from providers.models import Event, InstanceState, StateChanged

log = logging.getLogger(__name__)

RENEW_EVERY = leases.TTL / 4
FENCE_AFTER = leases.TTL * 0.7
"""Seconds without a renewal until everything is let go of; the rest of the time is for letting go."""
SHARED = "process"
"""The runtime whose instances are shared out."""
STOP_WITHIN = 15.0
TELL_WITHIN = 3.0
"""For the store to hear that an instance is given up. Without it the lease ends by itself, and whoever waits for us to stop does not wait long."""
HAND_OVER_AT_ONCE = 4
"""Instances, at each look, that another process is to have: those that are on their way are not reached for a moment."""
SET_UP_AT_ONCE = 4
"""A thousand instances that begin together must not keep the leases from being renewed."""


def _is_movable(held: Held) -> bool:
    """Not while somebody logs in, and not what keeps its login in a folder of this machine, as that does which belongs in a container."""
    works = held.provider.state.state in WORKING and not held.stopping
    return works and held.row.runtime == SHARED == held.provider.default_runtime


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
        surroundings: Callable[[UUID], Surroundings],
        runtimes: Mapping[str, Runtime],
        only: UUID | None = None,
        shares: bool = False,
    ) -> None:
        """`shares`: it takes its share among all that do so. Otherwise (a process that a client starts for a while) it takes what is free."""
        self._database = database
        self._vault = vault
        self._states = States(database, feed, vault)
        self._inbound = inbound
        self._outbox = outbox
        self.owner = owner
        self._surroundings = surroundings
        self._runtimes = runtimes
        self._only = only
        self._shares = shares
        self._leases: dict[UUID, int] = {}
        self._held: dict[UUID, Held] = {}
        self._broken: dict[UUID, datetime] = {}
        self._handed_over: dict[UUID, float] = {}
        self._set_ups = anyio.CapacityLimiter(SET_UP_AT_ONCE)
        self._wake = anyio.Event()
        self._is_eager = True
        self._renewed = 0.0
        self._closing = False

    def get(self, instance_id: UUID) -> Held | None:
        return self._held.get(instance_id)

    @property
    def held(self) -> dict[UUID, Held]:
        return dict(self._held)

    def wake(self) -> None:
        """Something about instances changed here: look now."""
        self._is_eager = True
        self._wake.set()

    def told(self) -> None:
        """Another process says that something about instances changed."""
        self._wake.set()

    def data_dir(self, instance_id: UUID) -> Path:
        return self._surroundings(instance_id).data_dir

    async def run(self) -> None:
        async with anyio.create_task_group() as running:
            running.start_soon(self._fence_in_time)
            try:
                while True:
                    self._wake = anyio.Event()
                    await self._look(running)
                    with anyio.move_on_after(RENEW_EVERY) as pause:
                        await self._wake.wait()
                    self._is_eager = self._is_eager or pause.cancelled_caught
            finally:
                with anyio.CancelScope(shield=True):
                    await self._give_up_all()

    async def _look(self, running: anyio.abc.TaskGroup) -> None:
        try:
            await self._renew()
            await self._follow_wishes()
            for instance_id, epoch in (await self._take()).items():
                self._leases[instance_id] = epoch
                running.start_soon(self._live, instance_id, epoch)
            for instance_id in await leases.forsaken(self._database, only=self._only):
                await self._states.write(instance_id, None, StateChanged(state=InstanceState.STOPPED))
            await self._tell_who_waits()
        except StoreUnavailable as error:
            log.warning("leases cannot be renewed: %s", error)
        except Exception:
            # A statement that was cancelled, a standby that is read-only: whatever it is, the next look may succeed.
            log.exception("instances cannot be looked after")

    async def _take(self) -> dict[UUID, int]:
        able = [name for name, runtime in self._runtimes.items() if runtime.away is None]
        if not self._shares:
            return await leases.acquire(self._database, self.owner, able, only=self._only, but=self._broken)
        # Which engine a container is on, the others may not reach: those are not shared out.
        apart = [name for name in able if name != SHARED]
        taken = await leases.acquire(self._database, self.owner, apart, but=self._broken) if apart else {}
        room = await leases.room(self._database, self.owner, SHARED)
        # What is left over (nobody else can run it) is taken one by one, but not at once after another has let go of it.
        room, surplus = max(room, 1 if self._is_eager else 0), -room
        self._is_eager = False
        self._hand_over(surplus)
        recent = [id for id, at in self._handed_over.items() if anyio.current_time() - at < leases.TTL]
        if room > 0:
            taken |= await leases.acquire(self._database, self.owner, [SHARED], but=self._broken, handed_over=recent, limit=room)
        return taken

    def _hand_over(self, surplus: int) -> None:
        """Stop so many, for others to take. One that has come back is kept: the others cannot run it."""
        surplus -= sum(held.stopping for held in self._held.values())
        free = [held for id, held in self._held.items() if id not in self._handed_over and _is_movable(held)]
        for held in free[: max(0, min(surplus, HAND_OVER_AT_ONCE))]:
            log.info("instance handed over", extra={"instance_id": str(held.row.id)})
            self._handed_over[held.row.id] = anyio.current_time()
            held.stop(STOP_WITHIN)

    async def _tell_who_waits(self) -> None:
        """Instances that nobody can run for now say why; they begin by themselves."""
        for name, runtime in self._runtimes.items():
            if (reason := runtime.away) is not None:
                for instance_id in await leases.waiting(self._database, name, reason):
                    await self._states.write(instance_id, None, StateChanged(state=InstanceState.PROCESSING, reason=reason))

    async def _renew(self) -> None:
        began = anyio.current_time()
        still = await leases.renew(self._database, self._leases) if self._leases else set[UUID]()
        self._renewed = began
        for instance_id in self._leases.keys() - still:
            log.warning("lease lost", extra={"instance_id": str(instance_id)})
            self._let_go(instance_id)

    def _let_go(self, instance_id: UUID) -> None:
        """Another process runs it, or may at any moment: two must never poll at once."""
        self._leases.pop(instance_id, None)
        held = self._held.get(instance_id)
        if held is not None:
            held.scope.cancel()

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

    async def _follow_wishes(self) -> None:
        wishes = await leases.wishes(self._database, list(self._held)) if self._held else {}
        for instance_id, held in self._held.items():
            wish = wishes.get(instance_id)
            if wish is None or wish.desired != "running" or wish.key_id != held.key_id:
                held.stop(STOP_WITHIN)
            elif wish.has_mail:
                held.wake_outbox()

    async def _live(self, instance_id: UUID, epoch: int) -> None:
        """One instance, from the lease to its release."""
        try:
            held = await self._set_up(instance_id, epoch)
            if held is not None:
                await self._run(held)
        except StoreUnavailable as error:
            log.warning("instance not started: %s", error, extra={"instance_id": str(instance_id)})
        except Exception:
            log.exception("instance broke down", extra={"instance_id": str(instance_id)})
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(TELL_WITHIN):
                await self._release(instance_id, epoch)

    async def _release(self, instance_id: UUID, epoch: int) -> None:
        if self._leases.get(instance_id) == epoch:
            del self._leases[instance_id]
        try:
            await leases.release(self._database, instance_id, epoch)
        except StoreUnavailable as error:
            log.warning("lease not released: %s", error, extra={"instance_id": str(instance_id)})
        self._wake.set()

    async def _set_up(self, instance_id: UUID, epoch: int) -> Held | None:
        async with self._set_ups:
            row = await instances.get(self._database, instance_id)
            if row is None:
                return None
            # Before the provider is made: a key that is changed meanwhile is noticed.
            wish = (await leases.wishes(self._database, [instance_id])).get(instance_id)
            try:
                provider = await self._provider(row)
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - one instance that cannot be built must not take the others with it
                await self._break(row, epoch, error)
                return None
        return Held(row, epoch, provider, Pace(provider.limits, time.monotonic), self._in_time, wish and wish.key_id)

    async def _provider(self, row: InstanceRow) -> Provider:
        cls = await classes.load(row.provider)
        settings = await credentials.load(self._database, self._vault(), row, cls.settings_type)
        # What a provider keeps in its folder does not come along when another machine takes over.
        surroundings = replace(self._surroundings(row.id), heard_until=await messages.heard_until(self._database, row.id))
        return await self.runtime(row).provider(row, cls, settings, surroundings)

    def runtime(self, row: InstanceRow) -> Runtime:
        """Raises NotAvailable where this process has none of that kind."""
        runtime = self._runtimes.get(row.runtime)
        if runtime is None:
            raise NotAvailable(f"This process runs nothing in {row.runtime}.", hint="Ask the server that does (mcp-messenger serve).")
        return runtime

    async def _break(self, row: InstanceRow, epoch: int, error: Exception) -> None:
        """It is left alone until somebody changes or restarts it, and the others run on."""
        reason = error.detail if isinstance(error, MessengerError) else "The instance broke down; the log says why."
        log.error("instance broke down", exc_info=error, extra={"instance_id": str(row.id)})
        await self._states.write(row.id, epoch, StateChanged(state=InstanceState.ERROR, reason=reason))
        now = await instances.get(self._database, row.id)
        if now is not None:
            self._broken[row.id] = now.updated_at

    async def _run(self, held: Held) -> None:
        former = self._held.get(held.row.id)
        if former is not None:
            # We lost the lease and got it again before that one had ended.
            await former.stopped.wait()
        if self._closing or self._leases.get(held.row.id) != held.epoch:
            return
        self._held[held.row.id] = held
        trouble: Exception | None = None
        try:
            with held.scope:
                await self._work(held)
        except (Conflict, StoreUnavailable) as error:
            log.warning("instance interrupted: %s", error, extra={"instance_id": str(held.row.id)})
        except Exception as error:  # noqa: BLE001 - one instance that breaks must not take the others with it
            trouble = error
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_WITHIN):
                await self._end(held)
            del self._held[held.row.id]
            held.stopped.set()
        if trouble is not None:
            await self._break(held.row, held.epoch, trouble)

    async def _work(self, held: Held) -> None:
        async def deliver(events: Sequence[Event]) -> None:
            await self._deliver(held, events)

        await held.provider.start(deliver)
        async with anyio.create_task_group() as parts:
            parts.start_soon(roster.keep, self._database, held)
            await self._outbox.run(held)
            parts.cancel_scope.cancel()

    async def _end(self, held: Held) -> None:
        try:
            await held.provider.stop()
        except Exception:
            log.exception("provider did not stop cleanly", extra={"instance_id": str(held.row.id)})
        with anyio.move_on_after(TELL_WITHIN if self._closing else STOP_WITHIN):
            await self._tell_end(held)

    async def _tell_end(self, held: Held) -> None:
        try:
            row = await instances.get(self._database, held.row.id)
            if row is None or row.desired == "stopped":
                await self._halt(held.row)
            if row is not None and row.desired == "stopped":
                await self._states.write(row.id, held.epoch, StateChanged(state=InstanceState.STOPPED))
        except StoreUnavailable as error:
            log.warning("state not written: %s", error, extra={"instance_id": str(held.row.id)})

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
            for held in self._held.values():
                held.stop(STOP_WITHIN)
            while self._held:
                with anyio.move_on_after(RENEW_EVERY), suppress(StoreUnavailable):
                    await self._renew()
                # Apart from the renewal: without the store that ends at once, and this loop would leave no time for anything to stop.
                with anyio.move_on_after(RENEW_EVERY):
                    for held in list(self._held.values()):
                        await held.stopped.wait()

    async def _leave(self, held: Sequence[UUID]) -> None:
        with anyio.move_on_after(TELL_WITHIN), suppress(StoreUnavailable):
            await leases.leave(self._database, self.owner, held=held)

    async def _deliver(self, held: Held, events: Sequence[Event]) -> None:
        others: list[Event] = []
        for event in events:
            if not isinstance(event, StateChanged):
                others.append(event)
                continue
            await self._inbound.deliver(held.source, others)
            others = []
            await self._state(held, event)
        await self._inbound.deliver(held.source, others)

    async def _state(self, held: Held, event: StateChanged) -> None:
        if not await self._states.write(held.row.id, held.epoch, event):
            raise Conflict("Another process runs this instance now.")
        held.wake_outbox()
        if event.state is InstanceState.READY:
            held.became_ready.set()

    def refresh(self, row: InstanceRow) -> None:
        """The instance's row was changed: who gets its events, and the like."""
        held = self._held.get(row.id)
        if held is not None:
            held.row = row

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
        held = self._held.get(instance_id)
        if held is not None:
            held.wake_outbox()
        else:
            await leases.tell_owner(self._database, instance_id)

    async def nobody_runs(self, instance_id: UUID) -> bool:
        return await leases.holder(self._database, instance_id) is None

    async def announce(self, row: InstanceRow, state: InstanceState) -> None:
        """Write down the state of an instance that nobody runs."""
        await self._states.write(row.id, None, StateChanged(state=state))
