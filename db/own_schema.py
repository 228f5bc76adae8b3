"""Tables in a schema of our own: DATABASE_URL?schema=name. Statements are written for the schema `public`, and sent for the one that is used.

The guide's names can be kept in `public` as views, for other programs. Servers with different schemas may share a database: they wake each
other now and then for nothing.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, LiteralString
from urllib.parse import parse_qsl

from db.errors import MigrationFailed, StoreUnavailable, translated

if TYPE_CHECKING:
    from psycopg import AsyncConnection, AsyncCursor, Cursor

PUBLIC = "public"
NAME = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_URL = re.compile(r"postgres(ql)?://")
OURS = "mcp-messenger keeps this view for other programs; its rows are in the schema {}."
HAS_SCHEMA: LiteralString = "SELECT to_regnamespace(%(schema)s) IS NOT NULL"
IN_PUBLIC: LiteralString = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind = 'v' AND obj_description(c.oid, 'pg_class') = %(ours)s"""
SHOWN: LiteralString = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND (c.relname IN ('message_instances', 'all_instances', 'messages')
        OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(%(schema)s || '.message_instances')))
        AND NOT EXISTS (SELECT FROM pg_class p JOIN pg_namespace q ON q.oid = p.relnamespace WHERE q.nspname = 'public' AND p.relname = c.relname)
    ORDER BY c.relname"""
STRANGERS: LiteralString = "SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated')"


def schema_of(url: str, setting: str = "DATABASE_URL") -> str:
    """Return the schema that the URL names; `public` where it names none. Raises StoreUnavailable for a name that would need quotes."""
    name = _named(url) or PUBLIC
    if NAME.fullmatch(name) is None:
        raise StoreUnavailable(f"{setting} has the schema {name[:64]!r}.", hint="Use small letters, digits and _, and begin with a letter.")
    return name


def _named(url: str) -> str | None:
    return dict(parse_qsl(url.partition("?")[2])).get("schema") if _URL.match(url) else None


def session_options(url: str) -> dict[str, Any]:
    """Return arguments for an asynchronous connection to the URL; none where the schema is `public`."""
    schema = schema_of(url)
    return {} if schema == PUBLIC else {"cursor_factory": _async_cursor(schema)}


def blocking_session_options(url: str) -> dict[str, Any]:
    """Return arguments for a blocking connection to the URL."""
    schema = schema_of(url)
    return {} if schema == PUBLIC else {"cursor_factory": _cursor(schema)}


@lru_cache(maxsize=2000)
def placed(sql: str, schema: str) -> str:
    """Return the statement for this schema."""
    if schema == PUBLIC:
        return sql
    return sql.replace("public.", f"{schema}.").replace("'public'", f"'{schema}'").replace('"public".', f'"{schema}".')


def _placed(query: Any, schema: str, cursor: Any) -> Any:
    if isinstance(query, str):
        return placed(query, schema)
    text: bytes = query if isinstance(query, bytes) else query.as_bytes(cursor)
    return placed(text.decode(), schema).encode()


@lru_cache
def _async_cursor(schema: str) -> "type[AsyncCursor[Any]]":
    from psycopg import AsyncCursor

    class InSchema(AsyncCursor[Any]):
        async def execute(self, query: Any, params: Any = None, *, prepare: bool | None = None, binary: bool | None = None) -> Any:
            return await super().execute(_placed(query, schema, self), params, prepare=prepare, binary=binary)

    return InSchema


@lru_cache
def _cursor(schema: str) -> "type[Cursor[Any]]":
    from psycopg import Cursor

    class InSchema(Cursor[Any]):
        def execute(self, query: Any, params: Any = None, *, prepare: bool | None = None, binary: bool | None = None) -> Any:
            return super().execute(_placed(query, schema, self), params, prepare=prepare, binary=binary)

        def copy(self, statement: Any, params: Any = None, *, writer: Any = None) -> Any:
            return super().copy(_placed(statement, schema, self), params, writer=writer)

    return InSchema


async def make_schema(connection: "AsyncConnection[Any]", url: str) -> None:
    """Make the schema of the URL where it is missing. Raises MigrationFailed where the role may not."""
    from psycopg import Error, sql

    schema = schema_of(url)
    found = await (await connection.execute(HAS_SCHEMA, {"schema": schema})).fetchall()
    if found[0][0]:
        return
    try:
        await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    except Error as error:
        hint = f"Let its owner run: CREATE SCHEMA {schema} AUTHORIZATION the role of DATABASE_URL."
        raise MigrationFailed(f"The schema {schema} could not be made: {error.diag.message_primary}.", hint=hint) from error


async def hide_from_public(url: str) -> None:
    """Remove our views from `public`: a migration cannot change what they show. Raises StoreUnavailable."""
    from psycopg import sql

    schema = schema_of(url)
    if schema == PUBLIC:
        return
    async with _plain(url) as connection:
        for (name,) in await (await connection.execute(IN_PUBLIC, {"ours": OURS.format(schema)})).fetchall():
            await connection.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(PUBLIC, name)))


async def show_in_public(url: str) -> None:
    """Keep the guide's names in `public` as views, where nothing else has those names. Strangers get nothing. Raises StoreUnavailable."""
    from psycopg import sql

    schema = schema_of(url)
    async with _plain(url) as connection, connection.transaction():
        strangers = [row[0] for row in await (await connection.execute(STRANGERS)).fetchall()]
        invoker = sql.SQL("WITH (security_invoker = true)" if connection.info.server_version >= 150000 else "")
        for (name,) in await (await connection.execute(SHOWN, {"schema": schema})).fetchall():
            view, table = sql.Identifier(PUBLIC, name), sql.Identifier(schema, name)
            await connection.execute(sql.SQL("CREATE VIEW {} {} AS SELECT * FROM {}").format(view, invoker, table))
            await connection.execute(sql.SQL("COMMENT ON VIEW {} IS {}").format(view, OURS.format(schema)))
            await connection.execute(sql.SQL("REVOKE ALL ON {} FROM PUBLIC").format(view))
            for stranger in strangers:
                await connection.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(view, sql.Identifier(stranger)))


@asynccontextmanager
async def _plain(url: str) -> "AsyncGenerator[AsyncConnection[Any]]":
    """Give a connection whose statements are sent as they are written."""
    from psycopg import AsyncConnection

    from db.connection_settings import connection_string

    with translated():
        async with await AsyncConnection.connect(connection_string(url), autocommit=True, prepare_threshold=None) as connection:
            yield connection
