"""What a PostgreSQL does that refuses for a while instead of dying."""

from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg

from tests.postgres import execute, with_database

TABLES = ("message_instances", "leases", "messages", "outbox", "events", "deliveries", "calls", "rate_limits")
REFUSALS = ("read only", "cancelled", "locked", "deadlock", "disk full", "renamed away")
WRITES_ONLY = frozenset({"read only", "deadlock", "disk full"})
"""Those under which what is stored can be read."""
RAISED = {"deadlock": "40P01", "disk full": "53100"}
END_OTHERS = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@contextmanager
def refusing(url: str, how: str, *, end_others: bool = True) -> Generator[None]:
    """Refuse as `how` says, in every session that begins from now on; afterwards sessions begin as before."""
    name = urlsplit(url).path.lstrip("/")
    maintenance = with_database(url, "postgres")
    with psycopg.connect(url, autocommit=True) as inside:
        if how == "read only":
            execute(maintenance, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        elif how in {"cancelled", "locked"}:
            limit = "statement_timeout" if how == "cancelled" else "lock_timeout"
            execute(maintenance, f"ALTER DATABASE {name} SET {limit} = '50ms'")
        if end_others:
            inside.execute(END_OTHERS)
        _begin(inside, how)
        try:
            yield
        finally:
            _end(inside, how)
            execute(maintenance, f"ALTER DATABASE {name} RESET ALL")


def _begin(inside: "psycopg.Connection[tuple[object, ...]]", how: str) -> None:
    if how in {"cancelled", "locked"}:
        inside.execute("BEGIN")
        inside.execute(f"LOCK TABLE {', '.join(TABLES)}".encode())
    elif how in RAISED:
        inside.execute(
            f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'a driver''s own words' USING ERRCODE = '{RAISED[how]}'; END $$".encode()
        )
        for table in TABLES:
            inside.execute(
                f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse()".encode()
            )
    elif how == "renamed away":
        for table in TABLES:
            inside.execute(f"ALTER TABLE {table} RENAME TO away_{table}".encode())


def _end(inside: "psycopg.Connection[tuple[object, ...]]", how: str) -> None:
    if how in {"cancelled", "locked"}:
        inside.execute("ROLLBACK")
    elif how in RAISED:
        inside.execute("DROP FUNCTION refuse() CASCADE")
    elif how == "renamed away":
        for table in TABLES:
            inside.execute(f"ALTER TABLE away_{table} RENAME TO {table}".encode())
