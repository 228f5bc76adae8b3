"""A PostgreSQL of our own, for those who set no DATABASE_URL: every process that needs the folder shares one server."""

import errno
import logging
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import anyio
import anyio.to_thread

from db import major_upgrade
from db.account import account_for
from db.advisory_locks import EMBEDDED_USERS
from db.binaries import OVERRIDE, Binaries, find_binaries
from db.cluster import DEFAULT_TRANSPORT, Cluster, Transport, private_folder
from db.connection_settings import forget_libpq_environment
from db.errors import EmbeddedFailed, Reason
from db.filelock import exclusive

if TYPE_CHECKING:
    from psycopg import Connection

logger = logging.getLogger(__name__)

START_TIMEOUT = 90.0
"""Seconds; a server that was killed first replays its log."""

START_ATTEMPTS = 7
"""What is left of a killed server may hold its memory for a while; the pause between attempts doubles."""

CONNECT_TIMEOUT = 5
PAUSE = 0.05
ROOM = 17 * 1024 * 1024
"""Bytes that a server needs to start: a file of its write-ahead log, and a little."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC})
FULL_WORDS = ("No space left on device", "Disk quota exceeded")

JOIN: LiteralString = "SELECT pg_try_advisory_lock_shared(%(users)s)"
LEAVE: LiteralString = "SELECT pg_advisory_unlock_shared(%(users)s)"
DATA_FOLDER: LiteralString = "SELECT current_setting('data_directory')"
TAKE_ALONE: LiteralString = "SELECT pg_try_advisory_lock(%(users)s)"


@dataclass(frozen=True)
class _Use:
    cluster: Cluster
    url: str = field(repr=False)
    session: "Connection[Any]"
    """Holds the shared lock."""


class EmbeddedPostgres:
    """Our use of the server of a folder. The server runs at least until `stop`."""

    def __init__(self, use: _Use) -> None:
        self._use = use

    def __repr__(self) -> str:
        return f"<EmbeddedPostgres in {self._use.cluster.data}>"

    @property
    def url(self) -> str:
        """For psycopg; it may carry a password."""
        return self._use.url

    async def ensure(self) -> None:
        """Start the server again if it died. Its URL stays the same, so a pool recovers by itself. Raises EmbeddedFailed."""
        await anyio.to_thread.run_sync(self._reopen)

    def _reopen(self) -> None:
        former = self._use
        if not former.cluster.data.exists():
            # Another one in its place would be empty, and would look as if everything had been lost.
            raise EmbeddedFailed(
                f"The data folder {former.cluster.data} is gone: it was moved, renamed or removed while the server ran.",
                hint="Put it back, and it goes on by itself; or stop the server and start it with the folder's new place.",
            )
        self._use = _open(former.cluster.data.parent, former.cluster.transport)
        former.session.close()

    async def stop(self) -> None:
        """Give the server up, and end it if nobody else uses it. Close every other connection before. May be called twice."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close)

    def close(self) -> None:
        """`stop`, for callers that may block."""
        cluster, session = self._use.cluster, self._use.session
        if session.closed:
            return
        try:
            with exclusive(_lock_file(cluster), START_TIMEOUT):
                if _is_last(session):
                    cluster.stop(find_binaries(), account_for(cluster.data))
        except (EmbeddedFailed, OSError) as error:
            logger.warning("The embedded PostgreSQL was left running: %s", error)
        finally:
            session.close()


def running_url(data_dir: Path) -> str | None:
    """Return where the server of the folder answers, without using it; None where none runs. It may carry a password. Blocks."""
    from psycopg import Connection, OperationalError

    forget_libpq_environment()
    for data in _data_folders(data_dir.absolute()):
        cluster = Cluster(data)
        running = cluster.running()
        if running is not None and cluster.owns(running):
            try:
                url = cluster.url(running)
                with Connection.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT, application_name="mcp-messenger doctor") as session:
                    if _is_of(cluster, session):
                        return url
            except (OperationalError, OSError):
                pass
    return None


async def start_embedded(data_dir: Path) -> EmbeddedPostgres:
    """Join the server of the folder, or start it, or make it first. Raises EmbeddedFailed."""
    # Here and not in the thread: a module that a thread is still importing is found half made by those who import parts of it meanwhile.
    import psycopg  # noqa: F401  # pyright: ignore[reportUnusedImport]

    return await anyio.to_thread.run_sync(open_embedded, data_dir)


def open_embedded(data_dir: Path, transport: Transport = DEFAULT_TRANSPORT) -> EmbeddedPostgres:
    """`start_embedded`, for callers that may block."""
    forget_libpq_environment()
    _refuse_control_characters(data_dir)
    return EmbeddedPostgres(_open(data_dir.absolute(), transport))


def _open(root: Path, transport: Transport) -> _Use:
    found = [Cluster(data, transport) for data in _data_folders(root)]
    if len(found) == 1 and (joined := _join(found[0])):
        return joined
    try:
        return _create_or_start(root, transport)
    except TimeoutError as error:
        raise EmbeddedFailed(f"Another process has been starting the embedded PostgreSQL for {START_TIMEOUT:g} s.") from error
    except OSError as error:
        if error.errno in FULL:
            raise _disk_full(root) from error
        raise EmbeddedFailed(f"The folder of the embedded PostgreSQL cannot be used: {error}.") from error
    except EmbeddedFailed as error:
        if error.reason is not Reason.DISK_FULL and _is_full(root, error):
            raise _disk_full(root) from error
        raise


def _is_full(root: Path, error: EmbeddedFailed) -> bool:
    """Whether the disk was full when the server did not start. On a full disk even its log may be without the reason."""
    if any(words in str(error) for words in FULL_WORDS):
        return True
    try:
        return shutil.disk_usage(root).free < ROOM
    except OSError:
        # The folder was not made: something else is the matter.
        return False


def _disk_full(root: Path) -> EmbeddedFailed:
    return EmbeddedFailed(
        f"The disk is full: the embedded PostgreSQL has no room in {root}.",
        hint="Make room on that disk; it goes on by itself then.",
        reason=Reason.DISK_FULL,
    )


def _create_or_start(root: Path, transport: Transport) -> _Use:
    binaries = find_binaries()
    cluster = Cluster(root / f"pg{binaries.major}", transport)
    _former(cluster, binaries)
    account = account_for(cluster.data)
    root.mkdir(parents=True, exist_ok=True)
    private_folder(cluster.run_folder, account)
    with exclusive(_lock_file(cluster), START_TIMEOUT):
        # Another process may have moved it meanwhile.
        if (former := _former(cluster, binaries)) is not None:
            major_upgrade.move(former[0], former[1], cluster, binaries)
        elif not cluster.data.exists():
            cluster.create(binaries, account)
        return _start(cluster, binaries)


def _start(cluster: Cluster, binaries: Binaries) -> _Use:
    account = account_for(cluster.data)
    deadline = time.monotonic() + START_TIMEOUT
    failures = 0
    while time.monotonic() < deadline:
        if joined := _join(cluster):
            return joined
        if cluster.server_lives():  # it is starting, replaying its log, or shutting down
            time.sleep(PAUSE)
            continue
        cluster.clear_stale(account)
        try:
            cluster.start(binaries, account)
        except EmbeddedFailed as error:
            failures += 1
            if failures == START_ATTEMPTS or _is_full(cluster.data.parent, error):
                raise
            time.sleep(PAUSE * 2**failures)
    raise EmbeddedFailed(f"The embedded PostgreSQL does not answer (see {cluster.log}).", hint="End the process that its postmaster.pid names.")


def _join(cluster: Cluster) -> _Use | None:
    """Connect, and count as a user; None where no server answers, or it is being stopped."""
    from psycopg import Connection, OperationalError

    running = cluster.running()
    if running is None or not cluster.owns(running):
        return None
    try:
        url = cluster.url(running)
        session: Connection[Any] = Connection.connect(
            url, autocommit=True, connect_timeout=CONNECT_TIMEOUT, application_name="mcp-messenger embedded"
        )
        if _is_of(cluster, session) and _value(session, JOIN):
            return _Use(cluster, url, session)
        session.close()
    except (OperationalError, OSError):
        pass
    return None


def _is_of(cluster: Cluster, session: "Connection[Any]") -> bool:
    """Whether the server that answered works on this folder, and not on another one that this is a copy of."""
    served = Path(session.execute(DATA_FOLDER).fetchall()[0][0])
    if cluster.server_lives() or not cluster.is_copied_from(served):
        return True
    logger.warning("%s is a copy of %s, which another server uses; it gets its own server, with the same accounts in it.", cluster.data, served)
    return False


def _is_last(session: "Connection[Any]") -> bool:
    from psycopg import OperationalError

    try:
        return _value(session, LEAVE) and _value(session, TAKE_ALONE)
    except OperationalError:
        return False  # the server is gone already


def _value(session: "Connection[Any]", sql: LiteralString) -> bool:
    return session.execute(sql, {"users": EMBEDDED_USERS}).fetchall()[0][0]


def _refuse_control_characters(folder: Path) -> None:
    """Raise EmbeddedFailed: postmaster.pid holds the name in one line."""
    if any(character < " " for character in str(folder)):
        raise EmbeddedFailed(
            f"The data folder {str(folder)!r} has a line break or another control character in its name.", hint="Choose another folder."
        )


def _lock_file(cluster: Cluster) -> Path:
    return cluster.run_folder / "start.lock"


def _data_folders(root: Path) -> list[Path]:
    return [version.parent for version in root.glob("pg[0-9]*/PG_VERSION") if not version.parent.suffix]


def _former(cluster: Cluster, binaries: Binaries) -> tuple[Path, Binaries] | None:
    """Return the folder that another major version wrote, and its programs, where there is no folder of ours. Raises EmbeddedFailed without them."""
    others = [] if cluster.data.exists() else _data_folders(cluster.data.parent)
    if not others:
        return None
    old = max(others, key=lambda folder: int(folder.name.removeprefix("pg")))
    former = major_upgrade.can_move(old, binaries)
    if former is None:
        raise EmbeddedFailed(
            f"{old} was written by another PostgreSQL than {binaries.major}, which this version uses. Nothing was touched.",
            hint=f"Its programs are needed to move the data over: install PostgreSQL {old.name.removeprefix('pg')} and start again. "
            f"Or start the former version of mcp-messenger, or this one with {OVERRIDE} set to the bin folder of the former PostgreSQL, run "
            "'mcp-messenger backup FILE', and restore the file into another data folder.",
        )
    return old, former
