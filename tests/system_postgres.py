"""What other people run: the machine's own PostgreSQL behind TLS, and pgbouncer in transaction mode. Skipped where they are not installed."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
import trustme

from db.account import account_for
from db.binaries import Binaries, system_folders
from db.embedded import EmbeddedPostgres
from tests.postgres import fresh_database, make_template

PASSWORD = "fake password / of ? tests"  # awkward in a URL on purpose

CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
ssl = on
ssl_cert_file = '{folder}/server.crt'
ssl_key_file = '{folder}/server.key'
fsync = off
"""

BOUNCER = """
[databases]
* = host={host} port=5432 user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
log_connections = 0
log_disconnections = 0
"""


@dataclass(frozen=True)
class SystemPostgres:
    """Takes TLS connections only; its certificate is for `localhost`."""

    port: int
    ca: Path
    """The file of the authority that signed its certificate."""

    def url(self, *, host: str = "localhost", **options: str) -> str:
        options = {"hostaddr": "127.0.0.1", "sslmode": "verify-full", "sslrootcert": str(self.ca), **options}
        return f"postgresql://postgres:{quote(PASSWORD, safe='')}@{host}:{self.port}/postgres?{urlencode(options)}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def system_postgres(tmp_path_factory: pytest.TempPathFactory) -> Generator[SystemPostgres]:
    binaries = next((found for found in map(Binaries, system_folders()) if found.complete), None)
    if binaries is None:
        pytest.skip("no PostgreSQL under /usr/lib/postgresql")
    folder = tmp_path_factory.mktemp("system-postgres")
    data, log, ca, port = folder / "data", folder / "log", folder / "ca.crt", free_port()
    account = account_for(data)
    account.give(folder)
    password = folder / "password"
    password.write_text(PASSWORD)
    account.give(password)
    options = ("--username=postgres", "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C")
    account.run(binaries.program("initdb"), f"--pgdata={data}", *options, log=log)
    _write_certificate(folder, ca)
    account.give(folder / "server.key")
    (data / "postgresql.conf").write_text(CONFIGURATION.format(port=port, folder=folder))
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    account.run(binaries.program("pg_ctl"), "start", "-w", "-D", str(data), "-l", str(log), log=log)
    server = SystemPostgres(port, ca)
    make_template(server.url())
    yield server
    account.run(binaries.program("pg_ctl"), "stop", "-w", "-m", "fast", "-D", str(data), log=log)


def _write_certificate(folder: Path, ca_file: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(ca_file))
    certificate = ca.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(str(folder / "server.crt"))
    key = folder / "server.key"
    key.touch(mode=0o600)
    certificate.private_key_pem.write_to_path(str(key))


@pytest.fixture
def system_database_url(system_postgres: SystemPostgres) -> Generator[str]:
    """A fresh migrated database of the machine's own PostgreSQL."""
    with fresh_database(system_postgres.url()) as url:
        yield url


@pytest.fixture(scope="session")
def bouncer_port(embedded: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    folder, port = tmp_path_factory.mktemp("pgbouncer"), free_port()
    account = account_for(folder / "nothing")
    if account.uid is not None:
        pytest.skip("pgbouncer does not run as root, and root cannot have a user namespace here")
    host = parse_qs(urlsplit(embedded.url).query)["host"][0]
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(BOUNCER.format(host=host, port=port))
    with subprocess.Popen([*account.prefix, program, str(configuration)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next((line for line in process.stderr if "process up" in line or "FATAL" in line), "ended")
        assert "process up" in line, line
        # It complains of each client that is cut off, and stands still when nobody reads that.
        with (folder / "pgbouncer.log").open("w") as log:
            reading = threading.Thread(target=shutil.copyfileobj, args=(process.stderr, log))
            reading.start()
            yield port
            process.terminate()
            reading.join()


@pytest.fixture
def pgbouncer(database_url: str, bouncer_port: int) -> str:
    """The URL of `database_url`'s database through pgbouncer in transaction mode."""
    return f"postgresql://anybody@127.0.0.1:{bouncer_port}{urlsplit(database_url).path}"
