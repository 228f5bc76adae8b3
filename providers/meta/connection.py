"""The state of an account: whether its token works, checked now and then. There is no other connection."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from providers.base import Deliver
from providers.errors import Forbidden, LoggedOut, MessengerError, NotFound, RateLimited, Unreachable
from providers.events import Need, StateChanged
from providers.kit.backoff import PAUSES, Backoff
from providers.kit.delivery import StateReporter
from providers.models import Account
from providers.states import InstanceState

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    pauses: tuple[float, ...] = PAUSES
    """Seconds before each further try after trouble."""
    check_seconds: float = 900
    """Between two looks at a token that works."""
    answer_seconds: float = 30
    """For Meta to answer a call."""


class Connection(StateReporter):
    """From start to stop. `identify` asks Meta who the token belongs to; `remedy` is what a token needs, `shortcoming` what is missing besides."""

    def __init__(self, identify: Callable[[], Awaitable[Account]], deliver: Deliver, remedy: str, shortcoming: str | None, timing: Timing) -> None:
        super().__init__(deliver)
        self._identify = identify
        self._remedy = remedy
        self._shortcoming = shortcoming
        self._timing = timing
        self._account: Account | None = None
        self._doubted = asyncio.Event()
        self._backoff = Backoff(timing.pauses)
        self._pause = 0.0

    async def run(self) -> None:
        """Until cancelled, or until the token turns out to be wrong."""
        while True:
            try:
                await self.report()
                if self.state.needs is Need.TOKEN:
                    return
                await self._wait()
                await self._check()
            except Exception as error:  # noqa: BLE001  a store that is away for a while must not end the watching
                self._pause = self._backoff.next()
                logger.warning("A state was not taken and is reported again: %s", type(error).__name__)
                await asyncio.sleep(self._pause)

    def doubt(self) -> None:
        """A call was refused as not logged in: look now."""
        self._doubted.set()

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._doubted.wait(), self._pause)
        self._doubted.clear()

    async def _check(self) -> None:
        try:
            self._account = await self._identify()
        except MessengerError as error:
            self._pause = self._backoff.next(error.retry_after if isinstance(error, RateLimited) else 0)
            self.state = self._after(error)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            logger.warning("Meta's answer could not be read: %s", type(error).__name__)
            self._pause = self._backoff.next()
            reason = f"Meta's answer could not be read ({type(error).__name__}); it is asked again."
            self.state = StateChanged(state=InstanceState.DEGRADED, reason=reason, account=self._account)
        else:
            self._backoff.reset()
            self._pause = self._timing.check_seconds
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
            is_news = self._backoff.failures > 1 or self._account is None
            return StateChanged(state=InstanceState.DEGRADED, reason=error.detail, account=self._account) if is_news else self.state
        return StateChanged(state=InstanceState.ERROR, reason=error.detail, account=self._account)
