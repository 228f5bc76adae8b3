"""Clocks that can be set while the processes run that read them. Needs a C compiler and Linux."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent / "clock.c"


class Clock:
    """The clock of some processes, off by as many seconds as `set` says."""

    def __init__(self, name: str, folder: Path, library: Path | None) -> None:
        self.name = name
        self._file = folder / f"{name}.clock"
        self._file.write_bytes(struct.pack("=q", 0))
        self.env = {} if library is None else {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(self._file)}
        """For the processes whose clock it is."""

    def set(self, seconds: int) -> None:
        """Put the clock forward, or back where `seconds` are negative."""
        # In place: the processes have the file mapped.
        with self._file.open("r+b", buffering=0) as file:
            file.write(struct.pack("=q", seconds))


def compiled(folder: Path) -> Path | None:
    """Return the library that moves clocks; None where it cannot be made here."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "clock.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)], check=True, capture_output=True)
    return library
