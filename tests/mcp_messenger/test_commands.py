"""ps, logs and qr as processes, asking a server that is another process; and what they say where none answers."""

import contextlib
import subprocess
import sys
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from mcp_messenger.commands.ps import short
from mcp_messenger.commands.terminal import table
from tests.mcp_messenger.test_cli import ran
from tests.program import PATIENCE, ROOT, Program, environment, program
from tests.system_postgres import free_port
from tests.waiting import until_blocking

ADMIN_TOKEN = "a-fake-admin-token-for-tests"


@pytest.fixture
def env(tmp_path: Path, database_url: str) -> dict[str, str]:
    return environment(tmp_path / "data", database_url, MCP_MESSENGER_ADMIN_TOKEN=ADMIN_TOKEN)


@pytest.fixture
def server(env: dict[str, str]) -> Generator[Program]:
    with program(["serve", "--port", "0"], env) as running:
        yield running


@pytest.fixture
def api(server: Program) -> Generator[httpx.Client]:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=headers, trust_env=False, timeout=PATIENCE) as client:
        yield client


def made(api: httpx.Client, **credentials: Any) -> str:
    """The id of a new sandbox instance."""
    settings = {"auto_scan": True, "page": False, **credentials}
    return api.post("/instances", json={"provider": "sandbox", "credentials": settings}).raise_for_status().json()["instance_id"]


def until_state(api: httpx.Client, id: str, state: str) -> None:
    until_blocking(lambda: api.get(f"/instances/{id}/auth-status").json()["state"] == state)


@contextlib.contextmanager
def asking(env: dict[str, str], *arguments: str) -> "Generator[subprocess.Popen[str]]":
    """A command that runs on."""
    command = [sys.executable, "-m", "mcp_messenger", *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if words in line:
            return "".join(said)
    assert process.stderr is not None
    raise AssertionError(f"{words!r} did not come: {said} {process.stderr.read()}")


def test_ps_lists_what_there_is(server: Program, api: httpx.Client, env: dict[str, str]) -> None:
    nothing = ran(env, "ps", "--url", server.url)
    assert (nothing.returncode, "No accounts yet" in nothing.stdout) == (0, True)
    id = made(api, account_name="Mary Agent")
    until_state(api, id, "ready")
    done = ran(env, "ps", "--url", server.url)
    assert (done.returncode, done.stderr) == (0, "")
    head, row = done.stdout.splitlines()
    assert head.split()[:6] == ["ID", "NAME", "MESSENGER", "STATE", "RUNTIME", "ACCOUNT"]
    assert row.split()[:7] == [id[:8], "-", "sandbox", "ready", "process", "Mary", "Agent"]


def test_logs_of_an_instance_by_the_beginning_of_its_id(server: Program, api: httpx.Client, env: dict[str, str]) -> None:
    id = made(api)
    until_state(api, id, "ready")
    lines = api.get(f"/instances/{id}/logs", headers={"Accept": "application/json"}).json()["lines"]
    assert lines
    done = ran(env, "logs", id[:6].upper(), "--tail", "1", "--url", server.url)
    assert (done.returncode, done.stdout.splitlines()) == (0, lines[-1:])


def test_logs_go_on_until_the_server_ends(server: Program, api: httpx.Client, env: dict[str, str]) -> None:
    id = made(api)
    until_state(api, id, "ready")
    with asking(env, "logs", id, "--follow", "--url", server.url) as following:
        read_until(following, "state: ready")
        api.post(f"/instances/{id}/stop").raise_for_status()
        read_until(following, "state: stopped")
        server.stop()
        following.wait(PATIENCE)


def test_a_code_is_shown_until_somebody_has_logged_in(server: Program, api: httpx.Client, env: dict[str, str]) -> None:
    id = made(api, auto_scan=False, page=True, account_name="Mary Agent")
    with asking(env, "qr", id[:8], "--url", server.url) as showing:
        first = read_until(showing, "Scan it before")
        assert "▀" in first or "█" in first
        assert "Or type this" not in first
        code = api.post(f"/instances/{id}/pairing-code", json={"phone": "+15550100"}).raise_for_status().json()["pairing_code"]
        assert f"Or type this on the phone: {code}" in read_until(showing, "Scan it before")
        with httpx.Client(trust_env=False, follow_redirects=True) as phone:
            page = phone.get(api.get(f"/instances/{id}/qr", headers={"Accept": "application/json"}).json()["qr"])
            phone.post(f"{page.url}acts", json={"act": "link"}).raise_for_status()
        read_until(showing, "Logged in as Mary Agent.")
        assert showing.wait(PATIENCE) == 0


def test_no_code_is_waited_for_in_vain(server: Program, api: httpx.Client, env: dict[str, str]) -> None:
    id = made(api, auto_scan=False, page=True)
    until_state(api, id, "qr_ready")
    api.post(f"/instances/{id}/stop").raise_for_status()
    done = ran(env, "qr", id, "--url", server.url)
    assert done.returncode == 1
    assert "the instance is stopped" in done.stderr
    assert f"/instances/{id}/start" in done.stderr


def test_the_beginning_of_an_id_must_be_of_one_instance(server: Program, api: httpx.Client, env: dict[str, str]) -> None:
    ids = [made(api) for _ in range(17)]  # two of them begin alike
    beginning = next(id[0] for id in ids if sum(other[0] == id[0] for other in ids) > 1)
    several = ran(env, "logs", beginning, "--url", server.url)
    assert (several.returncode, f"instances begin with '{beginning}'" in several.stderr) == (1, True)
    none = ran(env, "logs", "nothing", "--url", server.url)
    assert (none.returncode, "No instance begins with 'nothing'" in none.stderr, "mcp-messenger ps" in none.stderr) == (1, True, True)


@pytest.mark.parametrize("arguments", [("ps",), ("logs", "abc"), ("qr", "abc")], ids=lambda arguments: arguments[0])
def test_where_no_server_answers(env: dict[str, str], arguments: tuple[str, ...]) -> None:
    done = ran(env, *arguments, "--port", str(free_port()))
    assert (done.returncode, done.stdout) == (1, "")
    assert "No server answers at http://127.0.0.1:" in done.stderr
    assert "mcp-messenger serve" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_is_none_is_not_blamed_on_the_server(env: dict[str, str]) -> None:
    for address in ("nonsense", "ftp://127.0.0.1"):
        done = ran(env, "ps", "--url", address)
        assert (done.returncode, f"'{address}' does not begin with http:// or https://." in done.stderr) == (1, True)


def test_a_token_that_the_server_does_not_know(server: Program, env: dict[str, str]) -> None:
    done = ran({**env, "MCP_MESSENGER_ADMIN_TOKEN": "mm_another-fake-token"}, "ps", "--url", server.url)
    assert done.returncode == 1
    assert "wants a token" in done.stderr
    assert "MCP_MESSENGER_ADMIN_TOKEN" in done.stderr
    assert "mm_another-fake-token" not in done.stderr + done.stdout


class SomethingElse(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>a printer</html>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def printer() -> Generator[str]:
    """The address of a server that is not ours."""
    with HTTPServer(("127.0.0.1", 0), SomethingElse) as other:
        Thread(target=other.serve_forever).start()
        yield f"http://127.0.0.1:{other.server_port}"
        other.shutdown()


def test_what_answers_is_something_else(env: dict[str, str], printer: str) -> None:
    done = ran(env, "ps", "--url", printer)
    assert (done.returncode, "is not mcp-messenger" in done.stderr) == (1, True)


@pytest.mark.parametrize("arguments", [("logs",), ("qr",), ("logs", "x", "--tail", "0"), ("ps", "x"), ("doctor", "x")])
def test_wrong_arguments(env: dict[str, str], arguments: tuple[str, ...]) -> None:
    assert ran(env, *arguments).returncode == 2


def test_ids_are_cut_where_they_still_differ() -> None:
    assert short(["aaaaaaaa-1", "bbbbbbbb-1"]) == 8
    assert short(["aaaaaaaa-1", "aaaaaaaa-2"]) == 10


def test_what_others_wrote_does_not_reach_the_terminal_as_it_is() -> None:
    assert table(["NAME"], [["Ann\x1b[2J\u202e"], [None]]).splitlines() == ["NAME", "Ann[2J", "-"]
