"""Runs the provider: starts it with the manager's settings, spools the events that it delivers, and knows its state."""

import logging
import shutil
from collections.abc import Callable, Sequence

import anyio
import anyio.to_thread

from mcp_messenger.errors import NotReady
from mcp_messenger.relay.spool import Spool
from mcp_messenger.relay.spool_file import SpoolUnavailable
from providers.base import Provider, ProviderContext, Settings
from providers.errors import MessengerError, Unreachable
from providers.events import Event, StateChanged
from providers.states import InstanceState

log = logging.getLogger(__name__)

WAITING = StateChanged(state=InstanceState.STARTING, reason="Waits for its manager to bring the settings.")
STOPPED = StateChanged(state=InstanceState.STOPPED)
CHECK_EVERY = 2.0
FENCE_EVERY = 0.5
LET_GO_WITHIN = 2.0
"""Seconds for a provider to end in order; then it ends with the process."""
TRIM_EVERY = 3600.0


class Runner:
    """`context_for` makes a provider's context from the public URL of the manager, which is None where it has none.

    `fence` is in seconds: after so long without a manager the account is let go of, since another node may be about to take it, and `end` is
    called, which ends the process with everything that it has open.
    """

    def __init__(
        self,
        cls: type[Provider],
        spool: Spool,
        context_for: Callable[[str | None], ProviderContext],
        *,
        fence: float | None = None,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self._cls = cls
        self._spool = spool
        self._context_for = context_for
        self._fence = fence
        self._end = end
        self._heard_at = 0.0
        self._turn = anyio.Lock()
        self._settings: Settings | None = None
        self._public_url: str | None = None
        self._provider: Provider | None = None
        self._spooled = WAITING

    @property
    def spooled_state(self) -> StateChanged:
        """The state that was spooled last, so it is never ahead of the events; or the reason why the spool takes none."""
        trouble = self._spool.file.trouble
        if trouble is None:
            return self._spooled
        reason = f"The spool cannot be written ({trouble}): nothing is taken from the messenger, and nothing sent, until it can."
        return StateChanged(state=InstanceState.DEGRADED, reason=reason, account=self._spooled.account)

    @property
    def state(self) -> StateChanged:
        """The provider's own state, which may not be spooled yet."""
        if self._spool.file.trouble is not None or self._provider is None:
            return self.spooled_state
        return self._provider.state

    async def configure(self, settings: Settings, public_url: str | None) -> None:
        """Start the provider with these settings; start it again if they changed; do nothing if it runs with them."""
        async with self._turn:
            if self._provider is not None and (settings, public_url) == (self._settings, self._public_url):
                return
            await self._stop()
            self.heard()
            self._settings, self._public_url = settings, public_url
            await self._start(settings)

    def heard(self) -> None:
        """Note that the manager is there."""
        self._heard_at = anyio.current_time()

    async def stop(self) -> None:
        """Disconnect; the login stays."""
        async with self._turn:
            await self._stop()

    async def _let_go_in_time(self, fence: float) -> None:
        """Disconnect when no manager has come for so long."""
        async with self._turn:
            if self._provider is None or anyio.current_time() - self._heard_at < fence:
                return
            log.warning("no manager has come for %g s: the account is let go of", fence)
            reason = f"No manager came for {fence:g} s: the account was let go of, for another node may have it."
            try:
                with anyio.move_on_after(LET_GO_WITHIN):
                    await self._stop(StateChanged(state=InstanceState.DEGRADED, reason=reason))
            finally:
                self._end()

    async def forget(self) -> None:
        """Throw the login away; start again if there are settings."""
        async with self._turn:
            await self._stop()
            session = self._context_for(None).data_dir
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(session, ignore_errors=True))
            if self._settings is not None:
                await self._start(self._settings)

    async def _start(self, settings: Settings) -> None:
        self._spooled = StateChanged(state=InstanceState.STARTING)
        provider = self._provider = self._cls(settings, self._context_for(self._public_url))

        async def deliver(events: Sequence[Event]) -> None:
            await self._deliver(provider, events)

        try:
            await provider.start(deliver)
        except Exception as error:  # the start of a container: its state says what is wrong
            log.exception("the provider did not start")
            reason = error.detail if isinstance(error, MessengerError) else "Something broke while it started; the log has the reason."
            self._spooled = StateChanged(state=InstanceState.ERROR, reason=reason)
        self._spool.wake()

    async def _stop(self, state: StateChanged = STOPPED) -> None:
        provider, self._provider = self._provider, None
        if provider is None:
            return
        await provider.stop()
        self._spooled = state
        try:
            # The manager asked for it; the provider does not deliver it.
            await self._spool.append([self._spooled])
        except SpoolUnavailable as error:
            log.warning("the state was not spooled: %s", error.detail)
        self._spool.wake()

    async def _deliver(self, provider: Provider, events: Sequence[Event]) -> None:
        """Spool the events. Raises SpoolUnavailable; the platform keeps them then."""
        await self._spool.append(events)
        states = [event for event in events if isinstance(event, StateChanged)]
        if states and provider is self._provider:
            self._spooled = states[-1]
            log.info("state: %s", self._spooled.state, extra={"instance_id": provider.context.instance_id})
            self._spool.wake()

    def sender(self) -> Provider:
        """Return the provider to send with. Raises Unreachable(maybe_sent=False)."""
        if self._provider is None:
            hint = "It waits for its settings." if self._settings is None else "Start the instance."
            raise Unreachable("The provider does not run in this relay.", maybe_sent=False, hint=hint)
        return self._provider

    def provider(self) -> Provider:
        """Return the provider, whatever its state. Raises NotReady if there is none."""
        if self._provider is None:
            raise NotReady("", self.state.state)
        return self._provider

    async def run(self) -> None:
        """Try from time to time whether the spool can be written again, trim it, and let go of the account in time; until cancelled."""
        async with anyio.create_task_group() as tasks:
            if self._fence is not None:
                tasks.start_soon(self._keep_fence, self._fence)
            await self._keep_spool()

    async def _keep_fence(self, fence: float) -> None:
        while True:
            await anyio.sleep(FENCE_EVERY)
            await self._let_go_in_time(fence)

    async def _keep_spool(self) -> None:
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
