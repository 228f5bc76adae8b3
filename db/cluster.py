"""One PostgreSQL data folder: made, started, found, stopped. All of it blocks."""

import hashlib
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

from db.account import Account
from db.binaries import Binaries
from db.errors import EmbeddedFailed

USER = "postgres"
PORT = 5432
"""Part of the socket's name; over TCP a free port is taken instead."""

SOCKET_PATH_LIMIT = 103
"""Bytes, the least that a system of ours takes."""

LOG_LIMIT = 1 << 20

Transport = Literal["socket", "tcp"]
DEFAULT_TRANSPORT: Transport = "tcp" if sys.platform == "win32" else "socket"


class Running(NamedTuple):
    """A server as postmaster.pid names it, which may be gone, or another folder's where this one is a copy."""

    pid: int
    port: int
    socket_folder: str
    """Empty over TCP."""


@dataclass(frozen=True)
class Cluster:
    """The data is in `root`/pgNN. Over a socket whoever may enter its folder is let in; over TCP it takes the password in `root`/run."""

    data: Path
    transport: Transport = DEFAULT_TRANSPORT

    @property
    def run_folder(self) -> Path:
        """The folder of the socket, the password, the lock and the log."""
        return self.data.parent / "run"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.run_folder / "server.log"

    @property
    def _password_file(self) -> Path:
        return self.run_folder / "password"

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    def running(self) -> Running | None:
        """Return the server that postmaster.pid names; None where there is no such file, or it is being written."""
        try:
            lines = self._pid_file.read_text(encoding="utf-8").splitlines()
            return Running(int(lines[0]), int(lines[3]), lines[4])
        except (OSError, ValueError, IndexError):
            return None

    def url(self, running: Running) -> str:
        """Return the server's URL, which carries the password over TCP."""
        if running.socket_folder:
            return f"postgresql://{USER}@/postgres?host={quote(running.socket_folder, safe='')}&port={running.port}"
        password = quote(self._password_file.read_text(encoding="utf-8").strip(), safe="")
        return f"postgresql://{USER}:{password}@127.0.0.1:{running.port}/postgres?sslmode=disable&require_auth=scram-sha-256"

    def owns(self, running: Running) -> bool:
        """Return whether the socket is in a folder of the data's owner: one in the temporary folder may be gone, and another's in its place."""
        try:
            return not running.socket_folder or Path(running.socket_folder).stat().st_uid == self.data.stat().st_uid
        except OSError:
            return False

    def server_lives(self) -> bool:
        """Return whether the process in postmaster.pid is the server of this folder, as far as we may see."""
        import psutil

        running = self.running()
        if running is None:
            return False
        try:
            process = psutil.Process(running.pid)
            return process.name().startswith("postgres") and Path(process.cwd()) == self.data.resolve()
        except psutil.NoSuchProcess:  # or a zombie
            return False
        except psutil.AccessDenied:
            return True

    def is_copied_from(self, other: Path) -> bool:
        """Return whether a server that works on `other` is not this folder's: a copy holds the original's postmaster.pid.

        A folder that is not there under the name that its server knows was renamed, or is seen by the server under another name.
        """
        return other.exists() and not other.samefile(self.data)

    def clear_stale(self, account: Account) -> None:
        """Remove what a dead server left, or another folder's that was copied, where PostgreSQL would take another process for it."""
        import psutil

        running = self.running()
        if running is not None and psutil.pid_exists(running.pid):
            if self.transport == "socket":
                # Of this folder's own socket: where this one is a copy, postmaster.pid names the socket of a server that lives.
                (self._socket_folder(account) / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
            self._pid_file.unlink(missing_ok=True)

    def create(self, binaries: Binaries, account: Account) -> None:
        """Run initdb beside the data folder's place and move the result there: the folder is whole or absent. Raises EmbeddedFailed."""
        unfinished = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account.give(unfinished)
        options = ["--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions", f"--username={USER}"]
        if binaries.major >= 17:  # the plain C locale knows no other letters than ASCII's, so it does not find Ж by ж
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if self.transport == "tcp":
            self._write_password()
            options += ["--auth=scram-sha-256", f"--pwfile={self._password_file}"]
        else:
            options += ["--auth-local=trust", "--auth-host=reject"]
        account.run(binaries.program("initdb"), f"--pgdata={self._seen_from_run(unfinished)}", *options, log=self.log)
        unfinished.rename(self.data)
        _sync_folder(self.data.parent)

    def _write_password(self) -> None:
        # Of a folder of another version, which is being moved into this one.
        if self._password_file.exists():
            return
        descriptor = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32))

    def start(self, binaries: Binaries, account: Account) -> None:
        """Start the server; return when it takes connections. Raises EmbeddedFailed."""
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".old.log"))
        self._write_configuration(binaries, account)
        # pg_ctl hands both names to a shell.
        account.run(
            binaries.program("pg_ctl"), "start", "-w", "-t", "60", "-s", "-D", self._seen_from_run(self.data), "-l", self.log.name, log=self.log
        )  # fmt: skip

    def stop(self, binaries: Binaries, account: Account) -> None:
        """Stop the server, ending its connections. Raises EmbeddedFailed."""
        account.run(binaries.program("pg_ctl"), "stop", "-w", "-t", "60", "-s", "-m", "fast", "-D", self._seen_from_run(self.data), log=self.log)

    def _seen_from_run(self, folder: Path) -> str:
        """A folder beside the run folder, where the programs are run: a name without any of the user's letters."""
        return str(Path("..", folder.name))

    def _write_configuration(self, binaries: Binaries, account: Account) -> None:
        settings = {**SETTINGS, **(SETTINGS_18 if binaries.major >= 18 else {})}
        if self.transport == "tcp":
            settings |= {"listen_addresses": "127.0.0.1", "port": str(self._free_port()), "unix_socket_directories": ""}
        else:
            settings |= {"listen_addresses": "", "port": str(PORT), "unix_socket_directories": _listed(self._socket_folder(account))}
        lines = [f"{name} = '{_escaped(value)}'\n" for name, value in settings.items()]
        # Whole on every start: an upgrade of this program brings its settings with it. Beside its place first: the disk may be full.
        if self._configuration.read_text(encoding="utf-8") == "".join(lines):
            return
        unfinished = self._configuration.with_suffix(".new")
        unfinished.write_text("".join(lines), encoding="utf-8")
        account.give(unfinished)
        unfinished.replace(self._configuration)

    @property
    def _configuration(self) -> Path:
        return self.data / "postgresql.conf"

    def _free_port(self) -> int:
        """The port of last time where it is still free: there may be pools that wait for the server to come back."""
        former = re.search(r"^port = '(\d+)'$", self._configuration.read_text(encoding="utf-8"), re.MULTILINE)
        for port in (int(former[1]) if former else 0, 0):
            with socket.socket() as probe, suppress(OSError):
                if sys.platform != "win32":  # there it would take a port that is in use
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                return probe.getsockname()[1]
        raise EmbeddedFailed("No port is free on 127.0.0.1.")

    def _socket_folder(self, account: Account) -> Path:
        is_short = len(os.fsencode(self.run_folder)) + len(f"/.s.PGSQL.{PORT}") <= SOCKET_PATH_LIMIT
        # libpq takes a comma for the end of one host's name.
        if is_short and "," not in str(self.run_folder):
            return self.run_folder
        ours = private_folder(Path(tempfile.gettempdir()) / f"mcp-messenger-{account.owner}", account)
        return private_folder(ours / hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12], account)


def _listed(folder: Path) -> str:
    """As one entry of a setting that is a list."""
    return '"' + str(folder).replace('"', '""') + '"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def private_folder(path: Path, account: Account) -> Path:
    """Make a folder that only the account may enter. Raises EmbeddedFailed when somebody else made it."""
    # Another program may make it at the same moment; whose it is, is looked at below.
    with suppress(FileExistsError):
        if not os.path.lexists(path):
            path.mkdir(mode=0o700, parents=True)
            account.give(path)
    if sys.platform != "win32":
        if path.lstat().st_uid == os.geteuid() and not path.is_symlink():
            account.give(path)
        found = path.lstat()
        if path.is_symlink() or found.st_uid != account.owner or found.st_mode & 0o077:
            raise EmbeddedFailed(
                f"{path} must be a folder that belongs to user {account.owner} alone.", hint="Start as that user, or remove it and start again."
            )
    return path


def _sync_folder(folder: Path) -> None:
    # Until the folder is on the disk, a power failure could take the data folder's name away, and with it what was stored meanwhile.
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


SETTINGS = {
    "cluster_name": "mcp-messenger",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "default_text_search_config": "pg_catalog.simple",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    # A statement, its parameters or the row in an error's detail would be what people wrote to each other.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
SETTINGS_18 = {"io_method": "sync"}
