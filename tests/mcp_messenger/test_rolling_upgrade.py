"""Servers are replaced one by one: the program of before the newest migration works beside a migrated database, and again after a way back."""

import io
import secrets
import subprocess
import sys
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from db.migrate import packaged
from tests.mcp_messenger.test_cli import ran
from tests.program import PATIENCE, ROOT, environment, program
from tests.stored import rows
from tests.waiting import until_blocking

NEWEST = packaged()[-1]
VERSIONS = "db/migrations/versions"


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout


def migrations_of(commit: str) -> list[str]:
    names = git("ls-tree", "--name-only", commit, f"{VERSIONS}/").decode().split()
    return [Path(name).stem for name in names if not name.endswith("_rollback.sql")]


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the newest program that has all migrations but the newest one."""
    try:
        commits = git("log", "--format=%H", "--", VERSIONS).decode().split()
        commit = next((commit for commit in ["HEAD", *commits] if migrations_of(commit) == packaged()[:-1]), None)
        if commit is None:
            pytest.skip(f"this checkout has no history of before {NEWEST}")
        content = git("archive", commit, "mcp_messenger", "db", "providers", "pyproject.toml")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the history of this checkout is not here: {getattr(error, 'stderr', b'').decode().strip() or error}")
    folder = tmp_path_factory.mktemp("former")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    return folder


class Old:
    """A server of the former program. `url` is where it answers."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process = process
        self.client = httpx.Client(base_url=f"{url}/api/v1", trust_env=False, timeout=60)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE)


@contextmanager
def old_server(folder: Path, env: dict[str, str], log: Path) -> Generator[Old]:
    command = [sys.executable, "-m", "mcp_messenger", "serve", "--port", "0"]
    with log.open("w") as stderr, subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        try:
            assert process.stdout is not None
            said = next((line for line in process.stdout if "/mcp" in line), None)
            assert said is not None, log.read_text()
            yield Old(process, said.split()[-1].removesuffix("/mcp"))
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE)


def sandbox(client: httpx.Client) -> str:
    made = client.post("/instances", json={"provider": "sandbox", "credentials": {"auto_scan": True, "page": False}}).raise_for_status().json()
    until_blocking(lambda: client.get(f"/instances/{made['instance_id']}/auth-status").json()["state"] == "ready")
    return made["instance_id"]


def sends(client: httpx.Client, instance_id: str, text: str) -> None:
    sent = client.post(f"/instances/{instance_id}/send", json={"to": "ann", "message": text}).raise_for_status().json()
    assert sent["status"] in {"sent", "delivered", "read"}


def texts(client: httpx.Client, instance_id: str) -> set[str]:
    return {message["text"] for message in client.get(f"/instances/{instance_id}/messages/ann").raise_for_status().json()["messages"]}


def test_the_former_program_works_beside_this_one_and_after_a_way_back(former: Path, empty_database_url: str, tmp_path: Path) -> None:
    key = {"MCP_MESSENGER_SECRET_KEY": secrets.token_hex(32), "MCP_MESSENGER_PORTS": "0"}
    old_env = environment(tmp_path / "old", empty_database_url, **key) | {"PYTHONPATH": str(former)}
    env = environment(tmp_path / "new", empty_database_url, **key)
    with old_server(former, old_env, tmp_path / "old.log") as old:
        theirs = sandbox(old.client)
        assert NEWEST not in {row[0] for row in rows(empty_database_url, "SELECT version FROM schema_migrations")}
        sends(old.client, theirs, "before")
        with program(["serve", "--port", "0"], env) as new, httpx.Client(base_url=f"{new.url}/api/v1", trust_env=False, timeout=60) as client:
            until_blocking(lambda: rows(empty_database_url, f"SELECT 1 FROM schema_migrations WHERE version = '{NEWEST}'"))
            # Statements that were prepared before the migration, and new ones; what the other one runs, and what it runs itself.
            ours = sandbox(client)
            for speaker, name in ((old.client, "old"), (client, "new")):
                for instance_id in (theirs, ours):
                    sends(speaker, instance_id, f"said to the {name} one")
            for reader in (old.client, client):
                assert {"before", "said to the old one", "said to the new one"} <= texts(reader, theirs)
                assert {"said to the old one", "said to the new one"} <= texts(reader, ours)
                assert reader.get("/search", params={"query": "said"}).raise_for_status()
                assert reader.get("/catch-up").raise_for_status()
            assert old.stop() == 0
            sends(client, theirs, "after the old one")
            assert new.stop() == 0
    assert "Traceback" not in (tmp_path / "old.log").read_text()
    back = ran(env, "migrate", "--to", packaged()[-2])
    assert back.returncode == 0, back.stderr
    with old_server(former, old_env, tmp_path / "again.log") as old:
        until_blocking(lambda: old.client.get(f"/instances/{ours}/auth-status").json()["state"] == "ready")
        assert "after the old one" in texts(old.client, theirs)
        sends(old.client, ours, "back again")
        assert old.stop() == 0
    forth = ran(env, "migrate")
    assert f"applied: {NEWEST}" in forth.stdout
