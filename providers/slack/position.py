"""Until when everything that Slack told was stored: what came later is read from history after an absence."""

import json
import logging
import time
from datetime import datetime
from pathlib import Path

logger = logging.getLogger(__name__)


class Position:
    """A time in seconds, in the instance's folder; where that has none, `otherwise`."""

    def __init__(self, folder: Path, otherwise: datetime | None) -> None:
        self._path = folder / "slack-position.json"
        self.at = self._load() or (otherwise and otherwise.timestamp())

    def _load(self) -> float | None:
        try:
            return float(json.loads(self._path.read_text(encoding="utf-8"))["at"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def advance(self) -> None:
        """To now. A crash in between leaves the old one."""
        self.at = time.time()
        temporary = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({"at": self.at}), encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            # A full disk must not end the receiving; more than needed is read again then.
            logger.warning("The position in Slack's events was not written down: %s", error.strerror)
