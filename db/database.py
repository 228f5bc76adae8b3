"""The one way to PostgreSQL: typed reads and writes over a pool that may still be starting."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

import anyio

from db.errors import StoreUnavailable, translated
from db.single_flight import SingleFlight

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow
    from psycopg_pool import AsyncConnectionPool

Row = TypeVar("Row")
Params = Mapping[str, object]

START_TIMEOUT = 60.0


class Database:
    """The store of the program. Reads and writes wait until `ready` (or `failed`) was called, so the faces can come up first.

    Every method raises StoreUnavailable when PostgreSQL cannot be reached; nothing was written then, or all of it was.
    """

    def __init__(self) -> None:
        self._pool: AsyncConnectionPool[AsyncConnection[TupleRow]] | None = None
        self._started = anyio.Event()
        self._failure: str | None = None
        self._reads = SingleFlight()
        self.wanted = anyio.Event()
        """Somebody waits for the store, or will soon."""

    def ready(self, pool: "AsyncConnectionPool[AsyncConnection[TupleRow]]") -> None:
        self._pool = pool
        self._failure = None
        self._started.set()

    def failed(self, reason: str) -> None:
        """It is not there, for now; the reason goes to everybody who asks."""
        self._failure = reason
        self._started.set()

    async def started(self) -> None:
        """Wait for the store. Raises StoreUnavailable with the reason when it could not start."""
        self.wanted.set()
        if not self._started.is_set():
            with anyio.move_on_after(START_TIMEOUT):
                await self._started.wait()
        if self._failure is not None:
            raise StoreUnavailable(self._failure)
        if self._pool is None:
            raise StoreUnavailable("The store is still starting.")

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator["AsyncConnection[TupleRow]"]:
        """One connection with a transaction open: committed at the end, rolled back when an exception leaves."""
        await self.started()
        assert self._pool is not None
        with translated():
            async with self._pool.connection() as connection, connection.transaction():
                yield connection

    async def all(self, row: type[Row], sql: LiteralString, params: Params | None = None, *, planned_anew: bool = False) -> list[Row]:
        """`planned_anew`: each time for its very parameters, where one plan does not serve them all."""
        from psycopg.rows import class_row

        await self.started()
        assert self._pool is not None
        with translated():
            async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(row)) as cursor:
                await cursor.execute(sql, params, prepare=False if planned_anew else None)
                return await cursor.fetchall()

    async def read(self, row: type[Row], sql: LiteralString, params: Params, *, planned_anew: bool = False) -> list[Row]:
        """`all`, of a statement that writes nothing and whose parameters can be hashed: who asks the same at the same time shares the rows."""
        return list(await self._reads.run((row, sql, *params.values()), lambda: self.all(row, sql, params, planned_anew=planned_anew)))

    async def read_one(self, row: type[Row], sql: LiteralString, params: Params) -> Row | None:
        rows = await self.read(row, sql, params)
        return rows[0] if rows else None

    async def one(self, row: type[Row], sql: LiteralString, params: Params | None = None) -> Row | None:
        rows = await self.all(row, sql, params)
        return rows[0] if rows else None

    async def rows(self, sql: LiteralString, params: Params | None = None) -> list[tuple[Any, ...]]:
        await self.started()
        assert self._pool is not None
        with translated():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(sql, params)
                return await cursor.fetchall()

    async def value(self, sql: LiteralString, params: Params | None = None) -> Any:
        """The first column of the first row, or None."""
        rows = await self.rows(sql, params)
        return rows[0][0] if rows else None

    async def execute(self, sql: LiteralString, params: Params | None = None) -> int:
        """Run one statement; the number of rows it touched."""
        await self.started()
        assert self._pool is not None
        with translated():
            async with self._pool.connection() as connection:
                return (await connection.execute(sql, params)).rowcount
