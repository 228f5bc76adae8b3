"""Database URLs as dashboards and other clients write them, and databases whose defaults are others than ours."""

import logging
from datetime import UTC, datetime

import pytest
from psycopg.conninfo import conninfo_to_dict

from db.connection_settings import connection_string, libpq_environment
from db.database import Database
from db.embedded import EmbeddedPostgres
from db.errors import StoreUnavailable
from db.migrate import migrate
from db.pool import connect
from tests.postgres import execute, with_database
from tests.stored import NOON, new_instance, opened, queued

pytestmark = pytest.mark.anyio

SECRET = "fake-password"
URL = f"postgresql://ann:{SECRET}@127.0.0.1:5432/messages"


@pytest.mark.parametrize("parameter", ["pgbouncer=true", "connection_limit=1", "pool_timeout=20", "supa=base-pooler.x"])
def test_a_parameter_for_other_clients_is_left_out_and_the_log_says_so(parameter: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = conninfo_to_dict(connection_string(f"{URL}?sslmode=require&{parameter}"))
    assert (found["sslmode"], found["dbname"]) == ("require", "messages")
    name = parameter.partition("=")[0]
    assert name not in found
    assert name in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("parameter", ["schema=Other%20Shop", "sslaccept=strict", "no_such_parameter=1"])
def test_a_parameter_that_means_something_else_is_named(parameter: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        connection_string(f"{URL}?{parameter}&pgbouncer=true")
    assert parameter.partition("=")[0] in str(caught.value)
    assert SECRET not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_a_setting_that_cannot_be_read_is_named() -> None:
    with pytest.raises(StoreUnavailable, match="DIRECT_DATABASE_URL cannot be read"):
        connection_string("postgresql//nonsense", setting="DIRECT_DATABASE_URL")


def test_a_url_is_written_as_variables_of_libpq() -> None:
    found = libpq_environment("postgresql://ann:fake%24password@db.example:6543/messages?sslmode=require&pgbouncer=true")
    wanted = {"PGHOST": "db.example", "PGPORT": "6543", "PGUSER": "ann", "PGPASSWORD": "fake$password", "PGDATABASE": "messages"}
    assert found.items() >= {**wanted, "PGSSLMODE": "require"}.items()


async def test_the_store_works_with_such_a_url(database_url: str) -> None:
    async with opened(f"{database_url}&pgbouncer=true&connection_limit=1") as database:
        assert await database.value("SELECT 1") == 1


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_hold_every_text_is_refused(embedded: EmbeddedPostgres, encoding: str) -> None:
    name = f"encoded_{encoding.lower()}"
    execute(embedded.url, f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0 LOCALE_PROVIDER libc")
    try:
        with pytest.raises(StoreUnavailable, match=f"encoded in {encoding}") as caught:
            await migrate(with_database(embedded.url, name))
        assert "UTF8" in (caught.value.hint or "")
    finally:
        execute(embedded.url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def odd_defaults(database_url: str) -> str:
    """Whose administrator likes other settings, and keeps a table of our name in a schema that comes first."""
    execute(
        database_url,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET datestyle = ''German''', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Kolkata''', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET standard_conforming_strings = off', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = shop, public', current_database()); END $$",
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.messages (sku text)",
        "CREATE TABLE shop.outbox (sku text)",
    )
    return database_url


async def wrote_and_read(database: Database) -> datetime:
    instance_id = await new_instance(database)
    await queued(database, instance_id, "a \\ backslash")
    return await database.value("SELECT %(noon)s::timestamptz", {"noon": NOON})


async def test_other_defaults_of_a_database_change_nothing(odd_defaults: str) -> None:
    async with opened(odd_defaults) as database:
        at = await wrote_and_read(database)
    assert (at, at.tzinfo and at.utcoffset()) == (NOON, UTC.utcoffset(None))
    async with await connect(odd_defaults) as connection:
        assert connection.info.parameter_status("TimeZone") == "UTC"


async def test_nor_behind_a_pooler_in_transaction_mode(odd_defaults: str, pgbouncer: str) -> None:
    """Each transaction may be on another connection of the pooler's."""
    async with opened(pgbouncer, connections=2) as database, opened(pgbouncer, connections=2) as other:
        for one in (database, other, database):
            at = await wrote_and_read(one)
            assert (at, at.utcoffset()) == (NOON, UTC.utcoffset(None))
            assert await one.value("SHOW datestyle") == "ISO, MDY"
