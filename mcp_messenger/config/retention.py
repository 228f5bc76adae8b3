"""How long what is kept stays: ages and numbers by kind."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

DAY = 86400
UNITS = {"h": 3600, "d": DAY, "w": 7 * DAY, "y": 365 * DAY}
_LIMIT = re.compile(r"(?:(?P<number>[1-9][0-9]{0,5})(?P<unit>[hdwy]))?(?:/(?P<newest>[1-9][0-9]{0,8}))?")
KEEP = "keep"
KEPT_MB = "kept_mb"
"""Not an age: how many MB of files that came in are kept for an instance."""


@dataclass(frozen=True)
class Retained:
    """What stays: what is younger than so many seconds, and of that the newest so many. None: no limit."""

    seconds: int | None = None
    newest: int | None = None

    def __str__(self) -> str:
        age = "" if self.seconds is None else f"{self.seconds // DAY}d" if self.seconds % DAY == 0 else f"{self.seconds // 3600}h"
        return age + ("" if self.newest is None else f"/{self.newest}") or KEEP


DEFAULTS: Mapping[str, Retained] = {
    "messages": Retained(),
    "media": Retained(),
    "events": Retained(90 * DAY),
    "deliveries": Retained(30 * DAY),
    "status_history": Retained(365 * DAY, 1000),
    "qr_codes": Retained(7 * DAY),
    "reveals": Retained(365 * DAY),
    "logs": Retained(30 * DAY, 2000),
    "errors": Retained(90 * DAY),
    "audit": Retained(2 * 365 * DAY),
    KEPT_MB: Retained(newest=2048),
}
"""Messages stay, and with them the files that were downloaded, or kept as they came in. The rest is trimmed."""

OF_SERVER = frozenset({"errors", "media", "audit"})
"""Kinds that no instance has a rule of its own for."""


def parse_limit(text: str) -> Retained:
    """Read 90d, 12h, /1000, 90d/1000, or keep. Raises ValueError."""
    text = text.strip().lower()
    if text == KEEP:
        return Retained()
    found = _LIMIT.fullmatch(text)
    if found is None or not text:
        raise ValueError(f"{text!r} is no age or number: write one such as 90d, 12h, 2y, /1000 or 90d/1000, or keep")
    seconds = int(found["number"]) * UNITS[found["unit"]] if found["number"] else None
    return Retained(seconds, int(found["newest"]) if found["newest"] else None)


def require_fitting(kind: str, limit: Retained) -> None:
    """Raise ValueError for an age of what has none."""
    if kind == KEPT_MB and limit.seconds is not None:
        raise ValueError(f"{kind} has no age: write a number of MB such as /500, or keep")


def parse_retention(text: str) -> dict[str, Retained]:
    """Read `events=30d, messages=2y`; kinds that are not named keep their default. Raises ValueError."""
    limits = dict(DEFAULTS)
    for part in filter(None, (part.strip() for part in text.split(","))):
        kind, equals, limit = (piece.strip() for piece in part.partition("="))
        if not equals or kind not in DEFAULTS:
            raise ValueError(f"{part!r} is no rule: write one such as events=30d, for {', '.join(DEFAULTS)}")
        limits[kind] = parse_limit(limit)
        if kind in OF_SERVER and limits[kind].newest is not None:
            raise ValueError(f"{kind} has an age only")
        require_fitting(kind, limits[kind])
    return limits
