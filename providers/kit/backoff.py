"""Pauses before further tries after trouble."""

import random
from collections.abc import Sequence

PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds before the first, second, third … further try; the last of them before all later ones."""


def jittered(seconds: float, least: float = 0.5) -> float:
    """Return between `least` of the seconds and all of them, so that the accounts of a process do not come back at one moment."""
    return seconds * random.uniform(least, 1)  # noqa: S311  spreads load, guards nothing


class Backoff:
    """Counts failures in a row, and gives a longer pause for each."""

    def __init__(self, pauses: Sequence[float] = PAUSES) -> None:
        self._pauses = pauses
        self.failures = 0

    def reset(self) -> None:
        """Forget the failures: it works again."""
        self.failures = 0

    def next(self, at_least: float = 0.0) -> float:
        """Count a failure. Return the seconds to wait now; never less than `at_least`, which is the platform's own wish."""
        self.failures += 1
        return max(jittered(self._pauses[min(self.failures, len(self._pauses)) - 1]), at_least)
