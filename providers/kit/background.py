"""Tasks that run between start and stop, and the provider around them."""

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine
from typing import Any, Generic, Protocol, TypeVar

from providers.base import Deliver, Provider, ProviderContext, Settings
from providers.errors import MessengerError
from providers.events import StateChanged
from providers.states import InstanceState


class Background:
    """A set of tasks that end together."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a task, which is kept until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def ended(self) -> None:
        """Return when all tasks have ended by themselves."""
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def stop(self) -> None:
        """Cancel all tasks, and return when they have ended."""
        for task in self._tasks:
            task.cancel()
        await self.ended()


class Connected(Protocol):
    """A connection to a platform, from start to stop."""

    @property
    def state(self) -> StateChanged:
        """The state that was delivered last, or is about to be."""
        ...

    async def run(self) -> None:
        """Keep the connection until cancelled, or until a person has to do something."""
        ...


C = TypeVar("C", bound=Connected)


class ConnectedProvider(Provider, Generic[C]):
    """A provider whose connection runs in the background between start and stop."""

    def __init__(self, settings: Settings, context: ProviderContext) -> None:
        super().__init__(settings, context)
        self._resting_state = StateChanged(state=InstanceState.CREATED)
        self._connection: C | None = None
        self._deliver: Deliver | None = None
        self._background = Background()

    @property
    def state(self) -> StateChanged:
        return self._resting_state if self._connection is None else self._connection.state

    @abstractmethod
    def _connect(self, deliver: Deliver) -> C:
        """Make the connection, which does nothing yet. Raises MessengerError for what a person has to mend first."""

    async def _disconnect(self) -> None:
        """Close what was opened; the connection has ended by now."""

    async def start(self, deliver: Deliver) -> None:
        await self.stop()
        self._deliver = deliver
        try:
            self._connection = self._connect(deliver)
        except MessengerError as obstacle:
            reason = f"{obstacle.detail} {obstacle.hint or ''}".strip()
            self._resting_state = StateChanged(state=InstanceState.ERROR, reason=reason)
            await deliver([self._resting_state])
        else:
            self._background.run(self._connection.run())

    async def stop(self) -> None:
        self._connection = self._deliver = None
        self._resting_state = StateChanged(state=InstanceState.STOPPED)
        await self._background.stop()
        await self._disconnect()
