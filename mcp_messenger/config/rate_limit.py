"""How many calls in how much time."""

import re
from dataclasses import dataclass
from datetime import timedelta

from mcp_messenger.errors import InvalidInput

_SECONDS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_RATE = re.compile(r"(?P<calls>[0-9]{1,8})\s*/\s*(?P<unit>[a-z]+)")


@dataclass(frozen=True)
class RateLimit:
    """`calls` at once, and as many again in `seconds`, evenly."""

    calls: int
    seconds: int

    @property
    def each(self) -> timedelta:
        """The time in which one call comes back."""
        return timedelta(microseconds=max(1, self.seconds * 1_000_000 // self.calls))

    def __str__(self) -> str:
        return f"{self.calls} in {self.seconds} s"


def parse_rate_limit(text: str, name: str) -> RateLimit | None:
    """`600/min`; None for 0. Raises InvalidInput that names the setting."""
    if text == "0":
        return None
    found = _RATE.fullmatch(text.lower())
    if found is None or int(found["calls"]) == 0 or found["unit"] not in _SECONDS:
        raise InvalidInput(f"{name} is {text!r}, which is no rate.", hint="Give one such as 600/min, 10/s or 5000/hour; 0 turns it off.")
    return RateLimit(int(found["calls"]), _SECONDS[found["unit"]])
