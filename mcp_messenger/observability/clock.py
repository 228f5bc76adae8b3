"""Notices that the clock of this machine was set: expiries, the order of messages and signatures go by it."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

log = logging.getLogger(__name__)

CLOCK_EVERY = 5.0
"""Seconds between two looks. What a time server corrects slowly is less than a millisecond in that time."""
LEAST_JUMP = 30.0
REMEMBERED = 3600.0
"""Seconds for which a jump is reported."""


def _steady() -> float:
    """Return seconds that nobody can set; on Linux they go on while the machine sleeps."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class ClockWatch:
    """Compares the clock with one that nobody can set. `wall` and `steady` give seconds."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _steady) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._jumped: tuple[float, float] | None = None

    async def step(self) -> None:
        """Look once."""
        self.look()

    def look(self) -> None:
        """Take note of a jump since the last look."""
        steady = self._steady()
        offset = self._wall() - steady
        jump, self._offset = offset - self._offset, offset
        if abs(jump) >= LEAST_JUMP:
            self._jumped = steady, jump
            log.warning("the clock of this machine jumped by %+.0f s", jump)

    @property
    def trouble(self) -> str | None:
        """Return what happened to the clock in the last hour, and what to do; None where nothing did."""
        self.look()
        if self._jumped is None or self._steady() - self._jumped[0] > REMEMBERED:
            return None
        at = datetime.fromtimestamp(self._jumped[0] + self._offset, UTC)
        return (
            f"The clock of this machine jumped by {self._jumped[1]:+.0f} s at {at:%H:%M} UTC. Let it follow a time server: messages, expiries "
            "and signatures go by it."
        )
