"""Until when everything that Slack told was stored: what came later is read from history after an absence."""

import json
import time
from pathlib import Path


class Position:
    """A time in seconds, in the instance's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "slack-position.json"
        self.at = self._load()

    def _load(self) -> float | None:
        try:
            return float(json.loads(self._path.read_text(encoding="utf-8"))["at"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def advance(self) -> None:
        """To now. A crash in between leaves the old one."""
        self.at = time.time()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps({"at": self.at}), encoding="utf-8")
        temporary.replace(self._path)
