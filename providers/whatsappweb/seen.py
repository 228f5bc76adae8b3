"""Up to where the account's messages were delivered, in a file: what came later is fetched at the next start."""

import json
from pathlib import Path

_FILE = "seen.json"
_OVERLAP_SECONDS = 120
_IDS_MAX = 500


class Seen:
    """The time of the newest message that was delivered, and the ids of those shortly before it: clocks differ, and seconds are shared."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self.newest: int | None = None
        self._ids: dict[str, int] = {}
        self._load()

    def _load(self) -> None:
        try:
            kept = json.loads(self._path.read_text())
            self.newest, self._ids = int(kept["newest"]), {str(id): int(t) for id, t in kept["ids"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
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
        self._path.unlink(missing_ok=True)

    def _save(self) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.write_text(json.dumps({"newest": self.newest, "ids": self._ids}))
        fresh.replace(self._path)
