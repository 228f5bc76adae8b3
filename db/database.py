"""The one way to PostgreSQL: typed reads and writes over a pool that may still be starting."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

import anyio

from db.errors import Reason, StoreUnavailable, translated
from db.single_flight import SingleFlight

if TYPE_CHECKING:
    from psycopg import AsyncConnection, AsyncCursor
    from psycopg.rows import TupleRow
    from psycopg_pool import AsyncConnectionPool

Row = TypeVar("Row")
T = TypeVar("T")
Params = Mapping[str, object]

START_TIMEOUT = 60.0
CONFLICT_TRIES = 3
"""How often a statement is run that another one gets in the way of: it was undone as a whole, so nothing is done twice."""
CONFLICT_PAUSE = 0.02
RENEW_EVERY = 1.0
OF_SESSION = frozenset({Reason.READ_ONLY, Reason.CANCELLED, Reason.LOCKED, Reason.STALE_PLAN})
"""Refusals that a setting of the role, or a statement prepared before a migration, may cause. A session keeps them, so new ones are needed."""
AT_ONCE = frozenset({Reason.READ_ONLY, Reason.STALE_PLAN})
"""Of these, what is refused before anything is done."""
REFUSES: LiteralString = """
    SELECT current_setting('transaction_read_only')::boolean,
        has_table_privilege('public.outbox', 'INSERT') AND has_table_privilege('public.messages', 'INSERT, UPDATE')"""


class Database:
    """The store of the program. Reads and writes wait until `ready` (or `failed`) was called, so the faces can come up first.

    Every method raises StoreUnavailable when PostgreSQL cannot be reached; nothing was written then, or all of it was.
    """

    def __init__(self) -> None:
        self._pool: AsyncConnectionPool[AsyncConnection[TupleRow]] | None = None
        self._urgent: AsyncConnectionPool[AsyncConnection[TupleRow]] | None = None
        self._started = anyio.Event()
        self._failure: StoreUnavailable | None = None
        self.stage = ""
        """What the start is at, for those who wait; empty when it is over."""
        self._reads = SingleFlight()
        self._renewed = -RENEW_EVERY
        self._renewing = anyio.Lock()

    def ready(
        self,
        pool: "AsyncConnectionPool[AsyncConnection[TupleRow]]",
        urgent: "AsyncConnectionPool[AsyncConnection[TupleRow]] | None" = None,
    ) -> None:
        """Let reads and writes use this pool from now on, and what is urgent another one, whose connections nothing else keeps busy."""
        self._pool, self._urgent = pool, urgent
        self._failure = None
        self.stage = ""
        self._started.set()

    def recovered(self) -> None:
        """Take calls again, with the pool that was given before."""
        self._failure = None

    def failed(self, reason: StoreUnavailable) -> None:
        """Give everybody who asks this reason until `ready` is called."""
        self._failure = reason
        self.stage = ""
        self._started.set()

    async def started(self) -> None:
        """Wait for the store. Raises StoreUnavailable with the reason when it could not start."""
        if not self._started.is_set():
            with anyio.move_on_after(START_TIMEOUT):
                await self._started.wait()
        if self._failure is not None:
            # A new one for each caller: an error that is raised again and again collects the tracebacks of all.
            raise StoreUnavailable(self._failure.detail, hint=self._failure.hint, reason=self._failure.reason)
        if self._pool is None:
            raise StoreUnavailable("The store is still starting.")

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator["AsyncConnection[TupleRow]"]:
        """Give a connection with a transaction open: committed at the end, rolled back when an exception leaves."""
        began = anyio.current_time()
        try:
            async with self._connection() as connection, connection.transaction():
                yield connection
        except StoreUnavailable as error:
            if error.reason in OF_SESSION:
                await self._renew_sessions(began)
            raise

    @asynccontextmanager
    async def _connection(self, *, urgent: bool = False) -> AsyncGenerator["AsyncConnection[TupleRow]"]:
        await self.started()
        assert self._pool is not None
        pool = self._urgent if urgent and self._urgent is not None else self._pool
        with translated():
            async with pool.connection() as connection:
                yield connection

    async def _renew_sessions(self, before: float) -> None:
        """Use no connection again that was made before that time, unless that is so already."""
        async with self._renewing:
            if self._renewed > before:
                return
            # While the reason lasts, new ones are no better: not at every refusal.
            await anyio.sleep(max(0.0, self._renewed + RENEW_EVERY - anyio.current_time()))
            self._renewed = anyio.current_time()
            assert self._pool is not None
            await self._pool.drain()
            if self._urgent is not None:
                await self._urgent.drain()

    async def _statement(self, row: type[Row] | None, use: Callable[["AsyncCursor[Any]"], Awaitable[T]], *, urgent: bool = False) -> T:
        """Run one statement, and again where it was undone because of another one, or refused because of a setting that its session got at login."""
        from psycopg.rows import class_row, tuple_row

        conflicts, is_renewed = 0, False
        while True:
            began = anyio.current_time()
            try:
                factory = class_row(row) if row else tuple_row
                async with self._connection(urgent=urgent) as connection, connection.cursor(row_factory=factory) as cursor:
                    return await use(cursor)
            except StoreUnavailable as error:
                conflicts += error.reason is Reason.CONFLICT
                if error.reason is Reason.CONFLICT and conflicts < CONFLICT_TRIES:
                    await anyio.sleep(conflicts * CONFLICT_PAUSE)
                elif error.reason in OF_SESSION and not is_renewed:
                    is_renewed = True
                    await self._renew_sessions(began)
                    if error.reason not in AT_ONCE:
                        # It may have taken as long as it may take.
                        raise
                else:
                    raise

    async def all(self, row: type[Row], sql: LiteralString, params: Params | None = None, *, planned_anew: bool = False) -> list[Row]:
        """`planned_anew`: each time for its very parameters, where one plan does not serve them all."""

        async def use(cursor: "AsyncCursor[Row]") -> list[Row]:
            await cursor.execute(sql, params, prepare=False if planned_anew else None)
            return await cursor.fetchall()

        return await self._statement(row, use)

    async def read(self, row: type[Row], sql: LiteralString, params: Params, *, planned_anew: bool = False) -> list[Row]:
        """`all`, of a statement that writes nothing and whose parameters can be hashed: who asks the same at the same time shares the rows."""
        return list(await self._reads.run((row, sql, *params.values()), lambda: self.all(row, sql, params, planned_anew=planned_anew)))

    async def read_one(self, row: type[Row], sql: LiteralString, params: Params) -> Row | None:
        """Return the first row of `read`, or None."""
        rows = await self.read(row, sql, params)
        return rows[0] if rows else None

    async def one(self, row: type[Row], sql: LiteralString, params: Params | None = None) -> Row | None:
        """Return the first row of `all`, or None."""
        rows = await self.all(row, sql, params)
        return rows[0] if rows else None

    async def rows(self, sql: LiteralString, params: Params | None = None, *, urgent: bool = False) -> list[tuple[Any, ...]]:
        """Return all rows as tuples. `urgent`: by a connection that other work does not keep busy."""

        async def use(cursor: "AsyncCursor[tuple[Any, ...]]") -> list[tuple[Any, ...]]:
            await cursor.execute(sql, params)
            return await cursor.fetchall()

        return await self._statement(None, use, urgent=urgent)

    async def value(self, sql: LiteralString, params: Params | None = None) -> Any:
        """Return the first column of the first row, or None where there is no row."""
        rows = await self.rows(sql, params)
        return rows[0][0] if rows else None

    async def require_writes(self) -> None:
        """Raise StoreUnavailable where PostgreSQL would refuse what a send writes; nothing is written for it."""

        async def use(cursor: "AsyncCursor[Any]") -> None:
            (is_read_only, is_allowed) = (await (await cursor.execute(REFUSES)).fetchall())[0]
            if is_read_only or not is_allowed:
                raise StoreUnavailable(reason=Reason.READ_ONLY if is_read_only else Reason.FORBIDDEN)

        await self._statement(None, use)

    async def execute(self, sql: LiteralString, params: Params | None = None) -> int:
        """Run one statement; return the number of rows it touched."""

        async def use(cursor: "AsyncCursor[Any]") -> int:
            return (await cursor.execute(sql, params)).rowcount

        return await self._statement(None, use)
