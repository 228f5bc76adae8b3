"""Runs the provider: starts it with the settings there are, spools what it delivers, and says where it stands."""

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from mcp_messenger.alone.database import SpoolUnavailable
from mcp_messenger.alone.spool import Spool
from mcp_messenger.errors import NotReady
from providers.base import Provider, ProviderContext, Settings
from providers.errors import MessengerError, Unreachable, Unsupported
from providers.models import Account, Capability, Event, InstanceState, StateChanged
from providers.states import states_for

log = logging.getLogger(__name__)

WAITING = StateChanged(state=InstanceState.STARTING, reason="Waits for its manager to bring the settings.")
CHECK_EVERY = 2.0
TRIM_EVERY = 3600.0


class Runner:
    """`context` are made anew for each provider, by the address at which the platform reaches the manager."""

    def __init__(self, cls: type[Provider], spool: Spool, instance_id: str, session: Path, context: Callable[[str | None], ProviderContext]) -> None:
        self._cls = cls
        self._spool = spool
        self._instance_id = instance_id
        self._session = session
        self._surroundings = context
        self._turn = anyio.Lock()
        self._settings: Settings | None = None
        self._public_url: str | None = None
        self._provider: Provider | None = None
        self._told = WAITING
        self._account: Account | None = None

    @property
    def settings(self) -> Settings | None:
        return self._settings

    @property
    def is_running(self) -> bool:
        return self._provider is not None

    @property
    def state(self) -> StateChanged:
        """The state last spooled, so that it is never ahead of the events; and what keeps the spool from taking any."""
        trouble = self._spool.file.trouble
        if trouble is None:
            return self._told
        reason = f"The spool cannot be written ({trouble}): nothing is taken from the messenger, and nothing sent, until it can."
        return StateChanged(state=InstanceState.DEGRADED, reason=reason, account=self._told.account)

    @property
    def present(self) -> StateChanged:
        """With what the provider knows already and the spool does not."""
        if self._spool.file.trouble is not None or self._provider is None:
            return self.state
        return self._provider.state

    @property
    def known_account(self) -> Account | None:
        """Whose account it was when last logged in."""
        return self._account

    async def configure(self, settings: Settings, public_url: str | None) -> None:
        """Start with these settings; begin anew where they changed; do nothing where it runs with them already."""
        async with self._turn:
            if self._provider is not None and (settings, public_url) == (self._settings, self._public_url):
                return
            await self._stop()
            self._settings, self._public_url = settings, public_url
            await self._start(settings)

    async def start(self) -> None:
        async with self._turn:
            if self._provider is not None and self._provider.state.state in {InstanceState.ERROR, InstanceState.LOGGED_OUT}:
                await self._stop()
            if self._provider is None and self._settings is not None:
                await self._start(self._settings)

    async def stop(self) -> None:
        """Disconnect; the login stays."""
        async with self._turn:
            await self._stop()

    async def forget(self) -> None:
        """Throw the login away; where there are settings, begin anew with them."""
        async with self._turn:
            await self._stop()
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(self._session, ignore_errors=True))
            if self._settings is not None:
                await self._start(self._settings)

    async def _start(self, settings: Settings) -> None:
        self._told = StateChanged(state=InstanceState.STARTING)
        provider = self._cls(settings, self._surroundings(self._public_url))
        self._provider = provider

        async def deliver(events: Sequence[Event]) -> None:
            await self._deliver(provider, events)

        try:
            await provider.start(deliver)
        except Exception as error:
            log.exception("the provider did not start", extra={"instance_id": self._instance_id})
            reason = error.detail if isinstance(error, MessengerError) else "Something broke while it started; the log says what."
            self._told = StateChanged(state=InstanceState.ERROR, reason=reason)
        self._spool.wake()

    async def _stop(self) -> None:
        provider, self._provider = self._provider, None
        if provider is not None:
            await provider.stop()
            self._told = StateChanged(state=InstanceState.STOPPED)
            await self._note(self._told)
            self._spool.wake()

    async def _note(self, state: StateChanged) -> None:
        """A stop is asked for, and not delivered by the provider."""
        try:
            await self._spool.append([state])
        except SpoolUnavailable as error:
            log.warning("the state was not spooled: %s", error.detail)

    async def _deliver(self, provider: Provider, events: Sequence[Event]) -> None:
        """Raises SpoolUnavailable; the platform keeps then what it was."""
        await self._spool.append(events)
        states = [event for event in events if isinstance(event, StateChanged)]
        if states and provider is self._provider:
            self._told = states[-1]
            self._account = self._told.account or self._account
            log.info("state: %s", self._told.state, extra={"instance_id": self._instance_id})
            self._spool.wake()

    def sender(self) -> Provider:
        """For a send. Raises Unreachable, of which nothing went out."""
        if self._provider is None:
            hint = "It waits for its settings." if self._settings is None else "Start it."
            raise Unreachable("The messenger does not run in this program.", maybe_sent=False, hint=hint)
        return self._provider

    def provider(self) -> Provider:
        """Whatever its state. Raises NotReady where there is none."""
        if self._provider is None:
            raise NotReady(self._instance_id, self.present.state)
        return self._provider

    def checker(self) -> Provider | None:
        """A provider to ask what the platform would refuse; it need not run. None while there are no settings."""
        if self._provider is None and self._settings is not None:
            return self._cls(self._settings, self._surroundings(self._public_url))
        return self._provider

    def port(self, capability: Capability) -> Provider:
        """For anything else. Raises Unsupported before NotReady: what can never work is said first."""
        if capability not in self._cls.capabilities:
            raise Unsupported(self._cls.name, capability)
        state = self.present.state
        if self._provider is None or state not in states_for(capability):
            raise NotReady(self._instance_id, state)
        return self._provider

    async def run(self) -> None:
        """Look now and then whether the spool can be written again, and keep it to its bounds; until cancelled."""
        trimmed = anyio.current_time()
        while True:
            await anyio.sleep(CHECK_EVERY)
            is_due = anyio.current_time() - trimmed >= TRIM_EVERY
            if self._spool.file.trouble is None and not is_due:
                continue
            try:
                await self._spool.trim()
                trimmed = anyio.current_time()
                self._spool.wake()
            except SpoolUnavailable as error:
                log.debug("the spool is still unusable: %s", error.detail)
