"""The rows of our tables: read out of a database at one moment while others write, and put into another one.

The migrations make the schema, so a backup holds rows alone. It fits any PostgreSQL that the program runs on, and needs none of
PostgreSQL's programs, which are not there for a database on the network. All of it blocks.
"""

import select
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

from db.advisory_locks import EVENT_LOG, MIGRATIONS
from db.connection_settings import SETTINGS, connection_string
from db.errors import Reason, StoreUnavailable, translated
from db.installation import IDENTIFY
from db.own_schema import blocking_session_options, placed, schema_of

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

BLOCK = 1 << 20
"""Bytes that are passed on at once."""

EPHEMERAL = ("schema_migrations", "leases", "calls", "rate_limits")
"""Tables whose rows mean something only while the processes run that wrote them, or are the migrations' own."""

JUMP = 1_000_000
"""Numbers that are left out after a restore: the original may have given them to other messages and events since the backup."""

# The policy is on every table of ours, and the migration runner puts it on new ones. Partitions are copied with their parent.
TABLES: LiteralString = """
    SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE p.polname = 'mcp_messenger' AND n.nspname = 'public' AND NOT c.relispartition AND c.relname <> ALL(%(ephemeral)s)
    GROUP BY c.relname ORDER BY c.relname"""
FACTS: LiteralString = """
    SELECT current_setting('server_version'), now(), (SELECT id FROM public.installation),
        (SELECT array_agg(version ORDER BY version) FROM public.schema_migrations), (SELECT last_value FROM public.event_numbers),
        (SELECT count(*) FROM public.message_instances WHERE runtime <> 'process')"""
HAS_TABLES: LiteralString = (
    "SELECT to_regclass('public.schema_migrations') IS NOT NULL AND to_regprocedure('public.mcp_messenger_close(regclass)') IS NOT NULL"
)
READING: LiteralString = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
MAY_EMPTY_AUDIT: LiteralString = "SELECT set_config('mcp_messenger.audit', 'restore', true)"
NO_LIMITS: LiteralString = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '10s'"


@dataclass(frozen=True)
class Table:
    """A table and those of its columns that are stored, not computed."""

    name: str
    columns: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """The database at the moment of the backup. `installation` is None where none has been identified yet."""

    server_version: str
    taken_at: datetime
    installation: UUID | None
    migrations: Sequence[str]
    last_event: int
    contained: int
    """Instances that run in containers."""


class Snapshot:
    """The tables as they were at one moment. Writers are not held up."""

    def __init__(self, connection: "Connection[Any]", schema: str, facts: Facts, tables: Sequence[Table]) -> None:
        self._connection = connection
        self._schema = schema
        self.facts = facts
        self.tables = tables

    def rows(self, table: Table) -> Generator[bytes, None, int]:
        """Give the rows in PostgreSQL's text format, in blocks; return how many there were. Raises StoreUnavailable."""
        statement = _statement("COPY (SELECT {columns} FROM public.{table}) TO STDOUT", table).as_string(self._connection)
        with translated():
            return (yield from _copy_out(self._connection, placed(statement, self._schema).encode()))


@contextmanager
def snapshot(url: str) -> Generator[Snapshot]:
    """Read the database as it is now. Raises StoreUnavailable, also where the database has no tables of ours or older ones."""
    with translated(), _connected(url) as connection:
        if not connection.execute(HAS_TABLES).fetchall()[0][0]:
            raise StoreUnavailable("The database has no tables of ours to back up.", hint="Start the server once, or run 'mcp-messenger migrate'.")
        with connection.transaction():
            connection.execute(READING)
            connection.execute(NO_LIMITS)
            facts = Facts(*connection.execute(FACTS).fetchall()[0])
            tables = [Table(*row) for row in connection.execute(TABLES, {"ephemeral": list(EPHEMERAL)}).fetchall()]
            yield Snapshot(connection, schema_of(url), facts, tables)


def _copy_out(connection: "Connection[Any]", statement: bytes) -> Generator[bytes, None, int]:
    """Run COPY through libpq itself: the driver's own way takes longer for a row than PostgreSQL does."""
    from psycopg import pq
    from psycopg.errors import error_from_result

    server = connection.pgconn
    server.send_query(statement)
    result = _result(server)
    if result is None:
        return 0
    if result.status != pq.ExecStatus.COPY_OUT:
        raise error_from_result(result)
    # Once for each row, so it has as little to do as can be.
    take, block, size = server.get_copy_data, list[Any](), 0
    while True:
        length, data = take(1)
        while length > 0 and size < BLOCK:
            block.append(data)
            size += length
            length, data = take(1)
        if length > 0:
            block.append(data)
        if block and (length != 0 or size >= BLOCK):
            yield b"".join(block)
            block, size = [], 0
        if length < 0:
            return _copied(server)
        if length == 0:
            _wait(server.socket)
            server.consume_input()


def _copied(server: Any) -> int:
    from psycopg import pq
    from psycopg.errors import error_from_result

    rows = 0
    while (result := _result(server)) is not None:
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise error_from_result(result)
        rows = result.command_tuples or 0
    return rows


def _result(server: Any) -> Any:
    while server.is_busy():
        _wait(server.socket)
        server.consume_input()
    return server.get_result()


def _wait(descriptor: int) -> None:
    if hasattr(select, "poll"):  # select() takes no descriptor above 1023
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll()
    else:
        select.select([descriptor], [], [])


# A send that waited then may have gone out since; nobody but a person can tell. The chat shows it as unknown, and it is not sent again.
UNSETTLED: LiteralString = """
    WITH waiting AS (DELETE FROM public.outbox RETURNING message_id)
    UPDATE public.messages SET status = 'unknown', error = jsonb_build_object('code', 'restored', 'message', %(unsettled)s::text)
    WHERE id IN (SELECT message_id FROM waiting) OR status IN ('queued', 'sending')"""
UNDELIVERED: LiteralString = """
    UPDATE public.deliveries SET status = 'dead', lease_until = NULL, done_at = now(), last_error = %(undelivered)s WHERE status = 'pending'"""
STOP: LiteralString = """
    UPDATE public.message_instances SET desired = 'stopped', status = 'stopped', status_reason = %(stopped)s, needs = 'nothing', updated_at = now()"""
EXPIRE_CODES: LiteralString = "UPDATE public.qr_codes SET outcome = 'dropped', sealed = NULL WHERE outcome = 'current'"
# Whoever approved them may have seen them carried out.
UNDECIDED: LiteralString = "UPDATE public.approvals SET status = 'expired', claimed_until = NULL WHERE status IN ('pending', 'approved')"
# The original may have sent what was due since the backup, and goes on where this is another installation.
UNSCHEDULED: LiteralString = """
    UPDATE public.scheduled_calls SET status = 'failed', claimed_until = NULL, outcome = jsonb_build_object('code', 'restored')
    WHERE status = 'waiting' AND (due_at <= now() OR NOT %(take_over)s)"""
ANOTHER_INSTALLATION: LiteralString = "DELETE FROM public.installation"
EVENT_NUMBERS: LiteralString = """
    SELECT setval('public.event_numbers', greatest(%(last_event)s::bigint, (SELECT coalesce(max(id), 0) FROM public.events)) + %(jump)s)"""
SET_JUMP: LiteralString = "SELECT set_config('mcp_messenger.jump', %(jump)s::text, true)"
# For each table, whose names no parameter can take.
SET_IDENTITIES: LiteralString = """
    DO $$ DECLARE one record; BEGIN
        FOR one IN
            SELECT c.relname, a.attname, pg_get_serial_sequence(format('public.%I', c.relname), a.attname) AS sequence
            FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attidentity <> ''
            WHERE p.polname = 'mcp_messenger' AND n.nspname = 'public'
        LOOP
            EXECUTE format('SELECT setval(%L, (SELECT coalesce(max(%I), 0) FROM public.%I) + %s)',
                one.sequence, one.attname, one.relname, current_setting('mcp_messenger.jump'));
        END LOOP;
    END $$"""
INDEXES: LiteralString = """
    SELECT x.relname, pg_get_indexdef(x.oid)
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid
    WHERE p.polname = 'mcp_messenger' AND n.nspname = 'public' AND c.relkind = 'r' AND NOT c.relispartition
        AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = x.oid)"""
ROOM_TO_SORT: LiteralString = "SET LOCAL maintenance_work_mem = '256MB'"
AT_WORK: LiteralString = "SELECT count(*) FROM public.leases WHERE expires_at > now()"
IN_USE: LiteralString = "SELECT EXISTS (SELECT FROM public.message_instances) OR EXISTS (SELECT FROM public.messages)"
LOCKS: LiteralString = "SELECT pg_advisory_xact_lock(%(migrations)s), pg_advisory_xact_lock(%(event_log)s)"


@dataclass(frozen=True)
class Contents:
    """A backup's rows, and how many there are. `blocks` gives those of a table by its name."""

    tables: Sequence[Table]
    rows: Mapping[str, int]
    last_event: int
    blocks: Callable[[str], Iterator[bytes]]


@dataclass(frozen=True)
class Notes:
    """Words for what a restore changes in the rows: sends that were waiting, deliveries that were waiting, and instances that are stopped."""

    unsettled: str
    undelivered: str
    stopped: str


def is_in_use(url: str) -> bool:
    """Return whether the database holds instances or messages. Raises StoreUnavailable, also while a server runs instances on it."""
    with translated(), _connected(url) as connection:
        if not connection.execute(HAS_TABLES).fetchall()[0][0]:
            return False
        _refuse_at_work(connection)
        return connection.execute(IN_USE).fetchall()[0][0]


def identify(url: str) -> UUID:
    """Return the installation's id, which is made where there is none. Raises StoreUnavailable."""
    with translated(), _connected(url) as connection:
        return connection.execute(IDENTIFY).fetchall()[0][0]


def replace_rows(url: str, contents: Contents, notes: Notes, *, take_over: bool) -> None:
    """Replace the rows of all tables, in one transaction.

    The schema must be that of the backup. With `take_over` the database is the original's successor: its instances run as they did.
    Raises StoreUnavailable while a server runs instances on the database; nothing is changed then.
    """
    from psycopg.sql import SQL, Identifier

    with translated(), _connected(url) as connection, connection.transaction():
        connection.execute(NO_LIMITS)
        connection.execute(ROOM_TO_SORT)
        connection.execute(LOCKS, {"migrations": MIGRATIONS, "event_log": EVENT_LOG})
        _refuse_at_work(connection)
        present = [row[0] for row in connection.execute(TABLES, {"ephemeral": [EPHEMERAL[0]]}).fetchall()]
        connection.execute(MAY_EMPTY_AUDIT)
        connection.execute(SQL("TRUNCATE {}").format(SQL(", ").join(Identifier("public", name) for name in present)))
        _fill(connection, contents, present)
        _settle(connection, notes, take_over=take_over, present=present)
        connection.execute(EVENT_NUMBERS, {"last_event": contents.last_event, "jump": JUMP})
        connection.execute(SET_JUMP, {"jump": JUMP})
        connection.execute(SET_IDENTITIES)


def _fill(connection: "Connection[Any]", contents: Contents, tables: Sequence[str]) -> None:
    from psycopg.sql import SQL, Identifier

    # Rows that come into a table with indexes take several times as long.
    indexes = connection.execute(INDEXES, {}).fetchall()
    for name, _ in indexes:
        connection.execute(SQL("DROP INDEX {}").format(Identifier("public", name)))
    # What triggers write is in the backup already.
    for name in tables:
        connection.execute(SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(Identifier("public", name)))
    for table in contents.tables:
        arrived = _copy_in(connection, table, contents.blocks(table.name))
        if arrived != contents.rows[table.name]:
            raise StoreUnavailable(f"PostgreSQL took {arrived} of {contents.rows[table.name]} rows of {table.name}.", reason=Reason.BROKEN)
    for name in tables:
        connection.execute(SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(Identifier("public", name)))
    for _, definition in indexes:
        connection.execute(definition.encode())


def _settle(connection: "Connection[Any]", notes: Notes, *, take_over: bool, present: Sequence[str]) -> None:
    """Let nothing that was under way be done again."""
    words = {"unsettled": notes.unsettled, "undelivered": notes.undelivered, "stopped": notes.stopped}
    for statement in (UNSETTLED, UNDELIVERED, EXPIRE_CODES):
        connection.execute(statement, words)
    if "approvals" in present:
        connection.execute(UNDECIDED)
    if "scheduled_calls" in present:
        connection.execute(UNSCHEDULED, {"take_over": take_over})
    if not take_over:
        connection.execute(STOP, words)
        connection.execute(ANOTHER_INSTALLATION)


def _refuse_at_work(connection: "Connection[Any]") -> None:
    running = connection.execute(AT_WORK).fetchall()[0][0]
    if running:
        raise StoreUnavailable(
            f"A server runs {running} instances on this database.", hint="Stop every server that uses it, wait a minute, and try again."
        )


def _copy_in(connection: "Connection[Any]", table: Table, blocks: Iterator[bytes]) -> int:
    with connection.cursor() as cursor:
        with cursor.copy(_statement("COPY public.{table} ({columns}) FROM STDIN", table)) as copy:
            for block in blocks:
                copy.write(block)
        return cursor.rowcount


def _statement(template: LiteralString, table: Table) -> "Composed":
    from psycopg.sql import SQL, Identifier

    return SQL(template).format(table=Identifier(table.name), columns=SQL(", ").join(map(Identifier, table.columns)))


@contextmanager
def _connected(url: str) -> "Generator[Connection[Any]]":
    from psycopg import Connection

    options = blocking_session_options(url)
    with Connection.connect(connection_string(url), autocommit=True, prepare_threshold=None, **options) as connection:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise StoreUnavailable(f"The database is encoded in {encoding}, which cannot hold every message.", hint="Use one with ENCODING 'UTF8'.")
        connection.execute(SETTINGS)
        yield connection
