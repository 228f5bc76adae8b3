"""Embedded stores in folders as people name them, in shells as people set them, and in copies."""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from db.embedded import open_embedded
from db.errors import EmbeddedFailed
from tests.db.test_embedded import CLIENT, REPOSITORY, kept, kill_server, using
from tests.postgres import execute

NAMES = ["a,b", "a folder", 'a"b', "d'arc", "a`b", "a$b", "a$(touch hacked)b", "a\\b", "a%b", "ä;b", "-a"]
LIBPQ = {
    "PGSERVICE": "gone", "PGOPTIONS": "-c search_path=nowhere -c no_such.setting=1", "PGSSLMODE": "verify-full", "PGPORT": "1",
    "PGHOST": "nowhere.invalid",
    "PGUSER": "nobody", "PGDATABASE": "nothing", "PGCHANNELBINDING": "require", "PGTARGETSESSIONATTRS": "standby", "PGREQUIREAUTH": "md5",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that was made once and stopped: copying it is quicker than making one."""
    folder = tmp_path_factory.mktemp("made") / "store"
    with using(folder) as server:
        execute(server.url, "CREATE TABLE kept (entry text)", "INSERT INTO kept VALUES ('first')")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_store_starts_in_a_folder_of_any_name(name: str, made: Path, tmp_path: Path) -> None:
    folder = tmp_path / name / "postgres"
    shutil.copytree(made, folder)
    try:
        with using(folder) as server, using(folder) as joined:
            assert joined.url == server.url
            assert kept(server.url) == ["first"]
    finally:
        kill_server(folder)
    assert not list(tmp_path.rglob("hacked"))


def test_a_store_is_made_in_a_folder_of_awkward_name(tmp_path: Path) -> None:
    folder = tmp_path / 'a,b "c" $d `e` d\'f' / "postgres"
    try:
        with using(folder) as server:
            execute(server.url, "SELECT 1")
    finally:
        kill_server(folder)


def test_a_line_break_in_the_name_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedFailed, match="line break") as caught:
        open_embedded(tmp_path / "a\nb")
    assert "pg_ctl" not in str(caught.value)


def test_libpq_s_variables_of_the_shell_do_not_reach_the_embedded_store(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(made, folder)
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), **LIBPQ}
    try:
        done = subprocess.run([sys.executable, str(CLIENT), str(folder)], env=env, input="", capture_output=True, text=True, timeout=60, check=False)
        assert (done.stdout.splitlines()[:1], done.returncode) == (["ready"], 0), done.stderr
    finally:
        kill_server(folder)


@pytest.fixture
def original(made: Path, tmp_path: Path) -> Generator[Path]:
    folder = tmp_path / "original"
    shutil.copytree(made, folder)
    yield folder
    kill_server(folder)


def test_a_copy_of_a_folder_in_use_gets_a_server_of_its_own(original: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = tmp_path / "copy"
    with using(original) as server:
        execute(server.url, "CHECKPOINT")
        # With cp's preserved postmaster.pid and lock of the socket, which name the original's server.
        subprocess.run(["cp", "-a", str(original), str(copy)], check=True)
        try:
            with using(copy) as of_copy:
                execute(of_copy.url, "INSERT INTO kept VALUES ('second, in the copy')")
                assert kept(server.url) == ["first"]
                assert "is a copy of" in caplog.text
            execute(server.url, "INSERT INTO kept VALUES ('second')")
            with using(original) as joined:
                assert kept(joined.url) == ["first", "second"]
        finally:
            kill_server(copy)
