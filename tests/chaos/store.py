"""A PostgreSQL that is killed, frozen, filled, made read-only, replaced by its standby, and reached through a pooler that restarts."""

import os
import shutil
import signal
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread
import psutil
import psycopg
import pytest

from db.account import Account, account_for
from db.binaries import Binaries, system_folders
from tests.chaos.clocks import Clock
from tests.refusals import END_OTHERS
from tests.system_postgres import free_port
from tests.waiting import until

DATABASE = "messages"
DISK = "900m"
CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 32MB
fsync = off
jit = off
wal_level = replica
max_wal_senders = 4
wal_sender_timeout = 5s
wal_receiver_status_interval = 1s
min_wal_size = 32MB
max_wal_size = 128MB
wal_keep_size = 32MB
log_min_messages = fatal
"""
ACCESS = "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"
BOUNCER = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 60
max_client_conn = 500
server_login_retry = 1
query_wait_timeout = 10
log_connections = 0
log_disconnections = 0
log_pooler_errors = 0
"""
STREAMS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"


class Server:
    """One PostgreSQL in one folder, which is started again when it dies, as an init system does it."""

    def __init__(self, folder: Path, binaries: Binaries, clock: Clock) -> None:
        self.port = free_port()
        self._folder = folder
        self._data = folder / "data"
        self._binaries = binaries
        self._clock = clock
        folder.mkdir(mode=0o700)
        self._account = account_for(self._data)
        self._account.give(folder)
        self._process: anyio.abc.Process | None = None
        self.is_wanted = True

    @property
    def url(self) -> str:
        """Past the pooler."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def make(self) -> None:
        """Make an empty cluster."""
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        self._run("initdb", f"--pgdata={self._data}", *options)
        self._configure()

    def copy(self, primary: "Server") -> None:
        """Make a standby of the primary."""
        self._run(
            "pg_basebackup", "-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres", "-D", str(self._data), "-R", "-c", "fast", "--no-sync"
        )
        self._configure()

    def _configure(self) -> None:
        (self._data / "postgresql.conf").write_text(CONFIGURATION.format(port=self.port))
        (self._data / "pg_hba.conf").write_text(ACCESS)

    def _run(self, program: str, *arguments: str) -> None:
        self._account.run(self._binaries.program(program), *arguments, log=self._folder / "log")

    async def keep(self) -> None:
        """Run it for as long as it is wanted."""
        while self.is_wanted:
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            command = [*self._account.prefix, self._binaries.program("postgres"), "-D", str(self._data)]
            env = {"PATH": os.environ["PATH"], "LC_ALL": "C", **self._clock.env}
            with (self._folder / "log").open("ab") as log:
                self._process = await anyio.open_process(
                    command, env=env, cwd=self._folder, stdout=log, stderr=log, user=self._account.uid, group=self._account.gid
                )
            try:
                await self._process.wait()
            finally:
                if self._process.returncode is None:
                    self.signal(signal.SIGKILL)
                    with anyio.CancelScope(shield=True):
                        await self._process.wait()
            await until(lambda: not self._has_processes())

    def _has_processes(self) -> bool:
        """Return whether children of the killed one still work in its folder."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cwd() == str(self._data):
                    return True
        return False

    async def until_up(self) -> None:
        """Return when it answers."""
        await until(self.answers)

    def answers(self) -> bool:
        """Return whether it takes connections."""
        with suppress(psycopg.OperationalError), psycopg.connect(self.url.replace(DATABASE, "postgres"), connect_timeout=2):
            return True
        return False

    def execute(self, *statements: str) -> None:
        """Run statements outside a transaction."""
        with psycopg.connect(self.url.replace(DATABASE, "postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def value(self, statement: str) -> object:
        """Return the first column of the first row."""
        with psycopg.connect(self.url.replace(DATABASE, "postgres"), autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()[0][0]

    def end_sessions(self) -> None:
        """End the sessions of everybody else."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(END_OTHERS)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            postmaster = psutil.Process(self._process.pid)
            for process in [postmaster, *postmaster.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    async def end(self) -> None:
        """Kill it for good, and remove it."""
        self.is_wanted = False
        self.signal(signal.SIGKILL)
        if self._process is not None:
            process = self._process
            await until(lambda: process.returncode is not None)
        shutil.rmtree(self._folder, ignore_errors=True)


class Pooler:
    """pgbouncer in transaction mode, before whichever server it is pointed to."""

    def __init__(self, folder: Path, program: str) -> None:
        self.port = free_port()
        self._folder = folder
        folder.mkdir(mode=0o700)
        self._program = program
        self._account: Account = account_for(folder / "nothing")
        self._process: subprocess.Popen[bytes] | None = None
        self._server = 0

    @property
    def url(self) -> str:
        return f"postgresql://anybody@127.0.0.1:{self.port}/{DATABASE}"

    def point(self, server: Server) -> None:
        """Send what comes from now on to this server."""
        self._server = server.port
        (self._folder / "pgbouncer.ini").write_text(BOUNCER.format(server=server.port, port=self.port))
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            command = [*self._account.prefix, self._program, "-q", str(self._folder / "pgbouncer.ini")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Store:
    """What the managers see is the pooler's address; behind it servers come and go."""

    def __init__(self, disk: Path, folder: Path, binaries: Binaries, pooler: Pooler, clock: Clock, *, has_disk: bool) -> None:
        self._disk = disk
        self._binaries = binaries
        self.pooler = pooler
        self.clock = clock
        self.has_disk = has_disk
        """Whether the servers' disk is small, and a separate one, so that it can be filled."""
        self._folder = folder
        self._number = 0
        self.primary = self._new()
        self._tasks: anyio.abc.TaskGroup | None = None

    @property
    def url(self) -> str:
        return self.pooler.url

    def _new(self) -> Server:
        self._number += 1
        return Server(self._disk / f"server-{self._number}", self._binaries, self.clock)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Store"]:
        """Run a primary behind the pooler."""
        self.primary.make()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self.primary.keep)
            await self.primary.until_up()
            self.primary.execute(f"CREATE DATABASE {DATABASE}")
            self.pooler.point(self.primary)
            self.pooler.start()
            try:
                yield self
            finally:
                with anyio.CancelScope(shield=True):
                    self.pooler.kill()
                    await self.primary.end()
                tasks.cancel_scope.cancel()

    async def add_standby(self) -> Server:
        """Return a standby that has every commit which anybody was told of."""
        assert self._tasks is not None
        standby = self._new()
        await anyio.to_thread.run_sync(standby.copy, self.primary)
        self._tasks.start_soon(standby.keep)
        await standby.until_up()
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        await until(lambda: self.primary.value(STREAMS))
        return standby

    async def fail_over(self, standby: Server) -> None:
        """Lose the primary, and go on with the standby."""
        former, self.primary = self.primary, standby
        await former.end()
        standby.execute("SELECT pg_promote()")
        self.pooler.point(standby)

    @contextmanager
    def full(self) -> Generator[None]:
        """Fill the disk meanwhile."""
        ballast = self._disk / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file:
                for size in (1 << 20, 1 << 12):
                    with suppress(OSError):
                        while file.write(b"\0" * size) == size:
                            pass
            yield
        finally:
            ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path) -> Generator[tuple[Path, bool]]:
    """Give a folder on a small disk, and whether it is one: only root can mount it."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "tmpfs", str(disk)]
    is_mounted = shutil.which("mount") is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield disk, is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(disk)], check=True)


@asynccontextmanager
async def store(folder: Path, clock: Clock) -> AsyncGenerator[Store]:
    """A store at work. Skips the test where its programs are not installed."""
    binaries = next((found for found in map(Binaries, system_folders()) if found.complete), None)
    pgbouncer = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if binaries is None or pgbouncer is None:
        pytest.skip("needs PostgreSQL's programs under /usr/lib/postgresql, and pgbouncer")
    with small_disk(folder) as (disk, has_disk):
        made = Store(disk, folder, binaries, Pooler(folder / "pooler", pgbouncer), clock, has_disk=has_disk)
        async with made.running():
            yield made
