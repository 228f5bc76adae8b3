"""Programs from npm, installed once for all runs of the tests."""

import shutil
import subprocess
from pathlib import Path

import pytest

from db.filelock import exclusive
from tests.program import ROOT

INSTALL_WITHIN = 300.0


def installed(name: str, *packages: str, scripts: bool = False) -> Path:
    """Return the folder whose node_modules hold these packages; skip the test where they cannot be installed.

    `scripts`: the packages may run their own at the installation.
    """
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"{packages[0]} is installed with npm, which is not here")
    folder = ROOT / "tests" / ".npm" / name
    done = folder / "installed"
    if done.exists() and done.read_text() == " ".join(packages):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / "install.lock", INSTALL_WITHIN):
        if not done.exists() or done.read_text() != " ".join(packages):
            options = ["--no-audit", "--no-fund", *(() if scripts else ("--ignore-scripts",))]
            result = subprocess.run(
                [npm, "install", "--prefix", str(folder), *options, *packages], capture_output=True, text=True, timeout=INSTALL_WITHIN, check=False
            )
            if result.returncode:
                pytest.skip(f"{packages[0]} cannot be installed: {result.stderr[-200:]}")
            done.write_text(" ".join(packages))
    return folder
