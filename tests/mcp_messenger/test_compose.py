"""The compose file for development, and the testing guide's scripts against it as they are written.

Other than written are only addresses, ports and names of containers, how long they sleep, and two providers: whatsappweb is the sandbox in a
container here, and telegram talks to nobody.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker.errors
import httpx
import pytest

from tests.docker_engine import SOCKET, base_arguments
from tests.program import ROOT
from tests.system_postgres import free_port
from tests.waiting import until_blocking

pytestmark = pytest.mark.timeout(900)

FOLDER = ROOT / "tests" / "compose"
PROJECT = f"mcp-messenger-test-{os.getpid()}"
FILE = "docker-compose.instance-manager.yml"
IMAGE = "mcp-messenger-test-compose:latest"
POSTGRES = "mcp-messenger-test-postgres:latest"
LOCAL_DEBIAN = "local/debian:trixie"

# Until the manager answers and no instance is on its way any more, but not for ever: a messenger may be out of reach.
SLEEP = """#!/bin/sh
for _ in $(seq 100); do
  curl -sf {url}/health >/dev/null && ! curl -s {url}/api/v1/instances | grep -Eq '"status":"(created|processing|starting)"' && exit 0
  /bin/sleep 0.2
done
"""


@dataclass(frozen=True)
class Compose:
    folder: Path
    url: str

    def run(self, *command: str) -> str:
        """What it printed. Its environment is that of a shell which has read .env."""
        setting = [line.split("=", 1) for line in (self.folder / ".env").read_text().splitlines() if "=" in line and not line.startswith("#")]
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        env = {**os.environ, **dict(setting), "PATH": path, "DOCKER_BUILDKIT": "0"}
        env["TELEGRAM_BOT_TOKEN"] = "123456789:TELEGRAM_BOT_TOKEN_EXAMPLE"
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self) -> None:
        self.run("docker", "compose", "-f", FILE, "up", "-d", "--build", "--wait")

    def script(self, name: str, *arguments: str) -> str:
        text = (FOLDER / name).read_text()
        for written, here in {
            "http://localhost:3000": self.url,
            "wweb-mcp-instance-manager-1": f"{PROJECT}-instance-manager-1",
            '"provider": "whatsappweb"': '"provider": "sandbox", "runtime": "docker"',
            '"provider": "telegram",': '"provider": "telegram", "credentials": {"base_url": "http://127.0.0.1:9"},',
        }.items():
            text = text.replace(written, here)
        script = self.folder / name
        script.write_text(text)
        return self.run("bash", str(script), *arguments)


@pytest.fixture(scope="module")
def compose(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Generator[Compose]:
    """A copy of the sources and of the compose files, with a .env of its own; nothing of it runs yet."""
    if shutil.which("docker") is None or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("docker compose is not installed")
    if shutil.which("curl") is None or shutil.which("jq") is None:
        pytest.skip("the guide's scripts need curl and jq")
    root, port = tmp_path_factory.mktemp("checkout"), free_port()
    for name in ("Dockerfile", ".dockerignore", "pyproject.toml", "requirements.lock", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, root)
    for room in ("providers", "db", "mcp_messenger", "examples"):
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    folder, url = root / "examples" / "compose", f"http://localhost:{port}"
    settings = {
        "COMPOSE_PROJECT_NAME": PROJECT,
        "DOCKER_GID": str(SOCKET.stat().st_gid),
        "MCP_MESSENGER_DOCKER_IMAGE": IMAGE,
        "MANAGER_PORT": str(port),
        # One port for an instance's own address: the default range may be in use on this machine.
        "MCP_MESSENGER_PORTS": f"{(own := free_port())}-{own}",
        **base_arguments(engine),
        **_postgres(engine),
    }
    development = (folder / "env.development").read_text()
    (folder / ".env").write_text(development + "".join(f"{name}={value}\n" for name, value in settings.items()))
    (folder / "bin").mkdir()
    sleep = folder / "bin" / "sleep"
    sleep.write_text(SLEEP.format(url=url))
    sleep.chmod(0o755)
    made = Compose(folder, url)
    yield made
    made.run("docker", "compose", "-f", FILE, "down", "--volumes", "--remove-orphans")
    with suppress(docker.errors.APIError):
        # Another test process may be using it.
        engine.remove_image(IMAGE)


def _postgres(engine: Any) -> dict[str, str]:
    """One of our own where the official image cannot be had."""
    try:
        engine.inspect_image(LOCAL_DEBIAN)
    except docker.errors.NotFound:
        return {}
    arguments = ["--build-arg", f"DEBIAN_IMAGE={LOCAL_DEBIAN}", "-t", POSTGRES, "-f", str(FOLDER / "postgres.Dockerfile"), str(FOLDER)]
    env = {**os.environ, "DOCKER_BUILDKIT": "0"}
    built = subprocess.run(["docker", "build", "-q", *arguments], env=env, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return {"POSTGRES_IMAGE": POSTGRES}


@pytest.fixture
def running(compose: Compose) -> Compose:
    compose.up()
    return compose


def test_the_guides_end_to_end_script(compose: Compose, engine: Any) -> None:
    said = compose.script("test-e2e-complete.sh")
    assert "✅ WhatsApp статус: qr_ready" in said
    assert "✅ WhatsApp память: qr_ready" in said
    assert "✅ Telegram статус: degraded" in said
    assert "✅ Статистика памяти: 2" in said
    assert "E2E тест завершен успешно" in said
    assert [one["Names"] for one in engine.containers(all=True) if PROJECT in str(one["Names"])] == []


def test_the_guides_lifecycle_script(running: Compose) -> None:
    said = running.script("test-instance-lifecycle.sh")
    assert said.count('"qr_ready"') == 2
    assert "Тест завершен успешно" in said


def test_the_guides_diagnose_script(running: Compose) -> None:
    said = running.script("diagnose-system.sh")
    assert "❌" not in said
    assert '"status": "healthy"' in said
    assert '"docker": "ok"' in said
    assert "(1 row)" in said


def test_the_guides_migration_script_with_and_without_rollback(running: Compose) -> None:
    said = running.script("test-database-migration.sh")
    assert "INSERT 0 1" in said
    assert "ERROR" not in said
    assert "whatsappweb |     1" in said
    said = running.script("test-database-migration.sh", "test-rollback")
    after = said.partition("Проверка после rollback:")[2]
    assert ("message_instances" in after, "telegram_instances" in after) == (True, False)
    assert httpx.get(f"{running.url}/health", trust_env=False).json()["status"] == "healthy"


def test_who_comes_through_the_published_port_needs_no_token_and_a_neighbour_does(running: Compose) -> None:
    assert httpx.get(f"{running.url}/api/v1/instances", trust_env=False).status_code == 200
    neighbour = ["docker", "run", "--rm", "--network", f"{PROJECT}_store", "--entrypoint", "python3", IMAGE, "-c", NEIGHBOUR]
    assert running.run(*neighbour).split() == ["401", "200"]
    assert "psql" in running.run("docker", "exec", f"{PROJECT}-instance-manager-1", "psql", "--version")
    # As in production, where the shell that asks has no address, and the container has DATABASE_URL alone.
    without = [option for name in ("PGHOST", "PGUSER", "PGPASSWORD", "PGDATABASE") for option in ("-e", f"{name}=")]
    said = running.run("docker", "exec", *without, f"{PROJECT}-instance-manager-1", "psql", "-At", "-c", "SELECT current_user")
    assert said.strip() == "messenger"
    assert running.run("docker", "exec", f"{PROJECT}-instance-manager-1", "id", "-u").strip() == "10001"


def test_the_manager_has_no_engine_and_instances_reach_neither_one_another_nor_the_database(running: Compose, engine: Any) -> None:
    manager = f"{PROJECT}-instance-manager-1"
    mounted = {one["Destination"] for one in engine.inspect_container(manager)["Mounts"]}
    assert mounted == {"/data", "/run/mcp-messenger"}
    body = {"provider": "sandbox", "runtime": "docker", "credentials": {"access_code": "sandbox-fake-access-code", "page": False}}
    with httpx.Client(base_url=running.url, trust_env=False, timeout=60) as client:
        made = [client.post("/api/v1/instances", json=body).json()["instance_id"] for _ in range(2)]
        for id in made:
            until_blocking(lambda of=id: client.get(f"/api/v1/instances/{of}").json()["instance"]["status"] == "ready")
        first, second = [engine.containers(filters={"label": f"mcp-messenger.instance={id}"})[0]["Id"] for id in made]
        relays = [f"{_address(engine, container)}:8080" for container in (first, second)]
        database = f"{_address(engine, f'{PROJECT}-postgres-1')}:5432"
        # Each its own relay, so that an address which is not reached is not so for another reason.
        assert running.run("docker", "exec", first, "python3", "-c", REACHED, *relays, database, "postgres:5432").split() == [relays[0]]
        assert running.run("docker", "exec", second, "python3", "-c", REACHED, *relays, database, "postgres:5432").split() == [relays[1]]
        assert running.run("docker", "exec", manager, "python3", "-c", REACHED, *relays, database).split() == [*relays, database]
        for id in made:
            client.delete(f"/api/v1/instances/{id}").raise_for_status()
    assert engine.networks(filters={"label": f"mcp-messenger.instance={made[0]}"}) == []


def _address(engine: Any, container: str) -> str:
    (network,) = engine.inspect_container(container)["NetworkSettings"]["Networks"].values()
    return network["IPAddress"]


REACHED = """
import socket, sys
for address in sys.argv[1:]:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), 2).close()
        print(address)
    except OSError:
        pass
"""

NEIGHBOUR = """
import http.client
for path in ("/api/v1/instances", "/health"):
    connection = http.client.HTTPConnection("instance-manager", 3000)
    connection.request("GET", path, headers={"Host": "localhost:3000"})
    print(connection.getresponse().status)
"""


def test_the_production_file_demands_what_must_not_be_left_out(compose: Compose, tmp_path: Path) -> None:
    shutil.copy(compose.folder / "docker-compose.instance-manager.production.yml", tmp_path / "compose.yml")
    shutil.copy(compose.folder / "env.production", tmp_path / ".env")

    def config(**filled: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["docker", "compose", "config"], cwd=tmp_path, env={**os.environ, **filled}, capture_output=True, text=True, check=False
        )

    filled = {
        "DATABASE_URL": "postgresql://u:p@db.example:6543/postgres?sslmode=require",
        "DIRECT_DATABASE_URL": "postgresql://u:p@db.example:5432/postgres?sslmode=require",
        "MCP_MESSENGER_ADMIN_TOKEN": "fake-admin-token-of-a-test",
        "MCP_MESSENGER_SECRET_KEY": "fake-secret-key-of-a-test",
        "DOCKER_GID": "999",
    }
    for name in filled:
        refused = config(**{other: value for other, value in filled.items() if other != name})
        assert refused.returncode != 0, name
        assert name in refused.stderr
    taken = config(**filled)
    assert taken.returncode == 0, taken.stderr
    assert "TRUST_GATEWAY" not in taken.stdout
    assert "host_ip: 127.0.0.1" in taken.stdout


def test_a_dollar_in_a_password_comes_through_from_the_production_file(compose: Compose, tmp_path: Path) -> None:
    """Filled in between the quotes that are there, and read by compose and by a shell."""
    shutil.copy(compose.folder / "docker-compose.instance-manager.production.yml", tmp_path / "compose.yml")
    password, token = "fake-$ecret-pa$$word", "fake-$token-of-a-test"
    filled = {
        "DATABASE_URL": f"postgresql://u:{password}@db.example:6543/postgres?sslmode=require",
        "DIRECT_DATABASE_URL": f"postgresql://u:{password}@db.example:5432/postgres?sslmode=require",
        "MCP_MESSENGER_ADMIN_TOKEN": token,
        "MCP_MESSENGER_SECRET_KEY": token,
    }
    text = (compose.folder / "env.production").read_text().replace("DOCKER_GID=", "DOCKER_GID=999")
    for name, value in filled.items():
        assert f"\n{name}=''\n" in text
        text = text.replace(f"\n{name}=''\n", f"\n{name}='{value}'\n")
    (tmp_path / ".env").write_text(text)
    done = subprocess.run(["docker", "compose", "config", "--format", "json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    service = json.loads(done.stdout)["services"]["instance-manager"]
    # Compose writes a dollar twice, so that what it prints can be read again.
    environment = {name: value.replace("$$", "$") for name, value in service["environment"].items()}
    assert {name: environment[name] for name in filled} == filled
    shell = subprocess.run(["sh", "-c", '. ./.env; printf %s "$DATABASE_URL"'], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shell.stdout == filled["DATABASE_URL"]
