"""Handing events over: a state when there is news, and everything until it is taken."""

import asyncio
import logging
from collections.abc import Sequence

from providers.base import Deliver
from providers.events import Event, StateChanged
from providers.kit.backoff import PAUSES, Backoff
from providers.states import TROUBLE, InstanceState

logger = logging.getLogger(__name__)


async def deliver_until_taken(deliver: Deliver, events: Sequence[Event], pauses: Sequence[float] = PAUSES) -> None:
    """Deliver the events, again and again while the store is away. Use it where the platform does not bring them a second time."""
    backoff = Backoff(pauses)
    while events:
        try:
            await deliver(events)
        except Exception as error:  # noqa: BLE001  a store that is away for a while must not end the receiving
            pause = backoff.next()
            logger.warning("Events were not taken (%s) and are delivered again in %.1f s.", type(error).__name__, pause)
            await asyncio.sleep(pause)
        else:
            return


class StateReporter:
    """Holds the state of a connection, and delivers it when it differs from the one that was delivered last.

    Trouble that comes once more, as a new object that says the same, is delivered too: it is counted as one more error.
    """

    def __init__(self, deliver: Deliver) -> None:
        self.state = StateChanged(state=InstanceState.STARTING)
        self._deliver = deliver
        self.reported: StateChanged | None = None

    async def report(self, state: StateChanged | None = None) -> None:
        """Deliver the state, or `state` from now on. Raises what `deliver` raises; the next call delivers it then."""
        if state is not None:
            self.state = state
        came_again = self.state is not self.reported and self.state.state in TROUBLE
        if self.state != self.reported or came_again:
            state = self.state
            await self._deliver([state])
            self.reported = state
