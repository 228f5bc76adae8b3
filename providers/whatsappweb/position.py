"""Up to where the account's messages were delivered, in a file: what came later is fetched at the next start."""

from pathlib import Path

from providers.kit.state_file import StateFile

_FILE = "seen.json"
_OVERLAP_SECONDS = 120
_IDS_MAX = 500


class Position:
    """The time of the newest message that was delivered, and the ids of those shortly before it: clocks differ, and seconds are shared."""

    def __init__(self, folder: Path) -> None:
        self._file = StateFile(folder / _FILE, "What was delivered of WhatsApp")
        self.newest: int | None = None
        self._ids: dict[str, int] = {}
        self._load()

    def _load(self) -> None:
        kept = self._file.load()
        if kept is None:
            return
        try:
            self.newest, self._ids = int(kept["newest"]), {str(id): int(t) for id, t in kept["ids"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._file.unreadable(error)
            self.newest, self._ids = None, {}

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._ids

    @property
    def since(self) -> int:
        """From this time on there may be messages that were not delivered."""
        return max(0, (self.newest or 0) - _OVERLAP_SECONDS)

    def add(self, message_id: str, t: int) -> None:
        self.newest = max(self.newest or 0, t)
        self._ids[message_id] = t
        recent = sorted(((id, t) for id, t in self._ids.items() if t >= self.since), key=lambda item: item[1])
        self._ids = dict(recent[-_IDS_MAX:])
        self._save()

    def begin(self) -> None:
        """Logged in, and nothing came yet."""
        self.newest = self.newest or 0
        self._save()

    def forget(self) -> None:
        """The login is void; the next one may be another account's."""
        self.newest, self._ids = None, {}
        self._file.remove()

    def _save(self) -> None:
        self._file.try_save({"newest": self.newest, "ids": self._ids})
