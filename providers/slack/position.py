"""The time up to which every event of Slack is stored; later messages are read from history after an absence."""

import time
from datetime import datetime
from pathlib import Path

from providers.kit.state_file import StateFile


class Position:
    """A time in seconds, in the instance's folder; where that has none, `otherwise`."""

    def __init__(self, folder: Path, otherwise: datetime | None) -> None:
        self._file = StateFile(folder / "slack-position.json", "The position in Slack's events")
        self.at = self._load() or (otherwise and otherwise.timestamp())

    def _load(self) -> float | None:
        try:
            return float((self._file.load() or {})["at"])
        except (ValueError, KeyError, TypeError):
            return None

    def advance(self) -> None:
        """To now. A crash in between leaves the old one."""
        self.at = time.time()
        self._file.try_save({"at": self.at})
