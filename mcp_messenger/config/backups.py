"""Backups that the server makes by itself: how often, where, and how many stay."""

import re
from dataclasses import dataclass
from pathlib import Path

from mcp_messenger.config.retention import UNITS

FOLDER = "backups"
"""Of the data folder, where no other is set."""
LATE = 1.5
"""Times its period, after which a backup is overdue."""
KEEP = 7
_PERIOD = re.compile(r"(?P<number>[1-9][0-9]{0,3})(?P<unit>[hdw])")


@dataclass(frozen=True)
class BackupPlan:
    """`every` is in seconds; the newest `keep` files stay. `folder` None: one in the data folder."""

    every: float
    folder: Path | None = None
    keep: int = KEEP

    def folder_in(self, data_dir: Path) -> Path:
        """Return where the files are."""
        return self.folder or data_dir / FOLDER


def parse_period(text: str) -> float:
    """Read 12h, 1d or 1w as seconds. Raises ValueError."""
    found = _PERIOD.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no period: write one such as 12h, 1d or 1w")
    return float(int(found["number"]) * UNITS[found["unit"]])
