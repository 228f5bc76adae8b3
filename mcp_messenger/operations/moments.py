"""Reads times as people write them."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Annotated

from pydantic import Field

from mcp_messenger.errors import InvalidInput

Moment = Annotated[str | None, Field(max_length=40, description="2026-11-03, or 12h, 1d, 2w ago")]
_AGO = re.compile(r"(\d{1,5})\s*(min|h|d|w|mo|y)", re.IGNORECASE)
_UNITS = {
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "mo": timedelta(days=30),
    "y": timedelta(days=365),
}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def moment(name: str, text: str | None, *, ends: bool = False) -> datetime | None:
    """Return the time that an argument names: 2026-11-03, 2026-11-03T10:00, or so long ago as 30min, 12h, 1d, 2w, 3mo, 1y; in UTC unless it says.

    `ends`: a day alone means its end. Raises InvalidInput for anything else.
    """
    if text is None:
        return None
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago is not None:
            return datetime.now(UTC) - int(ago[1]) * _UNITS[ago[2].lower()]
        at = datetime.fromisoformat(text.strip())
        if _DAY.fullmatch(text.strip()):
            at = datetime.combine(at.date() + timedelta(days=ends), time())
        return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{name} is no time such as 2026-11-03 or 12h.", hint="Or as 2026-11-03T10:00Z, or 30min, 1d, 2w, 3mo ago.") from None
