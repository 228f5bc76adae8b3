"""The command line: what it prints, when it refuses, and how it ends."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psycopg
import pytest

from mcp_messenger.commands.arguments import parser
from mcp_messenger.version import __version__
from tests.program import PATIENCE, ROOT, environment, program

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
SCRIPT = Path(sys.executable).with_name("mcp-messenger.exe" if sys.platform == "win32" else "mcp-messenger")


def ran(env: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mcp_messenger", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path / "data")


def test_its_version(env: dict[str, str]) -> None:
    done = ran(env, "--version")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, __version__, "")


def test_its_help(env: dict[str, str]) -> None:
    done = ran(env, "--help")
    assert done.returncode == 0
    for word in ("serve", "demo", "token", "--mode", "telegram-api", "--telegram-bot-token", "--read-only"):
        assert word in done.stdout


def test_help_of_a_command_shows_its_own_options_alone(capsys: pytest.CaptureFixture[str]) -> None:
    shown: dict[str, set[str]] = {}
    for name in re.findall(r"^    ([a-z]+)(?: |$)", parser().format_help(), re.MULTILINE):
        with pytest.raises(SystemExit):
            parser().parse_args([name, "--help"])
        shown[name] = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert shown["purge"] == {"--help", "--json", "--url"}
    assert shown["restore"] == {"--help", "--json", "--data-dir", "--check", "--take-over", "--without-containers", "--force"}
    assert [name for name, options in shown.items() if "--telegram-bot-token" in options] == []
    assert "--port" in shown["serve"]
    assert parser().parse_args(["ps", "--port", "3001"]).port == 3001


@pytest.mark.parametrize(
    "arguments",
    [
        ("sing",),
        ("--mode", "carrier-pigeon"),
        ("serve", "--port", "many"),
        ("serve", "--port", "70000"),
        ("serve", "bob"),
        ("--unheard-of",),
        ("serve", "--log-level", "NOISY"),
    ],
)
def test_wrong_arguments(env: dict[str, str], arguments: tuple[str, ...]) -> None:
    done = ran(env, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert arguments[-1] in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.endswith("--help' shows what there is.\n")
    assert done.stderr.count("\n") == 2


@pytest.mark.parametrize(
    ("arguments", "meant"), [(("serv",), "serve"), (("serve", "--prot", "3000"), "--port"), (("send", "--repply-to=1", "a", "b"), "--reply-to")]
)
def test_a_misspelt_word_is_told_with_the_one_it_may_mean(env: dict[str, str], arguments: tuple[str, ...], meant: str) -> None:
    done = ran(env, *arguments)
    assert (done.returncode, f"Is {meant} meant?" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "variables", "said", "hint"),
    [
        (("serve", "--host", "0.0.0.0"), {}, "Listening on 0.0.0.0", "MCP_MESSENGER_ADMIN_TOKEN"),
        (("serve",), {"MCP_MESSENGER_PUBLIC_URL": "https://bot.example"}, "bot.example", "MCP_MESSENGER_ADMIN_TOKEN"),
        (("serve",), {"MCP_MESSENGER_PORT": "many"}, "MCP_MESSENGER_PORT", "from 0 to 65535"),
        (("serve",), {"MCP_MESSENGER_ALLOW_NETWORKS": "here"}, "MCP_MESSENGER_ALLOW_NETWORKS", "10.1.0.0/16"),
        (("serve", "--toolsets", "hammers"), {}, "hammers", "default, all"),
        (("--mode", "telegram-api"), {}, "No bot token", "TELEGRAM_BOT_TOKEN"),
        (("token",), {}, "Whose token", "token USER"),
    ],
)
def test_a_refusal_tells_the_next_step(env: dict[str, str], arguments: tuple[str, ...], variables: dict[str, str], said: str, hint: str) -> None:
    done = ran({**env, **variables}, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert hint in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        for arguments in (("serve", "--port", port), ("--mode", "sandbox-api", "--api-port", port)):
            done = ran(env, *arguments)
            assert done.returncode == 1
            assert f"Port {port} of 127.0.0.1 cannot be used" in done.stderr
            assert f"another with {arguments[-2]}." in done.stderr
            assert "Traceback" not in done.stderr
    assert not Path(env["MCP_MESSENGER_DATA_DIR"]).exists()


@pytest.mark.parametrize("place", ["a file", "below a file", "proc"])
def test_a_data_folder_that_cannot_be_made_is_refused_at_the_start(env: dict[str, str], tmp_path: Path, place: str) -> None:
    file = tmp_path / "a file"
    file.touch()
    folder = {"a file": file, "below a file": file / "data", "proc": Path("/proc/mcp-messenger")}[place]
    if place == "proc" and not Path("/proc").is_dir():
        pytest.skip("there is no /proc")
    done = ran({**env, "MCP_MESSENGER_DATA_DIR": str(folder)}, "serve", "--port", "0")
    assert done.returncode == 1
    assert f"The data folder {folder} cannot be made" in done.stderr
    assert "MCP_MESSENGER_DATA_DIR" in done.stderr


def test_a_database_url_that_cannot_be_read(env: dict[str, str]) -> None:
    done = ran({**env, "DATABASE_URL": "not a url with FAKE-PASSWORD"}, "token", "ann")
    assert done.returncode == 1
    assert "DATABASE_URL cannot be read" in done.stderr
    assert "FAKE-PASSWORD" not in done.stderr
    assert "Traceback" not in done.stderr


def leases(database_url: str) -> list[tuple[str, bool]]:
    """(instance, whether somebody holds it)."""
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT instance_id::text, expires_at > now() FROM leases WHERE instance_id <> owner").fetchall()


@pytest.fixture
def stored(tmp_path: Path, database_url: str) -> dict[str, str]:
    return environment(tmp_path / "data", database_url, MCP_MESSENGER_ADMIN_TOKEN="a-fake-admin-token")


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_it_says_how_to_reach_it_and_stops_cleanly(stored: dict[str, str], database_url: str, number: signal.Signals) -> None:
    admin = {"Authorization": "Bearer a-fake-admin-token"}
    with program(["serve", "--port", "0"], stored) as running, httpx.Client(base_url=running.url, headers=admin, trust_env=False) as client:
        over_http, over_stdio = (json.loads(text) for text in re.findall(r"^\{.*?^\}", running.said, re.DOTALL | re.MULTILINE))
        server = over_http["mcpServers"]["messenger"]
        assert (server["type"], server["url"]) == ("http", f"{running.url}/mcp")
        assert "Authorization" in server["headers"]
        assert over_stdio["mcpServers"]["messenger"]["command"] == str(SCRIPT)
        assert "a-fake-admin-token" not in running.said

        made = client.post("/api/v1/instances", json={"provider": "sandbox", "credentials": {"auto_scan": True, "page": False}}).json()
        instance_id = made["instance_id"]
        with client.stream("GET", f"/api/v1/events/stream?instance_id={instance_id}") as events:
            next(events.iter_lines())
            assert leases(database_url) == [(instance_id, True)]
            began = time.monotonic()
            assert running.stop(number) == 0
        assert time.monotonic() - began < 4
    assert leases(database_url) == [(instance_id, False)]
    assert "Traceback" not in running.log.read_text()


def test_a_token_for_a_user(stored: dict[str, str], database_url: str) -> None:
    """Made while the server runs, which keeps its instances."""
    admin = {"Authorization": "Bearer a-fake-admin-token"}
    with program(["serve", "--port", "0"], stored) as running, httpx.Client(base_url=running.url, trust_env=False) as client:
        settings = {"auto_scan": True, "page": False}
        body = {"provider": "sandbox", "user_id": "ann", "credentials": settings}
        instance_id = client.post("/api/v1/instances", json=body, headers=admin).json()["instance_id"]
        client.post("/api/v1/instances", json={**body, "user_id": "bob"}, headers=admin)
        done = ran(stored, "token", "ann")
        assert done.returncode == 0
        (token,) = done.stdout.split()
        listed = client.get("/api/v1/instances", headers={"Authorization": f"Bearer {token}"}).json()["instances"]
        assert [row["id"] for row in listed] == [instance_id]
        assert token not in done.stderr
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM leases WHERE epoch > 1").fetchone() == (0,)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder whose own `db` is not ours."""
    folder = tmp_path / "somewhere"
    folder.mkdir()
    (folder / "db.py").write_text("print('I was run')\n")
    return folder


def test_a_foreign_package_of_the_same_name_is_not_run(hostile: Path, env: dict[str, str]) -> None:
    env = {**env, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mcp_messenger", "--version"]
    done = subprocess.run(command, cwd=hostile, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "I was run" not in done.stdout
    assert f"the package 'db' would come from {hostile / 'db.py'}" in done.stderr
    assert "PYTHONSAFEPATH=1" in done.stderr
    safe = subprocess.run(command, cwd=hostile, env={**env, "PYTHONSAFEPATH": "1"}, capture_output=True, text=True, check=False)
    assert (safe.returncode, safe.stdout.strip()) == (0, __version__)


def test_the_console_script_does_not_look_into_the_folder(hostile: Path, tmp_path: Path, env: dict[str, str]) -> None:
    """As installers write it: of the folder it is started in nothing is on the path."""
    script = tmp_path / "bin" / "mcp-messenger"
    script.parent.mkdir()
    script.write_text("import sys\nfrom mcp_messenger.__main__ import main\nsys.exit(main())\n")
    command = [sys.executable, str(script), "--version"]
    done = subprocess.run(command, cwd=hostile, env={**env, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, __version__)
