"""A small JSON file that survives a kill at any moment: it holds the old content or the new one, never a part."""

import json
import logging
import os
from pathlib import Path
from typing import Any, cast

logger = logging.getLogger(__name__)

Json = dict[str, Any]


class StateFile:
    """One object of an instance. `what` names it in the log."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self._what = what

    def load(self) -> Json | None:
        """Return the object; None where there is none, or none that can be read (which is logged)."""
        try:
            held: object = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            self.unreadable(error)
            return None
        if not isinstance(held, dict):
            self.unreadable(TypeError("no object"))
            return None
        return cast("Json", held)

    def unreadable(self, error: Exception) -> None:
        """Log that the content is not of the expected form."""
        logger.warning("%s cannot be read and is replaced by a new one: %s", self._what, type(error).__name__)

    def save(self, held: Json) -> None:
        """Replace the object, and return when it is on the disk. Raises OSError, and the old one stays then."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self.path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(held, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        _sync_folder(self.path.parent)

    def try_save(self, held: Json) -> bool:
        """Replace the object where the disk takes it; a full disk is logged and must not end the receiving. Return whether it did."""
        try:
            self.save(held)
        except OSError as error:
            logger.warning("%s was not written down: %s", self._what, error.strerror or type(error).__name__)
            return False
        return True

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Without it a power cut may bring the old name back. Windows knows no such thing, and orders its renames itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
