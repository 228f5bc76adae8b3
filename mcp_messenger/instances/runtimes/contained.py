"""The provider of an instance in a container: a RemoteProvider, and a reconciler of what it runs in."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pydantic import SecretStr

from mcp_messenger.instances.remote_provider import RemoteProvider, Timing
from mcp_messenger.instances.runtimes.passes import Reconciler
from providers.base import Deliver, Provider, ProviderContext, Settings
from providers.events import Event, StateChanged

R = TypeVar("R", bound=Reconciler)


class ContainedProvider(RemoteProvider, Generic[R]):
    """Shows the container's trouble as its state while there is any, and else the instance's own state."""

    def __init__(
        self,
        cls: type[Provider],
        settings: Settings,
        context: ProviderContext,
        *,
        reconciler_of: Callable[["ContainedProvider[R]"], R],
        on_stop: Callable[["ContainedProvider[R]"], None],
        key: SecretStr,
        timing: Timing | None = None,
    ) -> None:
        self.reconciler = reconciler_of(self)
        super().__init__(cls, settings, context, endpoint=self.reconciler.address, key=key, timing=timing)
        self._on_stop = on_stop
        self._reconciling: asyncio.Task[None] | None = None
        self._to: Deliver | None = None

    async def start(self, deliver: Deliver) -> None:
        self._to = deliver
        self._reconciling = asyncio.create_task(self.reconciler.run())

    async def stop(self) -> None:
        """Leave the container running: its relay stays connected and keeps the events for the next manager."""
        self._on_stop(self)
        reconciling, self._reconciling = self._reconciling, None
        if reconciling is not None:
            self.reconciler.close()
            await asyncio.wait([reconciling])
        await self.detach()
        await self._client.close()

    @property
    def state(self) -> StateChanged:
        return self.reconciler.trouble or super().state

    async def trouble_changed(self, trouble: StateChanged | None) -> None:
        """Attach to the relay when the container is up, and detach when it is not."""
        if self._to is None:
            return
        if trouble is None:
            await super().start(self._pass_on)
            return
        await self.detach()
        await self._to([trouble])

    async def _pass_on(self, events: Sequence[Event]) -> None:
        assert self._to is not None
        if self.reconciler.trouble is not None:
            events = [event for event in events if not isinstance(event, StateChanged)]
        if events:
            await self._to(events)
