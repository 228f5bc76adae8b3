"""Where an account stands: whether its token works, looked at now and then. There is no connection besides."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from providers.base import Deliver
from providers.errors import Forbidden, LoggedOut, MessengerError, NotFound, RateLimited, Unreachable
from providers.models import Account, InstanceState, Need, StateChanged

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    pauses: tuple[float, ...] = (1, 2, 5, 10, 30, 60)
    """Seconds before each further try after trouble."""
    check_seconds: float = 900
    """Between two looks at a token that works."""


class Connection:
    """From start to stop. `identify` asks Meta who the token belongs to; `remedy` is what a token needs, `shortcoming` what is missing besides."""

    def __init__(self, identify: Callable[[], Awaitable[Account]], deliver: Deliver, remedy: str, shortcoming: str | None, timing: Timing) -> None:
        self.state = StateChanged(state=InstanceState.STARTING)
        self._identify = identify
        self._deliver = deliver
        self._remedy = remedy
        self._shortcoming = shortcoming
        self._timing = timing
        self._told: StateChanged | None = None
        self._account: Account | None = None
        self._doubted = asyncio.Event()
        self._failures = 0
        self._pause = 0.0

    async def run(self) -> None:
        """Until cancelled, or until the token turns out to be wrong."""
        while True:
            try:
                await self._tell()
                if self.state.needs is Need.TOKEN:
                    return
                await self._wait()
                await self._check()
            except Exception as error:  # noqa: BLE001  a store that is away for a while must not end the watching
                self._failures += 1
                self._pause = self._next_pause()
                logger.warning("A state could not be told and is told again: %s", type(error).__name__)
                await asyncio.sleep(self._pause)

    def doubt(self) -> None:
        """A call was refused as not logged in: look now."""
        self._doubted.set()

    async def _tell(self) -> None:
        if self.state != self._told:
            state = self.state
            await self._deliver([state])
            self._told = state

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._doubted.wait(), self._pause)
        self._doubted.clear()

    async def _check(self) -> None:
        try:
            self._account = await self._identify()
        except MessengerError as error:
            self._failures += 1
            self._pause = max(self._next_pause(), error.retry_after if isinstance(error, RateLimited) else 0)
            self.state = self._after(error)
        else:
            self._failures, self._pause = 0, self._timing.check_seconds
            state = InstanceState.READY if self._shortcoming is None else InstanceState.DEGRADED
            self.state = StateChanged(state=state, reason=self._shortcoming, account=self._account)

    def _after(self, error: MessengerError) -> StateChanged:
        # What helps comes first: Meta's words may be long, and a reason has its length.
        reason = f"{self._remedy}. {error.detail}"
        if isinstance(error, LoggedOut):
            return StateChanged(state=InstanceState.ERROR, reason=reason, needs=Need.TOKEN)
        if isinstance(error, Forbidden | NotFound):
            return StateChanged(state=InstanceState.ERROR, reason=reason, account=self._account)
        if isinstance(error, Unreachable | RateLimited):
            # A single hiccup of a token that worked is no news.
            is_news = self._failures > 1 or self._account is None
            return StateChanged(state=InstanceState.DEGRADED, reason=error.detail, account=self._account) if is_news else self.state
        return StateChanged(state=InstanceState.ERROR, reason=error.detail, account=self._account)

    def _next_pause(self) -> float:
        """Not all accounts of a process at the same moment."""
        pause = self._timing.pauses[min(self._failures, len(self._timing.pauses)) - 1]
        return pause * random.uniform(0.5, 1)  # noqa: S311  spreads load, guards nothing
