"""Hours of the day in which no agent answers."""

import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

OFF = "off"
_WRITTEN = re.compile(r"(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})(?:\s+(\S+))?")


@dataclass(frozen=True)
class Quiet:
    """From `start` to `end` by the clocks of `zone`; they may go over midnight."""

    start: time
    end: time
    zone: tzinfo = UTC

    def wait(self, now: datetime) -> float:
        """Seconds until they are over; 0 outside of them."""
        here = now.astimezone(self.zone)
        clock = here.time()
        inside = self.start <= clock < self.end if self.start < self.end else clock >= self.start or clock < self.end
        if not inside:
            return 0.0
        day = here.date() if clock < self.end else here.date() + timedelta(days=1)
        # Through UTC: between two times of one zone Python does not count the hour by which clocks are changed.
        end = datetime.combine(day, self.end, self.zone).astimezone(UTC)
        return max(0.0, (end - now.astimezone(UTC)).total_seconds())


def parse_quiet(text: str) -> Quiet | None:
    """Of "22:00-07:00", in UTC, or "22:00-07:00 Europe/Berlin"; None of "off". Raises ValueError that tells what to give."""
    if text == OFF:
        return None
    found = _WRITTEN.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        start, end = _clock(found[1]), _clock(found[2])
    except ValueError:
        raise ValueError('give two times of the day and a time zone, such as "22:00-07:00 Europe/Berlin" (without a zone: UTC), or "off"') from None
    if start == end:
        raise ValueError('they begin and end at the same time; give "off" for no quiet hours')
    return Quiet(start, end, zone_of(found[3] or "UTC"))


def _clock(text: str) -> time:
    hours, minutes = text.split(":")
    return time(int(hours), int(minutes))


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its name. Raises ValueError that says which to give."""
    if name in {"UTC", "Z"}:
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    # What is no name of a zone may be a folder among the zones' files, or no file's name at all.
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        if not zoneinfo.available_timezones():
            raise ValueError("this computer has no time zones; install tzdata (pip install tzdata), or give the times in UTC") from None
        raise ValueError('there is no such time zone; give one such as "Europe/Berlin", or leave it out for UTC') from None
