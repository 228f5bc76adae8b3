"""Backup and restore as an operator does them: beside a server at work, onto another folder and database, and when something is wrong."""

import signal
import subprocess
import sys
import zipfile
from collections.abc import Generator
from pathlib import Path
from uuid import uuid4

import anyio
import psycopg
import pytest
from pydantic import SecretStr

from db.backup import JUMP
from db.database import Database
from db.embedded import EmbeddedPostgres
from db.errors import StoreUnavailable
from db.migrate import migrate, packaged
from mcp_messenger.backup.archive import verify
from mcp_messenger.backup.restoring import restore
from mcp_messenger.backup.schedule import BackupSchedule
from mcp_messenger.backup.writing import write_backup
from mcp_messenger.config import Config
from mcp_messenger.config.backups import BackupPlan
from mcp_messenger.errors import BackupFailed
from mcp_messenger.observability.workers import Workers
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from mcp_messenger.security.vault import Vault
from tests.mcp_messenger.test_cli import ran
from tests.postgres import execute, fresh_database
from tests.program import ROOT, environment
from tests.running import ready_sandbox, running_app
from tests.stored import one, opened, rows
from tests.waiting import until, until_blocking

pytestmark = pytest.mark.anyio

NASTY = "tab\tline\nbackslash\\ \\N quote' Ж 🙂 \\."
COPIED = ("user_tokens", "instance_secrets", "api_keys")
DANGLING = "SELECT id FROM events e WHERE message_id IS NOT NULL AND NOT EXISTS (SELECT FROM messages m WHERE m.id = e.message_id)"
"""Events that were stored together with a message that is not there."""


@pytest.fixture
def other_url(embedded: EmbeddedPostgres) -> Generator[str]:
    """Another fresh migrated database."""
    with fresh_database(embedded.url) as url:
        yield url


def contents(url: str, table: str) -> list[tuple[object, ...]]:
    return rows(url, f"SELECT t::text FROM {table} t ORDER BY 1")


def stored(url: str) -> None:
    """An instance that should run, with a message, one send that waits and one delivery that waits."""
    execute(
        url,
        "INSERT INTO message_instances (id, provider, desired, status) "
        "VALUES ('00000000-0000-4000-8000-000000000001', 'sandbox', 'running', 'ready')",
        "INSERT INTO messages (instance_id, chat_id, body) VALUES ('00000000-0000-4000-8000-000000000001', 'ann', 'hello')",
        "INSERT INTO messages (id, instance_id, chat_id, body, outgoing, status) "
        "VALUES (50, '00000000-0000-4000-8000-000000000001', 'ann', 'answer', true, 'queued')",
        "INSERT INTO outbox (message_id, instance_id, chat_id, draft) VALUES (50, '00000000-0000-4000-8000-000000000001', 'ann', '{}')",
        "INSERT INTO events (id, instance_id, type) VALUES (7, '00000000-0000-4000-8000-000000000001', 'message')",
        "INSERT INTO deliveries (event_id, instance_id, target) VALUES (7, '00000000-0000-4000-8000-000000000001', 'webhook')",
        "INSERT INTO installation DEFAULT VALUES",
    )


async def test_a_backup_of_a_server_at_work_is_the_same_elsewhere(tmp_path: Path, database_url: str, other_url: str) -> None:
    here, there, file = tmp_path / "here", tmp_path / "there", tmp_path / "messenger.backup"
    async with running_app(database_url, here) as app:
        id = await ready_sandbox(app)
        await send_message(app, ADMIN, SendMessage.model_validate({"instance_id": id, "to": "ann", "message": NASTY}))
        token = await create_user_token(app, ADMIN, CreateToken(user_id="mary"))
        (here / "media").mkdir(exist_ok=True)
        (here / "media" / "Фото 1.png").write_bytes(b"\x00picture")
        made = await anyio.to_thread.run_sync(lambda: write_backup(file, database_url, here, key=(here / "secret.key").read_text()))
    assert file.stat().st_mode & 0o777 == 0o600
    assert made == verify(file)
    restored = await restore(file, other_url, there)
    assert {table: contents(other_url, table) for table in COPIED} == {table: contents(database_url, table) for table in COPIED}
    assert rows(other_url, "SELECT body FROM messages WHERE outgoing") == [(NASTY,)]
    assert rows(other_url, DANGLING) == []
    assert (there / "media" / "Фото 1.png").read_bytes() == b"\x00picture"
    assert restored.set_aside == ()
    # Its key opens what was sealed, and tokens are known; nothing acts on an account until somebody says so.
    async with running_app(other_url, there) as app:
        assert Vault.open(there, None).digest(token.token) in {bytes(row[0]) for row in rows(other_url, "SELECT digest FROM user_tokens")}
        assert rows(other_url, "SELECT desired, status FROM message_instances") == [("stopped", "stopped")]
        assert one(other_url, "SELECT status_reason FROM message_instances").startswith("Restored from the backup of ")
        assert rows(other_url, "SELECT instance_id FROM leases") == []


@pytest.mark.parametrize("take_over", [False, True])
async def test_a_restored_copy_repeats_nothing_and_gives_no_number_twice(tmp_path: Path, database_url: str, other_url: str, take_over: bool) -> None:
    stored(database_url)
    write_backup(tmp_path / "file", database_url, tmp_path)
    await restore(tmp_path / "file", other_url, tmp_path / "there", take_over=take_over)
    assert rows(other_url, "SELECT * FROM outbox") == []
    assert rows(other_url, "SELECT status, error->>'code' FROM messages WHERE id = 50") == [("unknown", "restored")]
    assert rows(other_url, "SELECT status FROM deliveries") == [("dead",)]
    assert one(other_url, "SELECT nextval('event_numbers')") > JUMP
    assert one(other_url, "INSERT INTO messages (instance_id, chat_id) VALUES (gen_random_uuid(), 'x') RETURNING id") > JUMP
    same = one(other_url, "SELECT count(*) FROM installation WHERE id = %s", one(database_url, "SELECT id FROM installation"))
    assert (one(other_url, "SELECT desired FROM message_instances"), same) == (("running", 1) if take_over else ("stopped", 0))


async def test_nothing_is_overwritten_unless_forced(tmp_path: Path, database_url: str, other_url: str) -> None:
    stored(database_url)
    (tmp_path / "here" / "media").mkdir(parents=True)
    (tmp_path / "here" / "media" / "new").write_text("new")
    file, there = tmp_path / "file", tmp_path / "there"
    write_backup(file, database_url, tmp_path / "here")
    with pytest.raises(BackupFailed, match="exists"):
        write_backup(file, database_url, tmp_path / "here")
    with pytest.raises(BackupFailed, match="holds instances"):
        await restore(file, database_url, there)
    (there / "media").mkdir(parents=True)
    (there / "media" / "old").write_text("old")
    with pytest.raises(BackupFailed, match="media already"):
        await restore(file, other_url, there)
    assert rows(other_url, "SELECT * FROM messages") == []
    execute(other_url, "INSERT INTO messages (instance_id, chat_id, body) VALUES (gen_random_uuid(), 'x', 'former')")
    restored = await restore(file, other_url, there, force=True)
    assert {row[0] for row in rows(other_url, "SELECT body FROM messages")} == {"hello", "answer"}
    assert [path.name for path in (there / "media").iterdir()] == ["new"]
    assert [(folder / "old").read_text() for folder in restored.set_aside] == ["old"]
    assert sorted(path.name for path in there.iterdir()) == sorted(["media", restored.set_aside[0].name])


async def test_a_database_that_a_server_works_on_is_left_alone(tmp_path: Path, database_url: str, other_url: str) -> None:
    stored(database_url)
    write_backup(tmp_path / "file", database_url, tmp_path)
    execute(
        other_url, "INSERT INTO leases (instance_id, owner, expires_at) VALUES (gen_random_uuid(), gen_random_uuid(), now() + interval '1 minute')"
    )
    with pytest.raises(StoreUnavailable, match="runs 1 instances"):
        await restore(tmp_path / "file", other_url, tmp_path / "there", force=True)
    assert rows(other_url, "SELECT * FROM messages") == []
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("damage", ["flipped", "cut", "other"])
async def test_a_damaged_file_is_refused_before_anything_changes(tmp_path: Path, database_url: str, other_url: str, damage: str) -> None:
    stored(database_url)
    file = tmp_path / "file"
    write_backup(file, database_url, tmp_path)
    whole = file.read_bytes()
    file.write_bytes({"flipped": whole.replace(b"hello", b"hullo"), "cut": whole[: len(whole) // 2], "other": b"something else"}[damage])
    with pytest.raises(BackupFailed):
        await restore(file, other_url, tmp_path / "there")
    assert rows(other_url, "SELECT * FROM messages") == []
    assert not (tmp_path / "there").exists()


async def test_an_older_backup_is_brought_up_to_date(tmp_path: Path, empty_database_url: str, other_url: str) -> None:
    older = packaged()[-2]
    await migrate(empty_database_url, to=older)
    stored(empty_database_url)
    assert write_backup(tmp_path / "file", empty_database_url, tmp_path).migrations[-1] == older
    await restore(tmp_path / "file", other_url, tmp_path / "there")
    assert [row[0] for row in rows(other_url, "SELECT version FROM schema_migrations ORDER BY 1")] == packaged()
    assert len(rows(other_url, "SELECT id FROM messages")) == 2


async def test_a_backup_of_a_newer_version_is_refused(tmp_path: Path, database_url: str, other_url: str) -> None:
    execute(database_url, "INSERT INTO schema_migrations (version) VALUES ('999_future')")
    write_backup(tmp_path / "file", database_url, tmp_path)
    with pytest.raises(BackupFailed, match="999_future"):
        await restore(tmp_path / "file", other_url, tmp_path / "there")


async def test_a_name_that_leads_out_of_the_folder_is_not_unpacked(tmp_path: Path, database_url: str, other_url: str) -> None:
    write_backup(tmp_path / "file", database_url, tmp_path)
    with zipfile.ZipFile(tmp_path / "file", "a") as archive:
        archive.writestr("../outside", "x")
        archive.writestr("postgres/pg18/postgresql.auto.conf", "x")
    await restore(tmp_path / "file", other_url, tmp_path / "deep" / "there")
    assert [path for path in (tmp_path / "deep").rglob("*") if path.is_file()] == []
    assert not (tmp_path / "outside").exists()


def test_the_commands_say_what_they_did_and_what_to_do(tmp_path: Path, database_url: str, other_url: str) -> None:
    stored(database_url)
    here, there, file = environment(tmp_path / "here", database_url), environment(tmp_path / "there", other_url), str(tmp_path / "file")
    done = ran(here, "backup", file)
    assert done.returncode == 0, done.stderr
    assert "1 instances, 2 messages" in done.stdout
    assert "The secret key is not in it" in done.stdout
    again = ran(here, "backup", file)
    assert (again.returncode, "--force" in again.stderr) == (1, True)
    assert "is whole" in ran(there, "restore", file, "--check").stdout
    assert rows(other_url, "SELECT * FROM messages") == []
    put = ran(there, "restore", file)
    assert put.returncode == 0, put.stderr
    assert "All instances are stopped" in put.stdout
    assert "The secret key is missing" in put.stdout
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o700


def test_a_kill_leaves_no_half_file_under_the_name(tmp_path: Path, database_url: str) -> None:
    execute(
        database_url,
        "INSERT INTO messages (instance_id, chat_id, body) SELECT gen_random_uuid(), 'x', repeat('x', 1000) FROM generate_series(1, 20000)",
    )
    file = tmp_path / "file"
    command = [sys.executable, "-m", "mcp_messenger", "backup", str(file)]
    with psycopg.connect(database_url) as holding:
        # The copying waits behind this lock once it has begun.
        holding.execute("LOCK TABLE user_tokens IN ACCESS EXCLUSIVE MODE")
        with subprocess.Popen(command, cwd=ROOT, env=environment(tmp_path / "data", database_url)) as process:
            until_blocking(lambda: any(path.stat().st_size > 1_000_000 for path in tmp_path.glob("file.*.partial")))
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert not file.exists()
    write_backup(file, database_url, tmp_path / "data")
    assert verify(file).rows["messages"] == 20000


def scheduled(database: Database, url: str, data_dir: Path, folder: Path | None = None) -> BackupSchedule:
    """The schedule of one more server."""
    config = Config(data_dir=data_dir, database_url=SecretStr(url), backups=BackupPlan(3600, folder, keep=2))
    return BackupSchedule(database, uuid4(), config, None, Workers())


async def test_one_of_several_servers_makes_the_backup_that_is_due_and_the_newest_stay(tmp_path: Path, database_url: str) -> None:
    stored(database_url)
    folder = tmp_path / "backups"
    folder.mkdir()
    old = [folder / f"mcp-messenger-2026010{day}-000000.backup" for day in (1, 2, 3)]
    others = [folder / "mcp-messenger-of-mine.backup", folder / "notes.txt"]
    killed = folder / "mcp-messenger-20260104-000000.backup.0123abcd.partial"
    for file in (*old, *others, killed):
        file.write_text("x")
    async with opened(database_url) as database:
        servers = [scheduled(database, database_url, tmp_path) for _ in range(3)]
        made: list[Path | None] = []

        async def back_up(server: BackupSchedule) -> None:
            made.append(await server.back_up())

        async with anyio.create_task_group() as group:
            for server in servers:
                group.start_soon(back_up, server)
        assert await servers[0].back_up() is None, "it is not due yet"
    (path,) = [file for file in made if file is not None]
    assert verify(path).rows["messages"] == 2
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(folder.iterdir()) == sorted([old[-1], *others, path])


async def test_a_backup_that_fails_is_stored_for_all_servers_and_tried_again_later(tmp_path: Path, database_url: str) -> None:
    stored(database_url)
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    async with opened(database_url) as database:
        server, other = (scheduled(database, database_url, tmp_path, folder=blocked) for _ in range(2))
        assert await server.back_up() is None
        assert "cannot be written" in one(database_url, "SELECT trouble FROM chores WHERE name = 'backup'")
        blocked.unlink()
        assert await server.back_up() is await other.back_up() is None, "not at once"
        execute(database_url, "UPDATE chores SET failed_at = failed_at - interval '11 minutes'")
        made = await other.back_up()
        assert made is not None
        assert rows(database_url, "SELECT trouble, failed_at FROM chores WHERE name = 'backup'") == [(None, None)]


async def test_a_server_that_stops_gives_its_backup_up_at_once(tmp_path: Path, database_url: str) -> None:
    execute(
        database_url,
        "INSERT INTO messages (instance_id, chat_id, body) SELECT gen_random_uuid(), 'x', repeat('x', 1000) FROM generate_series(1, 20000)",
    )
    async with opened(database_url) as database, anyio.create_task_group() as group:
        group.start_soon(scheduled(database, database_url, tmp_path).back_up)
        await until(lambda: any(path.stat().st_size > 0 for path in tmp_path.glob("backups/*.partial")))
        group.cancel_scope.cancel()
    assert list(tmp_path.glob("backups/*")) == []


def test_the_embedded_store_is_backed_up_and_restored_by_path_alone(tmp_path: Path) -> None:
    env = environment(tmp_path / "here")
    assert ran(env, "migrate").returncode == 0
    done = ran(env, "backup", str(tmp_path / "file"))
    assert done.returncode == 0, done.stderr
    put = ran(environment(tmp_path / "there"), "restore", str(tmp_path / "file"))
    assert put.returncode == 0, put.stderr
    assert list((tmp_path / "there" / "postgres").glob("pg*/PG_VERSION"))
