"""Moves an embedded store that another major version of PostgreSQL wrote into a new folder. The former folder stays as it was. All of it blocks."""

import logging
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

from db.account import Account, account_for
from db.advisory_locks import EMBEDDED_USERS
from db.binaries import Binaries, all_binaries
from db.cluster import USER, Cluster
from db.errors import EmbeddedFailed, Reason

if TYPE_CHECKING:
    from psycopg.sql import Composed

log = logging.getLogger(__name__)

PROGRAMS = ("pg_dump", "pg_restore")
DUMP, PASSWORDS = "moving.dump", "moving.passwords"
LONGEST = 6 * 3600.0
"""Seconds that dumping or restoring may take."""
FORMER = "former-"

TAKE_ALONE: LiteralString = "SELECT pg_try_advisory_lock(%(users)s)"
TABLES: LiteralString = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2"""


def can_move(data: Path, to: Binaries) -> Binaries | None:
    """Return the programs that wrote the folder; None where they are not here, or it was written by a newer version than `to`."""
    try:
        major = int((data / "PG_VERSION").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    if major >= to.major or not all(Path(to.program(name)).is_file() for name in PROGRAMS):
        return None
    return next((binaries for binaries in all_binaries() if binaries.major == major), None)


def move(data: Path, former: Binaries, cluster: Cluster, binaries: Binaries) -> None:
    """Make `cluster` with all that is in `data`, compare the two, and set `data` aside. Raises EmbeddedFailed.

    A kill leaves `data` as it was, and the next call begins again: the new folder gets its name when it is whole.
    """
    account = account_for(data)
    old, new = Cluster(data, cluster.transport), Cluster(cluster.data.with_name(f"{cluster.data.name}.moving"), cluster.transport)
    _refuse_in_use(old)
    _require_room(data)
    log.warning("the store is moved from PostgreSQL %s to %s; this may take a while", former.major, binaries.major)
    dump = old.run_folder / DUMP
    try:
        counts = _at_work(old, former, account, lambda: _dump(old, binaries, account))
        if new.server_lives():
            new.stop(binaries, account)
        shutil.rmtree(new.data, ignore_errors=True)
        new.create(binaries, account)
        moved = _at_work(new, binaries, account, lambda: _restore(new, binaries, account))
    finally:
        for path in (dump, old.run_folder / PASSWORDS):
            path.unlink(missing_ok=True)
    if moved != counts:
        differing = next(name for name in {**counts, **moved} if counts.get(name) != moved.get(name))
        raise EmbeddedFailed(
            f"The store was not moved whole: {differing} has {moved.get(differing)} rows and should have {counts.get(differing)}.",
            hint=f"{data} is as it was. Start the former version of mcp-messenger again, and take a backup.",
        )
    new.data.rename(cluster.data)
    kept = data.with_name(FORMER + data.name)
    with suppress(OSError):
        data.rename(kept)
    log.warning("the store was moved to PostgreSQL %s and compared; the former one is kept in %s: remove it when all is well", binaries.major, kept)


def _refuse_in_use(cluster: Cluster) -> None:
    """Raise EmbeddedFailed while a process of the former version works on the folder. A server that a killed process left has no users."""
    from psycopg import Connection, OperationalError

    running = cluster.running()
    if running is None or not cluster.server_lives():
        return
    try:
        with Connection.connect(cluster.url(running), autocommit=True) as connection:
            is_alone = connection.execute(TAKE_ALONE, {"users": EMBEDDED_USERS}).fetchall()[0][0]
    except OperationalError:
        is_alone = True  # it is going down
    if not is_alone:
        raise EmbeddedFailed(
            f"Another process uses the store in {cluster.data} with its version of PostgreSQL, so it cannot be moved to this one.",
            hint="Stop the former version of mcp-messenger; this one goes on by itself then.",
        )


def _require_room(data: Path) -> None:
    size = sum(file.stat().st_size for file in data.rglob("*") if file.is_file())
    free = shutil.disk_usage(data).free
    if free < 2 * size:
        raise EmbeddedFailed(
            f"There is no room to move the store to a new version of PostgreSQL: {2 * size >> 20} MB are needed, and {free >> 20} MB are free.",
            hint=f"Make room on the disk of {data.parent}; it goes on by itself then.",
            reason=Reason.DISK_FULL,
        )


def _at_work(cluster: Cluster, binaries: Binaries, account: Account, work: Callable[[], None]) -> Mapping[str, int]:
    """Run the server of the folder for the work, and stop it; return the rows of each table afterwards."""
    from psycopg import Connection
    from psycopg.sql import SQL, Identifier

    if not cluster.server_lives():
        cluster.clear_stale(account)
        cluster.start(binaries, account)
    try:
        work()
        running = cluster.running()
        assert running is not None
        with Connection.connect(cluster.url(running), autocommit=True) as connection:
            counts: dict[str, int] = {}
            for schema, table in connection.execute(TABLES).fetchall():
                statement: Composed = SQL("SELECT count(*) FROM {}").format(Identifier(schema, table))
                counts[f"{schema}.{table}"] = connection.execute(statement).fetchall()[0][0]
            return counts
    finally:
        cluster.stop(binaries, account)


def _dump(cluster: Cluster, binaries: Binaries, account: Account) -> None:
    account.run(
        binaries.program("pg_dump"), "--format=custom", "--compress=0", f"--file={DUMP}", f"--dbname={_address(cluster, account)}",
        log=cluster.log, timeout=LONGEST,
    )  # fmt: skip


def _restore(cluster: Cluster, binaries: Binaries, account: Account) -> None:
    account.run(
        binaries.program("pg_restore"),
        "--exit-on-error",
        "--no-owner",
        f"--dbname={_address(cluster, account)}",
        DUMP,
        log=cluster.log,
        timeout=LONGEST,
    )


def _address(cluster: Cluster, account: Account) -> str:
    """For PostgreSQL's own programs, without the password: everybody on this machine can read a command line."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    running = cluster.running()
    assert running is not None
    parts = conninfo_to_dict(cluster.url(running))
    password = parts.pop("password", None)
    if password is not None:
        passwords = cluster.run_folder / PASSWORDS
        passwords.touch(mode=0o600)
        passwords.write_text(f"*:*:*:{USER}:{password}\n", encoding="utf-8")
        account.give(passwords)
        parts["passfile"] = PASSWORDS
    return make_conninfo("", **parts)
