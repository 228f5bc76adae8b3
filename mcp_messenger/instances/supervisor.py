"""Runs the instances whose lease this process holds. Exactly one process may poll a bot or hold a session."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import anyio.abc

from db import chats, history, instances, leases
from db import inbound as store
from db.database import Database
from db.errors import StoreUnavailable
from db.instances import InstanceRow
from db.json import jsonb
from mcp_messenger.delivery.feed import Feed
from mcp_messenger.delivery.inbound import Inbound
from mcp_messenger.delivery.outbox import Outbox
from mcp_messenger.delivery.pace import Pace
from mcp_messenger.errors import Conflict
from mcp_messenger.instances import classes, credentials
from mcp_messenger.instances.held import Held
from mcp_messenger.vault import Vault
from providers.base import Provider, Surroundings
from providers.errors import MessengerError
from providers.models import Capability, Event, InstanceState, StateChanged

log = logging.getLogger(__name__)

RENEW_EVERY = leases.TTL / 3
FENCE_AFTER = leases.TTL * 0.8
STOP_WITHIN = 15.0
TROUBLE = frozenset({InstanceState.ERROR, InstanceState.DEGRADED, InstanceState.LOGGED_OUT})


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
        runtimes: Sequence[str] = ("process",),
        only: UUID | None = None,
    ) -> None:
        self._database = database
        self._vault = vault
        self._feed = feed
        self._inbound = inbound
        self._outbox = outbox
        self.owner = owner
        self._surroundings = surroundings
        self._runtimes = runtimes
        self._only = only
        self._held: dict[UUID, Held] = {}
        self._wake = anyio.Event()
        self._renewed = time.monotonic()

    def get(self, instance_id: UUID) -> Held | None:
        return self._held.get(instance_id)

    @property
    def held(self) -> dict[UUID, Held]:
        return dict(self._held)

    def wake(self) -> None:
        """Something about instances changed: look now."""
        self._wake.set()

    def data_dir(self, instance_id: UUID) -> Path:
        return self._surroundings(instance_id).data_dir

    async def run(self) -> None:
        await self._database.started()
        async with anyio.create_task_group() as running:
            try:
                while True:
                    self._wake = anyio.Event()
                    await self._look(running)
                    with anyio.move_on_after(RENEW_EVERY):
                        await self._wake.wait()
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_WITHIN):
                    await self._give_up_all()

    async def _look(self, running: anyio.abc.TaskGroup) -> None:
        try:
            await self._renew()
            await self._follow_wishes()
            for instance_id, epoch in (await leases.acquire(self._database, self.owner, self._runtimes, only=self._only)).items():
                await self._begin(instance_id, epoch, running)
        except StoreUnavailable as error:
            log.warning("leases cannot be renewed: %s", error)
            if time.monotonic() - self._renewed > FENCE_AFTER:
                # Another process may take over any moment now: two must never poll at once.
                for held in self._held.values():
                    held.scope.cancel()

    async def _renew(self) -> None:
        if not self._held:
            self._renewed = time.monotonic()
            return
        began = time.monotonic()
        still = await leases.renew(self._database, self.owner, {held.row.id: held.epoch for held in self._held.values()})
        self._renewed = began
        for instance_id in set(self._held) - still:
            log.warning("lease lost", extra={"instance_id": str(instance_id)})
            self._held[instance_id].scope.cancel()

    async def _follow_wishes(self) -> None:
        wishes = await leases.desired(self._database, list(self._held)) if self._held else {}
        for instance_id, held in self._held.items():
            if wishes.get(instance_id) != "running":
                held.scope.cancel()
            else:
                held.wake_outbox()

    async def _begin(self, instance_id: UUID, epoch: int, running: anyio.abc.TaskGroup) -> None:
        row = await instances.get(self._database, instance_id)
        if row is None or instance_id in self._held:
            return
        try:
            provider = await self._provider(row)
        except Exception as error:
            # One instance that cannot be built must not keep the others from running.
            reason = error.detail if isinstance(error, MessengerError) else "The provider could not be set up; the log says why."
            log.exception("instance cannot be set up", extra={"instance_id": str(instance_id)})
            await instances.set_desired(self._database, instance_id, "stopped")
            await self._write_state(row, epoch, StateChanged(state=InstanceState.ERROR, reason=reason))
            return
        held = Held(row, epoch, provider, Pace(provider.limits, time.monotonic))
        self._held[instance_id] = held
        running.start_soon(self._run, held)

    async def _provider(self, row: InstanceRow) -> Provider:
        cls = await classes.load(row.provider)
        settings = await credentials.load(self._database, self._vault(), row, cls.settings_type)
        return cls(settings, self._surroundings(row.id))

    async def _run(self, held: Held) -> None:
        try:
            with held.scope:
                async with anyio.create_task_group() as parts:
                    parts.start_soon(self._outbox.run, held)
                    parts.start_soon(self._start, held)
                    await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_WITHIN):
                await self._end(held)

    async def _start(self, held: Held) -> None:
        async def deliver(events: Sequence[Event]) -> None:
            await self._deliver(held, events)

        try:
            await held.provider.start(deliver)
        except Exception as error:
            reason = error.detail if isinstance(error, MessengerError) else "The provider could not start; the log says why."
            log.exception("provider cannot start", extra={"instance_id": str(held.row.id)})
            await self._state(held, StateChanged(state=InstanceState.ERROR, reason=reason))

    async def _end(self, held: Held) -> None:
        try:
            await held.provider.stop()
        except Exception:
            log.exception("provider did not stop cleanly", extra={"instance_id": str(held.row.id)})
        del self._held[held.row.id]
        try:
            row = await instances.get(self._database, held.row.id)
            if row is not None and row.desired == "stopped":
                await self._write_state(row, held.epoch, StateChanged(state=InstanceState.STOPPED))
            await leases.release(self._database, self.owner, {held.row.id: held.epoch})
        except StoreUnavailable as error:
            log.warning("lease not released: %s", error)
        held.stopped.set()
        self.wake()

    async def _give_up_all(self) -> None:
        for held in self._held.values():
            held.scope.cancel()
        for held in list(self._held.values()):
            await held.stopped.wait()

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
        if not await self._write_state(held.row, held.epoch, event):
            raise Conflict("Another process runs this instance now.")
        held.wake_outbox()
        if event.state is InstanceState.READY:
            await self._record_chats(held)

    async def _write_state(self, row: InstanceRow, epoch: int | None, event: StateChanged) -> bool:
        if event.reason and event.state in TROUBLE:
            await history.record_error(self._database, row.id, event.state, event.reason)
        event_id = await store.change(self._database, store.STATE, self._state_params(row, epoch, event))
        self._feed.grew(event_id)
        # The reason of a good state may hold what only the instance's user may see, such as a page's address.
        why = f" ({event.reason})" if event.reason and event.state in TROUBLE else ""
        log.info("state: %s%s", event.state, why, extra={"instance_id": str(row.id)})
        return event_id is not None

    def _state_params(self, row: InstanceRow, epoch: int | None, event: StateChanged) -> dict[str, Any]:
        qr = event.qr
        linked = event.state in {InstanceState.AUTHENTICATED, InstanceState.READY}
        return {
            "instance_id": row.id,
            "epoch": epoch,
            "type": "state",
            "status": event.state,
            "reason": event.reason,
            "needs": event.needs,
            "account": None if event.account is None else jsonb(event.account.model_dump(mode="json", exclude_none=True)),
            "qr_outcome": "used" if linked else "replaced" if qr else "dropped",
            "qr_sequence": qr and qr.sequence,
            "qr_issued_at": qr and qr.issued_at,
            "qr_expires_at": qr and qr.expires_at,
            "qr_sealed": qr and self._vault().seal(qr.content, row=str(row.id), field=f"qr/{qr.sequence}"),
            "data": jsonb({"status": event.state, "reason": event.reason, "needs": event.needs, "sequence": qr and qr.sequence}),
            "targets": [],
        }

    def refresh(self, row: InstanceRow) -> None:
        """The instance's row was changed: who gets its events, and the like."""
        held = self._held.get(row.id)
        if held is not None:
            held.row = row

    async def unstarted(self, row: InstanceRow) -> Provider:
        """A provider of the instance that is not connected: for what can be known without asking the platform."""
        return await self._provider(row)

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
        await self._write_state(row, None, StateChanged(state=state))

    async def _record_chats(self, held: Held) -> None:
        """What the platform lists, written down, so that every process can answer from the store."""
        provider, instance_id = held.provider, held.row.id
        try:
            if Capability.CHATS in provider.capabilities:
                found = {chat.id: (chat.id, chat.kind, chat.title, chat.username, chat.phone) for chat in await provider.list_chats()}
                await chats.upsert(self._database, instance_id, list(found.values()))
            if Capability.CONTACTS in provider.capabilities:
                people = {one.id: (one.id, one.name, one.username, one.phone, one.is_bot) for one in await provider.list_contacts()}
                await chats.upsert_contacts(self._database, instance_id, list(people.values()))
        except MessengerError as error:
            await history.record_error(self._database, instance_id, error.code, error.detail)
