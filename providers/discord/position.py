"""How far each channel was read, kept in a file, so that what was written while we were away is read after a restart."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from providers.discord.ids import snowflake_at, time_of
from providers.kit.bounded import BoundedMap
from providers.kit.state_file import StateFile
from providers.models import Contact

_CHANNELS_MAX = 5000

# Channels do not come in one order: in one that we have nothing from yet, look back a little further than the newest of the others.
_MARGIN = timedelta(minutes=1)


class Position:
    """`path` may not exist yet; then everything up to `otherwise` counts as read, or up to now. Not for two at a time."""

    def __init__(self, path: Path, otherwise: datetime | None) -> None:
        self._file = StateFile(path, "How far Discord was read")
        self._read: BoundedMap[str, int] = BoundedMap(_CHANNELS_MAX)
        self._newest = snowflake_at(otherwise or datetime.now(UTC) + _MARGIN)
        self.partners: dict[str, Contact] = {}
        """Private channels, and with whom: Discord lists them nowhere."""
        self.is_changed = True
        self._load()

    def after(self, channel: str) -> int:
        """Return the last message that was taken from a channel; later ones are new."""
        return self._read.get(channel) or snowflake_at(time_of(self._newest) - _MARGIN)

    def begin(self, channel: str, time: datetime) -> None:
        """What was written in a channel before that time does not concern us."""
        since = snowflake_at(time)
        if since > self.after(channel):
            self._read[channel] = since

    def took(self, channel: str, message: int) -> None:
        self._read[channel] = max(message, self._read.get(channel, 0))
        self._newest = max(message, self._newest)
        self.is_changed = True

    def save(self, partners: dict[str, Contact]) -> None:
        """Write it down, and the private channels with their `partners`."""
        people = {channel: person.model_dump(exclude_defaults=True) for channel, person in partners.items()}
        if self._file.try_save({"newest": self._newest, "read": dict(self._read.items()), "partners": people}):
            self.is_changed = False

    def _load(self) -> None:
        held = self._file.load()
        if held is None:
            return
        try:
            read = {str(channel): int(message) for channel, message in held["read"].items()}
            partners = {str(channel): Contact.model_validate(person) for channel, person in held["partners"].items()}
            newest = int(held["newest"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._file.unreadable(error)
            return
        for channel, message in read.items():
            self._read[channel] = message
        self.partners, self._newest, self.is_changed = partners, newest, False
