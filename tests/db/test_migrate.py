import subprocess
from pathlib import Path

import anyio
import psycopg
import pytest

from db.advisory_locks import MIGRATIONS
from db.binaries import find_binaries
from db.errors import DatabaseTooNew, MigrationFailed, StoreUnavailable
from db.migrate import FOR_PSQL, migrate, packaged_versions, rollback
from tests.postgres import execute
from tests.system_postgres import free_port

pytestmark = pytest.mark.anyio

BOOKKEEPING = "CREATE TABLE IF NOT EXISTS public.schema_migrations (version text PRIMARY KEY, applied_at timestamptz DEFAULT now(), checksum text);"


def write(folder: Path, version: str, forward: str, back: str = "") -> None:
    (folder / f"{version}.sql").write_text(
        f"{forward};\nINSERT INTO public.schema_migrations (version) VALUES ('{version}') ON CONFLICT DO NOTHING;\n"
    )
    (folder / f"{version}_rollback.sql").write_text(f"{back};\nDELETE FROM public.schema_migrations WHERE version = '{version}';\n")


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """Three migrations; each run of the last two adds a row to `log`."""
    write(tmp_path, "000_log", f"{BOOKKEEPING} CREATE TABLE IF NOT EXISTS log (entry text)", "DROP TABLE IF EXISTS log")
    write(tmp_path, "001_one", "CREATE TABLE one (); INSERT INTO log VALUES ('001')", "DROP TABLE IF EXISTS one")
    write(tmp_path, "002_two", "CREATE TABLE two (); INSERT INTO log VALUES ('002')", "DROP TABLE IF EXISTS two")
    return tmp_path


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def applied(url: str) -> list[object]:
    return [row[0] for row in rows(url, "SELECT version FROM schema_migrations ORDER BY version")]


def log(url: str) -> list[object]:
    return [row[0] for row in rows(url, "SELECT entry FROM log ORDER BY entry")]


def psql(url: str, file: Path) -> None:
    psql = find_binaries().program("psql")
    subprocess.run([psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(file), url], check=True, capture_output=True)


async def test_everything_missing_is_applied_in_order_and_once(empty_database_url: str, versions: Path) -> None:
    assert await migrate(empty_database_url, versions) == ["000_log", "001_one", "002_two"]
    assert await migrate(empty_database_url, versions) == []
    assert log(empty_database_url) == ["001", "002"]


async def test_eight_programs_that_start_at_once_apply_each_version_once(empty_database_url: str, versions: Path) -> None:
    done: list[str] = []

    async def start() -> None:
        done.extend(await migrate(empty_database_url, versions))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(start)
    assert sorted(done) == ["000_log", "001_one", "002_two"]
    assert log(empty_database_url) == ["001", "002"]


async def test_through_a_pooler_in_transaction_mode(pgbouncer: str, versions: Path) -> None:
    execute(pgbouncer, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    done: list[str] = []

    async def start() -> None:
        done.extend(await migrate(pgbouncer, versions))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(start)
    assert sorted(done) == ["000_log", "001_one", "002_two"]


async def test_rollback_goes_back_to_a_version_and_migrate_comes_forward_again(empty_database_url: str, versions: Path) -> None:
    await migrate(empty_database_url, versions)
    assert await rollback(empty_database_url, "000_log", versions) == ["002_two", "001_one"]
    assert applied(empty_database_url) == ["000_log"]
    assert await migrate(empty_database_url, versions) == ["001_one", "002_two"]
    assert await rollback(empty_database_url, None, versions) == ["002_two", "001_one", "000_log"]
    assert applied(empty_database_url) == []


async def test_rollback_to_what_does_not_exist_changes_nothing(empty_database_url: str, versions: Path) -> None:
    await migrate(empty_database_url, versions)
    with pytest.raises(MigrationFailed, match="005_no"):
        await rollback(empty_database_url, "005_no", versions)
    assert applied(empty_database_url) == ["000_log", "001_one", "002_two"]


async def test_a_version_that_psql_rolled_back_is_applied_again_below_a_later_one(empty_database_url: str, versions: Path) -> None:
    await migrate(empty_database_url, versions)
    psql(empty_database_url, versions / "001_one_rollback.sql")
    assert await migrate(empty_database_url, versions) == ["001_one"]
    assert log(empty_database_url) == ["001", "001", "002"]


async def test_what_psql_applied_is_not_applied_again(empty_database_url: str, versions: Path) -> None:
    psql(empty_database_url, versions / "000_log.sql")
    psql(empty_database_url, versions / "001_one.sql")
    assert await migrate(empty_database_url, versions) == ["002_two"]
    assert rows(empty_database_url, "SELECT version FROM schema_migrations WHERE checksum IS NULL ORDER BY version") == [("000_log",), ("001_one",)]


async def test_a_database_of_a_newer_program_is_left_alone(empty_database_url: str, versions: Path) -> None:
    await migrate(empty_database_url, versions)
    (versions / "002_two.sql").unlink()
    write(versions, "003_three", "SELECT 1")
    with pytest.raises(DatabaseTooNew, match="002_two") as caught:
        await migrate(empty_database_url, versions)
    assert "Upgrade" in (caught.value.hint or "")
    with pytest.raises(DatabaseTooNew):
        await rollback(empty_database_url, None, versions)
    assert applied(empty_database_url) == ["000_log", "001_one", "002_two"]


async def test_a_file_that_fails_leaves_nothing_of_itself(empty_database_url: str, versions: Path) -> None:
    write(versions, "001_one", "CREATE TABLE one (); SELECT 1 / 0")
    with pytest.raises(MigrationFailed, match="001_one failed: division by zero"):
        await migrate(empty_database_url, versions)
    assert applied(empty_database_url) == ["000_log"]
    assert rows(empty_database_url, "SELECT to_regclass('one')") == [(None,)]


async def test_a_file_that_does_not_record_itself_is_refused(empty_database_url: str, versions: Path) -> None:
    (versions / "001_one.sql").write_text("CREATE TABLE one ();")
    with pytest.raises(MigrationFailed, match=r"001_one\.sql"):
        await migrate(empty_database_url, versions)
    assert rows(empty_database_url, "SELECT to_regclass('one')") == [(None,)]


async def test_a_changed_file_is_told_in_the_log_only(empty_database_url: str, versions: Path, caplog: pytest.LogCaptureFixture) -> None:
    await migrate(empty_database_url, versions)
    assert not caplog.records
    with (versions / "001_one.sql").open("a") as file:
        file.write("-- changed\n")
    assert await migrate(empty_database_url, versions) == []
    assert "001_one was changed" in caplog.text


async def test_line_ends_of_another_system_are_no_change(empty_database_url: str, versions: Path, caplog: pytest.LogCaptureFixture) -> None:
    await migrate(empty_database_url, versions)
    for file in versions.iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    await migrate(empty_database_url, versions)
    assert not caplog.records


async def test_another_program_that_migrates_is_waited_for_not_for_ever(empty_database_url: str, versions: Path) -> None:
    async with await psycopg.AsyncConnection.connect(empty_database_url, autocommit=True) as other:
        await other.execute("SELECT pg_advisory_lock(%s)", [MIGRATIONS])
        with pytest.raises(MigrationFailed, match="Others"):
            await migrate(empty_database_url, versions, busy_timeout=0.3)
    assert await migrate(empty_database_url, versions, busy_timeout=10) == ["000_log", "001_one", "002_two"]


async def test_a_schema_that_is_up_to_date_needs_no_lock(empty_database_url: str, versions: Path) -> None:
    await migrate(empty_database_url, versions)
    async with await psycopg.AsyncConnection.connect(empty_database_url, autocommit=True) as other:
        await other.execute("SELECT pg_advisory_lock(%s)", [MIGRATIONS])
        assert await migrate(empty_database_url, versions, busy_timeout=0.3) == []


async def test_no_database_is_store_unavailable(versions: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        await migrate(f"postgresql://someone:fake-password@127.0.0.1:{free_port()}/postgres", versions)
    assert "fake-password" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def packaged() -> list[str]:
    names = (file.name.removesuffix(".sql") for file in packaged_versions().iterdir())
    return sorted(name for name in names if not name.endswith("_rollback"))


async def test_the_packaged_versions_go_forward_back_and_forward(empty_database_url: str) -> None:
    versions = packaged()
    assert versions[0] == "000_message_instances"
    assert await migrate(empty_database_url) == versions
    assert await rollback(empty_database_url, None) == versions[::-1]
    assert rows(
        empty_database_url, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S', 'v')"
    ) == [("schema_migrations",)]
    assert await migrate(empty_database_url) == versions


def packaged_file(stem: str, folder: Path) -> Path:
    file = folder / f"{stem}.sql"
    file.write_text((packaged_versions() / file.name).read_text(encoding="utf-8"))
    return file


async def test_a_packaged_version_that_fails_under_psql_is_not_recorded(empty_database_url: str, tmp_path: Path) -> None:
    """As the testing guide calls it: `psql -f`, which by itself goes on after an error, and ends with 0."""
    first, split = packaged()[:2]
    psql(empty_database_url, packaged_file(first, tmp_path))
    execute(empty_database_url, "CREATE TABLE telegram_instances ()")
    command = [find_binaries().program("psql"), "-X", "-q", "-f", str(packaged_file(split, tmp_path)), empty_database_url]
    failed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert failed.returncode != 0
    assert "telegram_instances" in failed.stderr
    assert applied(empty_database_url) == [first]
    assert rows(empty_database_url, "SELECT relkind::text FROM pg_class WHERE oid = 'message_instances'::regclass") == [("r",)]
    execute(empty_database_url, "DROP TABLE telegram_instances")
    subprocess.run(command, check=True, capture_output=True)
    assert applied(empty_database_url) == [first, split]


def test_every_packaged_file_is_one_transaction_that_stops_at_the_first_error() -> None:
    for file in packaged_versions().iterdir():
        lines = file.read_text(encoding="utf-8").splitlines()
        assert (lines[:2], lines[-1]) == (["\\set ON_ERROR_STOP on", "BEGIN;"], "COMMIT;"), file.name
        assert FOR_PSQL & set(lines[2:-1]) == set()


@pytest.mark.parametrize("version", packaged())
async def test_each_packaged_version_may_run_twice(database_url: str, version: str, tmp_path: Path) -> None:
    psql(database_url, packaged_file(version, tmp_path))
    assert await migrate(database_url) == []


@pytest.mark.parametrize("version", packaged()[1:])  # all others stand on the first
async def test_each_packaged_version_may_be_taken_back_alone_and_twice(database_url: str, version: str, tmp_path: Path) -> None:
    back = packaged_file(f"{version}_rollback", tmp_path)
    psql(database_url, back)
    psql(database_url, back)
    assert await migrate(database_url) == [version]


async def test_the_packaged_versions_on_the_system_s_postgresql(system_database_url: str) -> None:
    assert await migrate(system_database_url) == []
    assert applied(system_database_url) == packaged()
