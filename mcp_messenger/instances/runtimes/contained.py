"""The provider of an instance that is in a container: a RemoteProvider, and a reconciler of what it talks to."""

import asyncio
from collections.abc import Callable, Sequence

from pydantic import SecretStr

from mcp_messenger.instances.remote_provider import RemoteProvider
from mcp_messenger.instances.runtimes.reconciler import ContainerReconciler
from providers.base import Deliver, Provider, ProviderContext, Settings
from providers.models import Event, StateChanged


class ContainedProvider(RemoteProvider):
    """While something is the matter with the container, that is the state; else the state is the instance's own."""

    def __init__(
        self,
        cls: type[Provider],
        settings: Settings,
        context: ProviderContext,
        *,
        reconciler_of: Callable[["ContainedProvider"], ContainerReconciler],
        on_stop: Callable[["ContainedProvider"], None],
        key: SecretStr,
    ) -> None:
        self.reconciler = reconciler_of(self)
        super().__init__(cls, settings, context, endpoint=self.reconciler.address, key=key)
        self._on_stop = on_stop
        self._keeping: asyncio.Task[None] | None = None
        self._to: Deliver | None = None

    async def start(self, deliver: Deliver) -> None:
        self._to = deliver
        self._keeping = asyncio.create_task(self.reconciler.run())

    async def stop(self) -> None:
        """The container goes on running, and so does the messenger in it: it keeps what comes for whoever starts next."""
        self._on_stop(self)
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            self.reconciler.close()
            await asyncio.wait([keeping])
        await self.detach()
        await self._client.close()

    @property
    def state(self) -> StateChanged:
        return self.reconciler.trouble or super().state

    async def trouble_changed(self, trouble: StateChanged | None) -> None:
        """The instance's program is spoken to only while its container is up; each time it comes up, from the beginning."""
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
