"""When a browser that nobody uses is stopped, and when it is started again."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from providers.whatsappweb.settings import WhatsAppWebSettings
from providers.whatsappweb.timing import Timing

SUSPENDED = "suspended"
"""The reason for the end of a bridge whose browser rests."""


class Rest:
    """Suspended from the stop of the browser until the next one is ready."""

    def __init__(self, settings: WhatsAppWebSettings, timing: Timing, clock: Callable[[], float] = time.monotonic) -> None:
        self._after = settings.suspend_after * timing.minute
        self._every = settings.wake_every * timing.minute
        self._linger = min(self._after, timing.linger)
        self._clock = clock
        self._due_at = clock() + self._after
        self._called = asyncio.Event()
        self.is_suspended = False

    @property
    def is_due(self) -> bool:
        """Whether nobody has used the account for so long that its browser may be stopped."""
        return self._after > 0 and self._clock() > self._due_at

    def begin(self) -> None:
        """The browser is being stopped."""
        self._called.clear()
        self.is_suspended = True

    def used(self) -> None:
        """The account is used: its browser stays, or is started."""
        self._due_at = self._clock() + self._after
        self._called.set()

    def started(self) -> None:
        """A browser is ready."""
        stays = self._linger if self.is_suspended and not self._called.is_set() else self._after
        self._due_at = max(self._due_at, self._clock() + stays)
        self.is_suspended = False

    def over(self) -> None:
        """What has come of the browser since is no rest any more."""
        self.is_suspended = False

    def words(self) -> str:
        """Return what is told of a suspended account."""
        at = datetime.now(UTC) + timedelta(seconds=self._every)
        return f"Suspended: nobody uses the account, so its browser is stopped. A send wakes it; else it looks for messages at {at:%H:%M} UTC."

    async def until_woken(self) -> None:
        """Return when the account is used, or when it is time to look for messages."""
        try:
            async with asyncio.timeout(self._every):
                await self._called.wait()
        except TimeoutError:
            return
