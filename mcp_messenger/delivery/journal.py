"""The outcomes of sends that the store does not take yet, on this machine's disk, so that they survive the end of the process."""

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from db.filelock import exclusive
from providers.models import SentMessage

PREFIX, SUFFIX, LOCK = "unsettled-", ".jsonl", "unsettled.lock"
LOCK_WITHIN = 2.0
SIZE_MAX = 4 * 1024 * 1024
"""Bytes of one file. What does not fit is kept in memory alone, and is `unknown` after a crash."""


class Outcome(BaseModel):
    """The outcome of a send. Without `sent` it failed, or its fate is unknown, for the reason in `code` and `message`."""

    model_config = ConfigDict(frozen=True)

    message_id: int
    sent: SentMessage | None = None
    status: str = "sent"
    code: str = ""
    message: str = ""
    hint: str | None = None


class Journal:
    """Outcomes of one instance under one lease. Each may be settled twice: the store takes only the first.

    There is a file for each lease and not for each process: a former owner that was held up may still write its own, and whoever owns
    the instance next on this machine adopts that.
    """

    def __init__(self, folder: Path, epoch: int) -> None:
        self._folder = folder
        self._path = folder / f"{PREFIX}{epoch}{SUFFIX}"
        self._pending: dict[int, Outcome] = {}

    @property
    def pending(self) -> list[Outcome]:
        """Return what was added or adopted and is not settled, oldest first."""
        return list(self._pending.values())

    def add(self, outcome: Outcome) -> None:
        """Write an outcome to the disk, unless it is there. Raises OSError."""
        if outcome.message_id in self._pending:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with exclusive(self._folder / LOCK, LOCK_WITHIN):
            self._append([outcome])
        self._pending[outcome.message_id] = outcome

    def adopt(self) -> None:
        """Take over what former owners left behind on this machine. Raises OSError."""
        former = [path for path in self._folder.glob(f"{PREFIX}*{SUFFIX}") if path != self._path]
        if not former:
            return
        with exclusive(self._folder / LOCK, LOCK_WITHIN):
            found = {outcome.message_id: outcome for path in former for outcome in _read(path)}
            self._append(found.values())
            for path in former:
                path.unlink(missing_ok=True)
        self._pending |= found

    def settled(self, message_id: int) -> None:
        """Forget an outcome that the store has taken."""
        if self._pending.pop(message_id, None) is not None and not self._pending:
            self._path.unlink(missing_ok=True)

    def _append(self, outcomes: Iterable[Outcome]) -> None:
        lines = "".join(f"{outcome.model_dump_json(exclude_defaults=True)}\n" for outcome in outcomes).encode()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            if os.fstat(file.fileno()).st_size + len(lines) > SIZE_MAX:
                raise OSError(f"{self._path} would be larger than {SIZE_MAX:,} bytes")
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())


def _read(path: Path) -> list[Outcome]:
    """Return the whole lines; the last one may be torn."""
    outcomes: list[Outcome] = []
    for line in path.read_bytes().splitlines():
        try:
            outcomes.append(Outcome.model_validate_json(line))
        except ValidationError:
            continue
    return outcomes
