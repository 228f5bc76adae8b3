"""How far each channel was read, kept in a file, so that what was written while we were away is read after a restart."""

import json
import logging
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from providers.discord.ids import snowflake_at, time_of
from providers.models import Contact

logger = logging.getLogger(__name__)

_CHANNELS_MAX = 5000

# Channels are not told of in one order: in one that we have nothing from yet, look back a little further than the newest of the others.
_MARGIN = timedelta(minutes=1)


class Bookmarks:
    """`path` may not exist yet; then everything up to `otherwise` counts as read, or up to now. Not for two at a time."""

    def __init__(self, path: Path, otherwise: datetime | None) -> None:
        self._path = path
        self._read: OrderedDict[str, int] = OrderedDict()
        self._newest = snowflake_at(otherwise or datetime.now(UTC) + _MARGIN)
        self.partners: dict[str, Contact] = {}
        """Private channels, and with whom: Discord lists them nowhere."""
        self.is_changed = True
        self._load()

    def after(self, channel: str) -> int:
        """The last message that was taken from a channel; later ones are new."""
        return self._read.get(channel) or snowflake_at(time_of(self._newest) - _MARGIN)

    def begin(self, channel: str, time: datetime) -> None:
        """What was written in a channel before that time does not concern us."""
        since = snowflake_at(time)
        if since > self.after(channel):
            self._read[channel] = since

    def took(self, channel: str, message: int) -> None:
        self._read[channel] = max(message, self._read.get(channel, 0))
        self._read.move_to_end(channel)
        self._newest = max(message, self._newest)
        if len(self._read) > _CHANNELS_MAX:
            self._read.popitem(last=False)
        self.is_changed = True

    def save(self, partners: dict[str, Contact]) -> None:
        """Whole or not at all."""
        people = {channel: person.model_dump(exclude_defaults=True) for channel, person in partners.items()}
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps({"newest": self._newest, "read": self._read, "partners": people}), encoding="utf-8")
        fresh.replace(self._path)
        self.is_changed = False

    def _load(self) -> None:
        try:
            held = cast("dict[str, Any]", json.loads(self._path.read_text(encoding="utf-8")))
            read = {str(channel): int(message) for channel, message in held["read"].items()}
            partners = {str(channel): Contact.model_validate(person) for channel, person in held["partners"].items()}
            newest = int(held["newest"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("What was read before is not known any more: %s", type(error).__name__)
            return
        self._read, self.partners, self._newest, self.is_changed = OrderedDict(read), partners, newest, False
