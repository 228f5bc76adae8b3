"""Reads times as people write them."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated

from pydantic import Field

from mcp_messenger.config.quiet_hours import zone_of
from mcp_messenger.errors import InvalidInput

Moment = Annotated[str | None, Field(max_length=40, description="date, or 12h, 1d, 2w ago")]
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
Later = Annotated[str, Field(max_length=80, description="with its zone: tomorrow 09:00 Europe/Berlin; or in 2h")]
_IN = re.compile(r"(?:in |\+)?(\d{1,5})\s*(s|min|h|d|w)(?:inutes?|ours?|ays?|eeks?|ec)?", re.IGNORECASE)
_AT = re.compile(r"(\d{4}-\d\d-\d\d|today|tomorrow|[a-z]{3,6}day)[T, ]\s*(?:at )?(\d{1,2}:\d\d(?::\d\d)?)\s*(\S+)?", re.IGNORECASE)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_OFFSET = re.compile(r"[+-]\d\d:?\d\d")
LONGEST = timedelta(days=366)


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


@dataclass(frozen=True)
class Due:
    """A time to come, and the name of the time zone in which it was said."""

    at: datetime
    zone: str

    def words(self) -> str:
        """Return the time by the clocks of its zone, and how long it is until then."""
        return f"{said(self.at, self.zone)}, {_until(self.at)}"


def said(at: datetime, zone: str) -> str:
    """Return a time by the clocks of a zone, with the zone."""
    here = at.astimezone(_zone(zone))
    return f"{here:%a %Y-%m-%d %H:%M:%S}".removesuffix(":00") + f" {zone}"


def _until(at: datetime) -> str:
    minutes = round((at - datetime.now(UTC)).total_seconds() / 60)
    if minutes < 1:
        return "in less than a minute"
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes % 60} min" if not days and minutes % 60 else ""]
    return "in " + " ".join(part for part in parts if part)


def later(name: str, text: str) -> Due:
    """Return the time to come that an argument names. Raises InvalidInput for one without its time zone, for the past, and for anything else."""
    now = datetime.now(UTC)
    relative, clock = _IN.fullmatch(text.strip()), _AT.fullmatch(text.strip())
    try:
        if relative is not None:
            unit = {"s": timedelta(seconds=1), **_UNITS}[relative[2].lower()]
            due = Due(now + int(relative[1]) * unit, "UTC")
        elif clock is not None:
            due = _by_the_clock(name, clock, now)
        else:
            raise ValueError("it is no time such as tomorrow 09:00 Europe/Berlin, 2026-12-01T09:00+01:00 or in 2h")
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{name}: {error}.", hint=f"It is {now:%A %Y-%m-%d %H:%M} UTC now.") from None
    if due.at <= now:
        raise InvalidInput(f"{name}: {said(due.at, due.zone)} is over.", hint=f"It is {now:%A %Y-%m-%d %H:%M} UTC now.")
    if due.at > now + LONGEST:
        raise InvalidInput(f"{name}: it is more than a year ahead.", hint="Give an earlier time.")
    return due


def _by_the_clock(name: str, clock: re.Match[str], now: datetime) -> Due:
    """Return a time on a day. Raises ValueError, InvalidInput where its time zone is not said: a clock shows another time elsewhere."""
    zone = clock[3]
    if zone is None:
        raise InvalidInput(
            f"{name}: the time zone is missing.",
            hint=f"Say whose clock it is, such as {clock[1]} {clock[2]} Europe/Berlin, or UTC; ask the person where you do not know.",
        )
    where = _zone(zone)
    at = time.fromisoformat(clock[2].zfill(5) if clock[2].count(":") == 1 else clock[2].zfill(8))
    return Due(datetime.combine(_day(clock[1].lower(), now.astimezone(where).date()), at, where).astimezone(UTC), "UTC" if zone == "Z" else zone)


def _zone(name: str) -> tzinfo:
    """Return a zone by its name or its distance from UTC. Raises ValueError."""
    if _OFFSET.fullmatch(name):
        return datetime.strptime(name, "%z").tzinfo or UTC
    return zone_of(name)


def _day(word: str, today: date) -> date:
    if word in {"today", "tomorrow"}:
        return today + timedelta(days=word == "tomorrow")
    if word in _WEEKDAYS:
        return today + timedelta(days=(_WEEKDAYS.index(word) - today.weekday() - 1) % 7 + 1)
    return date.fromisoformat(word)
