"""What the sandbox has to tell our side, in order, until it is taken."""

import logging
from collections import deque

import anyio

from providers.base import Deliver
from providers.events import StateChanged
from providers.kit.backoff import Backoff
from providers.sandbox.world import World
from providers.states import InstanceState

logger = logging.getLogger(__name__)

_BATCH = 100
_PAUSES = (0.2, 0.4, 0.8, 2, 5, 10, 30)


class EventQueue:
    """At least once: an event that `deliver` did not take is handed over again, after a restart too.

    States go first and are not kept; messages wait in the world until an account is linked and `deliver` has returned.
    """

    def __init__(self, world: World, deliver: Deliver) -> None:
        self.state = StateChanged(state=InstanceState.CREATED)
        self._world = world
        self._deliver = deliver
        self._states: deque[StateChanged] = deque()
        self._turn = anyio.Lock()

    def tell(self, state: StateChanged) -> None:
        if state == self.state:
            return
        self.state = state
        self._states.append(state)
        self._world.touch()

    async def flush(self) -> None:
        """Hand over all there is. Raises what `deliver` raises."""
        async with self._turn:
            while self._states:
                await self._deliver([self._states[0]])
                self._states.popleft()
            while self.state.state is InstanceState.READY and (updates := self._world.updates(_BATCH)):
                await self._deliver([event for _, event in updates])
                self._world.confirm(updates[-1][0])

    async def run(self) -> None:
        backoff = Backoff(_PAUSES)
        while True:
            version = self._world.version
            try:
                await self.flush()
            except Exception:  # a store that is away for a while must not end the delivery
                pause = backoff.next()
                logger.exception("The sandbox's events were not taken; trying again in %.1f s.", pause)
                await anyio.sleep(pause)
            else:
                backoff.reset()
                await self._world.changed_since(version)
