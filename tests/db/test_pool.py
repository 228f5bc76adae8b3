from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import anyio
import psycopg
import pytest
import trustme
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from db.database import Database
from db.errors import Reason, StoreUnavailable, translated
from db.pool import open_pool
from tests.postgres import execute
from tests.standins.carrying_pooler import carrying_pooler
from tests.stored import opened
from tests.system_postgres import PASSWORD, SystemPostgres, free_port

pytestmark = pytest.mark.anyio

Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]


async def value(pool: Pool, statement: str) -> object:
    async with pool.connection() as connection:
        cursor = await connection.execute(statement.encode())
        row = await cursor.fetchone()
        assert row is not None
        return row[0]


async def refusal(url: str) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as caught:
        await open_pool(url, min_size=1, max_size=1, patience=0.5)
    return caught.value


async def test_what_one_connection_writes_another_reads_at_once(database_url: str) -> None:
    async with await open_pool(database_url, min_size=2, max_size=2) as pool, pool.connection() as first, pool.connection() as second:
        await first.execute("INSERT INTO messages (instance_id, chat_id) VALUES (gen_random_uuid(), 'chat')")
        cursor = await second.execute("SELECT count(*) FROM messages")
        assert await cursor.fetchone() == (1,)


async def test_a_connection_that_the_server_ended_is_not_handed_out(database_url: str) -> None:
    async with await open_pool(database_url, min_size=1, max_size=1) as pool:
        execute(
            database_url,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()",
        )
        assert await value(pool, "SELECT 1") == 1


async def test_the_connection_that_was_used_last_is_used_again(database_url: str) -> None:
    async with await open_pool(database_url, min_size=3, max_size=3) as pool:
        async with pool.connection() as last_returned, pool.connection(), pool.connection():
            pass
        used = {await value(pool, "SELECT pg_backend_pid()") for _ in range(5)}
        assert used == {last_returned.info.backend_pid}


async def test_the_server_sees_who_is_connected(database_url: str) -> None:
    async with await open_pool(database_url, min_size=1, max_size=1) as pool:
        assert await value(pool, "SELECT current_setting('application_name')") == "mcp-messenger"


async def test_an_option_of_the_url_wins(database_url: str) -> None:
    async with await open_pool(f"{database_url}&application_name=mine", min_size=1, max_size=1) as pool:
        assert await value(pool, "SELECT current_setting('application_name')") == "mine"


@pytest.mark.parametrize("sslmode", ["require", "verify-full"])
async def test_a_server_behind_tls(system_postgres: SystemPostgres, sslmode: str) -> None:
    async with await open_pool(system_postgres.url(sslmode=sslmode), min_size=1, max_size=1) as pool:
        assert await value(pool, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is True


async def test_a_server_of_another_authority_is_refused(system_postgres: SystemPostgres, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stranger = tmp_path / "stranger.crt"
    trustme.CA().cert_pem.write_to_path(str(stranger))
    await refusal(system_postgres.url(sslrootcert=str(stranger)))
    assert "certificate verify failed" in caplog.text


async def test_a_server_of_another_name_is_refused(system_postgres: SystemPostgres, caplog: pytest.LogCaptureFixture) -> None:
    await refusal(system_postgres.url(host="127.0.0.1"))
    assert 'does not match host name "127.0.0.1"' in caplog.text


async def test_a_server_that_wants_tls_refuses_plain_connections(system_postgres: SystemPostgres, caplog: pytest.LogCaptureFixture) -> None:
    await refusal(system_postgres.url(sslmode="disable"))
    assert "no encryption" in caplog.text


async def test_a_pooler_in_transaction_mode(pgbouncer: str) -> None:
    """Twelve clients on four server connections: prepared statements would be looked for on the wrong one."""
    seen: list[object] = []

    async def client(number: int) -> None:
        async with await open_pool(pgbouncer, min_size=1, max_size=2) as pool:
            for repetition in range(20):
                async with pool.connection() as connection, connection.transaction():
                    cursor = await connection.execute("SELECT %s::int * 100 + %s::int", [number, repetition])
                    seen.extend(await cursor.fetchone() or ())

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(client, number)
    assert sorted(seen, key=str) == sorted((number * 100 + repetition for number in range(12) for repetition in range(20)), key=str)


async def test_a_dead_database_is_told_without_the_password(caplog: pytest.LogCaptureFixture) -> None:
    error = await refusal(f"postgresql://someone:{quote(PASSWORD, safe='')}@127.0.0.1:{free_port()}/postgres")
    assert "PostgreSQL does not answer" in str(error)
    assert "mcp-messenger doctor" in (error.hint or "")
    assert "Connection refused" in caplog.text
    assert PASSWORD not in f"{error} {error.hint} {error!r} {error.__cause__!r} {caplog.text}"


async def test_a_url_that_cannot_be_read_is_not_repeated() -> None:
    error = await refusal("postgresql//someone:fake-password@127.0.0.1/postgres")
    assert "fake-password" not in f"{error} {error.hint} {error.__cause__}"
    assert error.__suppress_context__


async def test_a_server_that_goes_away_or_refuses_for_now_is_unavailable_and_a_wrong_statement_is_not(database_url: str) -> None:
    async with await open_pool(f"{database_url}&options=-cstatement_timeout%3D50", min_size=1, max_size=1) as pool:
        with pytest.raises(StoreUnavailable), translated():
            await value(pool, "SELECT pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(StoreUnavailable, match="longer than the server allows") as caught, translated():
            await value(pool, "SELECT pg_sleep(60)")
        assert caught.value.reason is Reason.CANCELLED
        with pytest.raises(psycopg.errors.DivisionByZero), translated():
            await value(pool, "SELECT 1 / 0")


async def test_statements_are_prepared_where_the_connection_ends_at_postgresql(database_url: str, pgbouncer: str) -> None:
    for url, count in ((database_url, 1), (pgbouncer, 0)):
        async with await open_pool(url, min_size=1, max_size=1) as pool, pool.connection() as connection, connection.transaction():
            for _ in range(4):
                await connection.execute("SELECT %s::int", [1])
            cursor = await connection.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT $1::int'")
            assert await cursor.fetchone() == (count,)


async def test_statements_are_prepared_behind_a_pooler_that_carries_them(database_url: str) -> None:
    """And go on being so after a rollback, for which the driver has all of them forgotten."""
    parts = urlsplit(database_url)
    async with carrying_pooler(f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432") as port:
        url = f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
        async with await open_pool(url, min_size=1, max_size=1) as pool, pool.connection() as connection:
            for _ in range(2):
                with suppress(ZeroDivisionError):
                    async with connection.transaction():
                        for _ in range(4):
                            await connection.execute("SELECT %s::int", [1])
                        cursor = await connection.execute("SELECT name FROM pg_prepared_statements WHERE statement = 'SELECT $1::int'")
                        ((name,),) = await cursor.fetchall()
                        assert name.startswith("PGBOUNCER_")
                        raise ZeroDivisionError


async def test_nothing_stays_in_the_sessions_of_a_pooler_that_does_not_carry_statements(pgbouncer: str) -> None:
    async with await open_pool(pgbouncer, min_size=4, max_size=4) as pool, pool.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM pg_prepared_statements")
        assert await cursor.fetchone() == (0,)


async def test_a_statement_that_was_prepared_before_a_migration_works_after_it(database_url: str) -> None:
    execute(database_url, "CREATE TABLE changed (number integer); INSERT INTO changed VALUES (1)")
    async with await open_pool(database_url, min_size=3, max_size=3) as pool:
        database = Database()
        database.ready(pool)

        async def read() -> list[tuple[object, ...]]:
            return await database.rows("SELECT number FROM changed")

        async def on_every_connection() -> None:
            async with anyio.create_task_group() as group:
                for _ in range(12):
                    group.start_soon(read)

        await on_every_connection()
        execute(database_url, "ALTER TABLE changed ALTER COLUMN number TYPE text")
        assert await read() == [("1",)]
        await on_every_connection()


async def test_a_role_that_may_not_write_what_a_send_writes_is_named(database_url: str) -> None:
    execute(
        database_url,
        "DO $$ BEGIN CREATE ROLE only_reads NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
        "GRANT USAGE ON SCHEMA public TO only_reads",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET role = only_reads', current_database()); END $$",
    )
    async with opened(database_url) as database:
        with pytest.raises(StoreUnavailable) as caught:
            await database.require_writes()
    assert caught.value.reason is Reason.FORBIDDEN
