"""Brings the schema up to date.

A migration is a file `NNN_name.sql`, its way back is `NNN_name_rollback.sql`. Each can be run by `psql -f` as well: it may be run twice, and
writes its own row of public.schema_migrations (or deletes it), so that psql and this runner agree. Lines of FOR_PSQL make psql stop at the
first error and take back what it did: otherwise it would go on, and record a migration that failed. The runner leaves them out.
"""

import hashlib
import importlib.resources
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any, Literal, LiteralString

import anyio

from db.advisory_locks import MIGRATIONS
from db.errors import DatabaseTooNew, MigrationFailed, translated
from db.own_schema import hide_from_public, make_schema
from db.pool import connect

if TYPE_CHECKING:
    from psycopg import AsyncConnection

logger = logging.getLogger(__name__)

ROLLBACK = "_rollback"
FOR_PSQL = frozenset({"\\set ON_ERROR_STOP on", "BEGIN;", "COMMIT;"})
"""Lines of the files that are not for the runner, which has its own transaction."""
BUSY_TIMEOUT = 60.0
"""Seconds to wait for another process that is migrating, or for the tables that it uses."""

BUSY_PAUSE = 0.1

Told = Callable[[str, int, int], None]
Applied = dict[str, str | None]
"""The checksum by version; None where psql applied the file."""


def packaged_versions() -> Traversable:
    """Return the folder of the migrations that come with this program."""
    return importlib.resources.files("db") / "migrations" / "versions"


def packaged() -> list[str]:
    """Return the versions that this program knows, in order."""
    return _Files(packaged_versions()).versions


def resolve(name: str, versions: Traversable | None = None) -> str:
    """Return the version that a number such as 8 or 008, or the whole name, means. Raises MigrationFailed where there is none."""
    known = _Files(versions or packaged_versions()).versions
    number = int(name) if name.isascii() and name.isdecimal() else None
    found = next((version for version in known if version == name or int(version[:3]) == number), None)
    if found is None:
        raise _no_migration(name, known)
    return found


def _no_migration(name: str, known: list[str]) -> MigrationFailed:
    return MigrationFailed(f"There is no migration {name!r}.", hint=f"Take one of: {', '.join(known)}.")


async def read_applied(url: str) -> list[str]:
    """Return the versions that the database has, in order, also those that this program does not know. Raises StoreUnavailable."""
    with translated():
        async with await connect(url) as connection:
            return sorted(await _read_applied(connection))


async def migrate(
    url: str, versions: Traversable | None = None, *, to: str | None = None, busy_timeout: float = BUSY_TIMEOUT, told: Told | None = None
) -> list[str]:
    """Apply, in order, every version that is missing, also one between applied ones, as far as `to` (None: all); return those applied.

    Any number of processes may do so at once. Each file is one transaction, so a pooler in transaction mode may stand between.
    `busy_timeout` is in seconds; `told` is given each version before it is applied, with its place and their number.
    Raises DatabaseTooNew, MigrationFailed or StoreUnavailable.
    """
    files = _Files(versions or packaged_versions())

    def missing(applied: Applied) -> str | None:
        found = next((version for version in files.versions if version not in applied and (to is None or version <= to)), None)
        if found is not None and told is not None:
            told(found, 1 + files.versions.index(found), len(files.versions))
        return found

    with translated():
        async with await connect(url) as connection:
            await make_schema(connection, url)
            runner = _Runner(connection, files, busy_timeout)
            applied = await runner.applied()
            files.warn_of_changes(applied)
            if missing(applied) is not None:
                await hide_from_public(url)
            return await runner.run("forward", missing)


async def rollback(url: str, to: str | None, versions: Traversable | None = None, *, busy_timeout: float = BUSY_TIMEOUT) -> list[str]:
    """Undo, newest first, every applied version after `to`, which stays; all of them when `to` is None. Return those undone.

    `busy_timeout` is in seconds. Raises DatabaseTooNew, MigrationFailed or StoreUnavailable.
    """
    files = _Files(versions or packaged_versions())
    if to is not None and to not in files.versions:
        raise _no_migration(to, files.versions)
    later = files.versions if to is None else files.versions[files.versions.index(to) + 1 :]

    def newest(applied: Applied) -> str | None:
        return next((version for version in reversed(later) if version in applied), None)

    with translated():
        async with await connect(url) as connection:
            await hide_from_public(url)
            return await _Runner(connection, files, busy_timeout).run("back", newest)


class _Files:
    def __init__(self, folder: Traversable) -> None:
        self._folder = folder
        stems = (entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql"))
        self.versions = sorted(stem for stem in stems if not stem.endswith(ROLLBACK))

    def read(self, stem: str) -> str:
        lines = (self._folder / f"{stem}.sql").read_text(encoding="utf-8").splitlines(keepends=True)
        return "".join(line for line in lines if line.strip() not in FOR_PSQL)

    def checksum(self, version: str) -> str:
        return hashlib.sha256(self.read(version).encode()).hexdigest()

    def warn_of_changes(self, applied: Applied) -> None:
        for version in self.versions:
            if applied.get(version) not in (None, self.checksum(version)):
                logger.warning("Migration %s was changed after it was applied; the database keeps what the former file did.", version)


HAS_MIGRATIONS: LiteralString = "SELECT to_regclass('public.schema_migrations') IS NOT NULL"
TRY_LOCK: LiteralString = "SELECT pg_try_advisory_xact_lock(%(migrations)s)"
READ_APPLIED: LiteralString = "SELECT version, checksum FROM public.schema_migrations"
RECORD_CHECKSUM: LiteralString = "UPDATE public.schema_migrations SET checksum = %(checksum)s WHERE version = %(version)s"
CAN_CLOSE: LiteralString = "SELECT to_regprocedure('public.mcp_messenger_close(regclass)') IS NOT NULL"
# All that the file has made or altered in this transaction. Row security and grants are of a table, and a new one has none yet.
CLOSE: LiteralString = """
    SELECT count(public.mcp_messenger_close(c.oid::regclass)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'S') AND c.xmin = pg_current_xact_id()::xid"""
# A file that waits for a table makes everyone else wait behind it: give way soon, and try again.
LIMITS: LiteralString = "SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = 0"


async def _read_applied(connection: "AsyncConnection[Any]") -> Applied:
    cursor = await connection.execute(HAS_MIGRATIONS)
    if not (await cursor.fetchall())[0][0]:
        return {}
    return dict(await (await connection.execute(READ_APPLIED)).fetchall())


@dataclass(frozen=True)
class _Runner:
    connection: "AsyncConnection[Any]"
    files: _Files
    busy_timeout: float

    async def applied(self) -> Applied:
        """Return the versions that the database has. Raises DatabaseTooNew."""
        applied = await _read_applied(self.connection)
        if unknown := sorted(applied.keys() - self.files.versions):
            raise DatabaseTooNew(unknown, self.files.versions[-1])
        return applied

    async def run(self, direction: Literal["forward", "back"], choose: Callable[[Applied], str | None]) -> list[str]:
        """Run the file that `choose` names until it names none."""
        done: list[str] = []
        deadline = time.monotonic() + self.busy_timeout
        while choose(await self.applied()) is not None:
            version = await self._try_next(direction, choose)
            if version is not None:
                done.append(version)
                deadline = time.monotonic() + self.busy_timeout
            elif time.monotonic() < deadline:
                await anyio.sleep(BUSY_PAUSE)
            else:
                raise MigrationFailed(
                    f"Others have been using the schema for {self.busy_timeout:g} s.", hint="End what else uses the database and start again."
                )
        return done

    async def _try_next(self, direction: Literal["forward", "back"], choose: Callable[[Applied], str | None]) -> str | None:
        """Run one file; its version, or None when others are in the way, or have done it."""
        from psycopg import Error
        from psycopg.errors import DeadlockDetected, LockNotAvailable

        version: str | None = None
        try:
            async with self.connection.transaction():
                # Never wait in the lock itself: that makes a deadlock with what its holder waits for.
                cursor = await self.connection.execute(TRY_LOCK, {"migrations": MIGRATIONS})
                if (await cursor.fetchall())[0][0]:
                    version = choose(await self.applied())
                if version is not None:
                    await self._execute(direction, version)
        except (LockNotAvailable, DeadlockDetected):
            return None
        except Error as error:
            if version is None or self.connection.closed:
                raise
            raise MigrationFailed(f"Migration {version} failed: {error.diag.message_primary}.") from error
        return version

    async def _execute(self, direction: Literal["forward", "back"], version: str) -> None:
        stem = version if direction == "forward" else version + ROLLBACK
        await self.connection.execute(LIMITS)
        await self.connection.execute(self.files.read(stem).encode())
        if (await (await self.connection.execute(CAN_CLOSE)).fetchall())[0][0]:
            await self.connection.execute(CLOSE)
        if (version in await self.applied()) != (direction == "forward"):
            raise MigrationFailed(f"{stem}.sql does not keep its row of schema_migrations.")
        if direction == "forward":
            await self.connection.execute(RECORD_CHECKSUM, {"checksum": self.files.checksum(version), "version": version})
