"""Twenty thousand rows of every kind go through all migrations, forward and back, while others write; and what is interrupted is completed."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from db.migrate import migrate, packaged_versions, rollback
from tests.db.test_migrate import packaged, packaged_file, psql
from tests.program import ROOT
from tests.stored import one, rows
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

FIRST = "000_message_instances"
COUNT = int(os.environ.get("MCP_MESSENGER_TEST_ROWS", "20000"))

# Every provider, one that nobody knows, and what is awkward: other scripts, quotes, line ends, nulls, nested and empty JSON, numbers beyond a double.
INSTANCES = """
    INSERT INTO message_instances (user_id, provider, type_instance, runtime, desired, status, status_reason, needs, account, settings, agent_id,
                                   agno_enable, stream, api_webhook_schema, last_activity_at, created_at, updated_at)
    SELECT (ARRAY['local', 'Ж' || i, 'tab' || chr(9) || 'x', 'o''neil "q" \\', '', chr(128512) || chr(8238) || i])[1 + i %% 6],
           (ARRAY['whatsappweb', 'telegram', 'whatsapp-official', 'facebook-messenger', 'instagram', 'slack', 'discord', 'sandbox',
                  'Carrier Pigeon', ''])[1 + i %% 10],
           (ARRAY['{api}', '{mcp}', '{api,mcp}', '{mcp,api,api}'])[1 + i %% 4]::text[],
           (ARRAY['process', 'docker', 'swarm'])[1 + i %% 3], (ARRAY['running', 'stopped'])[1 + i %% 2],
           (ARRAY['created', 'processing', 'starting', 'qr_ready', 'authenticated', 'ready', 'degraded', 'stopped', 'error',
                  'logged_out'])[1 + i %% 10],
           CASE WHEN i %% 3 = 0 THEN repeat('why ', i %% 50) || chr(10) END, 'nothing',
           CASE i %% 4 WHEN 0 THEN NULL WHEN 1 THEN 'null'::jsonb ELSE jsonb_build_object('id', i, 'name', 'Ünï' || chr(10)) END,
           jsonb_build_object('n', 12345678901234567890.000000001::numeric * i, 'deep', jsonb_build_array(i, NULL, '{}'::jsonb, '[]'::jsonb)),
           nullif('agent' || i %% 5, 'agent0'), i %% 2 = 0, i %% 3 = 0,
           CASE WHEN i %% 5 = 0 THEN '{"url": "https://bot.example/ж", "filters": {"allowedNumbers": []}}'::jsonb END,
           (ARRAY[NULL, 'infinity', '0044-03-15 12:00:00 BC', '2026-02-29 00:00:00+00'::text])[1 + i %% 3]::timestamptz,
           timestamptz '2020-01-01 00:00:00.123457+00' + i * interval '1 hour 1 microsecond', now()
    FROM generate_series(1, %s) AS i"""
MESSAGES = """
    INSERT INTO messages (instance_id, chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, reply_to, thread_id, content, raw,
                          sent_at, created_at, edited_at, deleted_at)
    SELECT coalesce((SELECT id FROM message_instances OFFSET i %% 50 LIMIT 1), gen_random_uuid()), 'chat ' || i %% 100 || chr(1234 + i %% 50),
           nullif('p' || i, 'p' || i / 3 * 3), i %% 2 = 0,
           (ARRAY['received', 'queued', 'sending', 'sent', 'delivered', 'read', 'failed', 'unknown'])[1 + i %% 8],
           nullif('s' || i %% 7, 's0'), (ARRAY['', 'Ann', 'Анна', '李', chr(128105) || chr(8205) || chr(128187)])[1 + i %% 5], 'text',
           repeat(chr(33 + i %% 20000) || ' слово ', i %% 30), nullif('r' || i %% 9, 'r0'), nullif('t' || i %% 9, 't0'),
           CASE WHEN i %% 2 = 0 THEN '{}'::jsonb ELSE jsonb_build_object('poll', jsonb_build_array('да', 'нет', i)) END,
           CASE WHEN i %% 4 = 0 THEN jsonb_build_object('raw', repeat('x', 100), 'id', i) END,
           timestamptz '2020-01-01 00:00:00+00' + i * interval '1 minute', now(), CASE WHEN i %% 11 = 0 THEN now() END,
           CASE WHEN i %% 13 = 0 THEN timestamptz '-infinity' END
    FROM generate_series(1, %s) AS i"""
COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position"
WRITER = "'a writer'"
MARKED = {"message_instances": "user_id", "messages": "chat_id"}
"""The column that tells the rows of who writes meanwhile."""


@dataclass(frozen=True)
class Contents:
    """Number of rows and checksum of each table, over the columns of the first version."""

    columns: dict[str, str]

    def of(self, url: str) -> dict[str, tuple[int, str]]:
        summed = "SELECT count(*), md5(string_agg(md5(row({columns})::text), '' ORDER BY id)) FROM {table} WHERE {marked} <> {writer}"
        return {
            table: rows(url, summed.format(columns=columns, table=table, marked=MARKED[table], writer=WRITER))[0]
            for table, columns in self.columns.items()
        }


@pytest.fixture
async def filled(empty_database_url: str) -> tuple[str, Contents]:
    """A database of the first version with many rows."""
    await migrate(empty_database_url)
    await rollback(empty_database_url, FIRST)
    for statement in (INSTANCES, MESSAGES):
        rows(empty_database_url, statement, COUNT)
    columns = {table: ", ".join(name for (name,) in rows(empty_database_url, COLUMNS, table)) for table in MARKED}
    return empty_database_url, Contents(columns)


async def test_nothing_is_lost_forward_back_and_forward_again(filled: tuple[str, Contents]) -> None:
    url, contents = filled
    before = contents.of(url)
    assert {table: count for table, (count, _) in before.items()} == {"message_instances": COUNT, "messages": COUNT}
    for _ in range(2):
        assert await migrate(url) == packaged()[1:]
        assert contents.of(url) == before
        assert one(url, "SELECT count(*) FROM telegram_instances") == COUNT // 10
        assert one(url, "SELECT count(*) FROM other_instances") == COUNT // 5
        assert one(url, "SELECT count(*) FROM all_instances") == COUNT
        assert await rollback(url, FIRST) == packaged()[:0:-1]
        assert contents.of(url) == before


INSERT = "INSERT INTO message_instances (id, user_id, provider) VALUES (%s, 'a writer', %s)"
UPDATE = "UPDATE message_instances SET settings = jsonb_build_object('turn', %s::int) WHERE id = %s"
MESSAGE = "INSERT INTO messages (instance_id, chat_id, body) VALUES (%s, 'a writer', %s)"
EDIT = "UPDATE messages SET body = %s WHERE instance_id = %s"


def plainly(connection: "psycopg.Connection[Any]", id: uuid.UUID, turn: int) -> None:
    for statement, params in steps(id, turn):
        connection.execute(statement.encode(), params, prepare=False)


def prepared(connection: "psycopg.Connection[Any]", id: uuid.UUID, turn: int) -> None:
    """The server keeps the plans of the tables as they were."""
    for statement, params in steps(id, turn):
        connection.execute(statement.encode(), params, prepare=True)


def in_one_transaction(connection: "psycopg.Connection[Any]", id: uuid.UUID, turn: int) -> None:
    """Locks of one table are held while the other is asked for."""
    with connection.transaction():
        plainly(connection, id, turn)


def under_a_lock(connection: "psycopg.Connection[Any]", id: uuid.UUID, turn: int) -> None:
    with connection.transaction():
        connection.execute("LOCK TABLE message_instances IN SHARE ROW EXCLUSIVE MODE")
        prepared(connection, id, turn)


WRITERS = (plainly, prepared, in_one_transaction, under_a_lock)


def steps(id: uuid.UUID, turn: int) -> list[tuple[str, list[object]]]:
    return [(INSERT, [id, "telegram" if turn % 2 else "new one"]), (UPDATE, [turn, id]), (MESSAGE, [id, "first"]), (EDIT, [f"turn {turn}", id])]


@dataclass
class Writer:
    """Writes in a thread of its own until the end of the block. What the database has confirmed must be there afterwards."""

    url: str
    write: Callable[["psycopg.Connection[Any]", uuid.UUID, int], None]
    confirmed: dict[str, int] = field(default_factory=dict[str, int])
    failure: Exception | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def writing(self) -> Generator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _run(self) -> None:
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                while not self._ended.is_set():
                    id = uuid.uuid4()
                    self.write(connection, id, len(self.confirmed))
                    self.confirmed[str(id)] = len(self.confirmed)
        except Exception as error:  # noqa: BLE001 - for the test to see
            self.failure = error


async def test_writers_may_wait_and_none_fails_or_is_lost(filled: tuple[str, Contents]) -> None:
    url, contents = filled
    before = contents.of(url)
    writers = [Writer(url, write) for write in WRITERS]
    with ExitStack() as stack:
        for writer in writers:
            stack.enter_context(writer.writing())
        await until(lambda: all(writer.confirmed or writer.failure for writer in writers))
        assert await migrate(url) == packaged()[1:]
        reached = {id(writer): len(writer.confirmed) for writer in writers}
        await until(lambda: all(len(writer.confirmed) > reached[id(writer)] or writer.failure for writer in writers))
    assert [writer.failure for writer in writers] == [None] * len(writers)
    confirmed = {id: turn for writer in writers for id, turn in writer.confirmed.items()}
    instances = rows(url, f"SELECT id, settings FROM message_instances WHERE user_id = {WRITER}")
    assert {str(id): settings["turn"] for id, settings in instances} == confirmed
    found = {str(id): body for id, body in rows(url, f"SELECT instance_id, body FROM messages WHERE chat_id = {WRITER}")}
    assert found == {id: f"turn {turn}" for id, turn in confirmed.items()}
    assert contents.of(url) == before


MIGRATE = "import sys, anyio; from db.migrate import migrate; anyio.run(migrate, sys.argv[1])"
RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE %s"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(
    ("version", "begins"),
    [("001_split_provider_tables", "-- One table for each messenger"), ("002_product", "-- Everything the product keeps")],
)
async def test_a_start_that_is_killed_in_the_middle_is_completed_by_the_next(filled: tuple[str, Contents], version: str, begins: str) -> None:
    url, contents = filled
    before = contents.of(url)
    assert f"\nBEGIN;\n{begins}" in (packaged_versions() / f"{version}.sql").read_text(encoding="utf-8")
    with subprocess.Popen([sys.executable, "-c", MIGRATE, url], cwd=ROOT) as program:
        await until(lambda: one(url, RUNNING, f"{begins}%"))
        os.kill(program.pid, signal.SIGKILL)
    assert program.returncode == -signal.SIGKILL
    assert version in await migrate(url)
    assert [known for (known,) in rows(url, "SELECT version FROM schema_migrations ORDER BY version")] == packaged()
    assert contents.of(url) == before


async def test_psql_and_the_program_take_turns(filled: tuple[str, Contents], tmp_path: Path) -> None:
    """As a database administrator does it: each file by hand, stopping at the first error."""
    url, contents = filled
    before = contents.of(url)
    for version in packaged()[1:]:
        psql(url, packaged_file(version, tmp_path))
    assert await migrate(url) == []
    assert contents.of(url) == before
    for version in packaged()[:0:-1]:
        psql(url, packaged_file(f"{version}_rollback", tmp_path))
    assert contents.of(url) == before
    assert await migrate(url) == packaged()[1:]
    assert contents.of(url) == before
