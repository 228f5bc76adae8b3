"""The daily round in a terminal, each command as a process against one server; and what every command says of itself."""

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_messenger.commands.arguments import parser
from mcp_messenger.commands.client_configuration import clients
from mcp_messenger.commands.manual import commands_of, options_of
from mcp_messenger.commands.terminal import working
from tests.program import PATIENCE, ROOT, Program, environment, program
from tests.waiting import until_blocking

WITHOUT_JSON = {"serve", "demo", "broker", "completion", "man"}
"""They answer nothing that a program would read."""


@pytest.fixture
def env(tmp_path: Path, database_url: str) -> dict[str, str]:
    return environment(tmp_path / "data", database_url)


@pytest.fixture
def server(env: dict[str, str]) -> Generator[Program]:
    with program(["serve", "--port", "0"], env) as running:
        yield running


def test_a_person_reads_answers_and_decides_in_a_terminal(server: Program, env: dict[str, str], tmp_path: Path) -> None:
    api = httpx.Client(base_url=f"{server.url}/api/v1", trust_env=False, timeout=PATIENCE)
    body = {"provider": "sandbox", "name": "Shop", "credentials": {"auto_scan": True, "page": False}}
    id = api.post("/instances", json=body).json()["instance_id"]
    until_blocking(lambda: api.get(f"/instances/{id}/auth-status").json()["state"] == "ready")

    def ran(*arguments: str, stdin: str = "", code: int = 0) -> str:
        command = [sys.executable, "-m", "mcp_messenger", *arguments, "--url", server.url]
        done = subprocess.run(command, cwd=ROOT, env=env, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    def answered(*arguments: str, stdin: str = "") -> Any:
        return json.loads(ran(*arguments, "--json", stdin=stdin))

    assert ran("chats", "Shop", "--unread") == "Nothing is unread.\n"
    assert ran("send", "Shop", "ann", "Can you hear me?").endswith(": message 1 to ann.\n")
    first, again = (answered("send", "Shop", "ann", "-", "--key", "once", stdin="two\nlines\n") for _ in range(2))
    assert first["message_id"] == again["message_id"]
    (tmp_path / "note.txt").write_text("a file")
    assert answered("send", "Shop", "ann", "see this", "--file", str(tmp_path / "note.txt"))["chat_id"] == "ann"
    until_blocking(lambda: len(api.get(f"/instances/{id}/messages/ann").json()["messages"]) == 6)
    lines = ran("read", "Shop", "ann").splitlines()
    assert "me: Can you hear me?" in lines[0]
    assert "Ann Lee: " in lines[1]
    assert any("two" in line for line in lines)
    assert "    lines" in "\n".join(lines)
    assert any("[document note.txt] see this" in line for line in lines)
    assert len(answered("read", "Shop", "ann", "--limit", "1")["messages"]) == 1
    assert "Ann Lee" in ran("chats", "Shop", "--unread")
    assert answered("chats", "Shop")["chats"][0]["id"] == "ann"
    assert "Give a text" in ran("send", "Shop", "ann", code=1)

    assert "outbound:" in ran("policy", "Shop")
    assert answered("policy", "Shop", "read only", "--trust", "ann")["trusted"] == ["ann"]
    assert answered("policy", "Shop", '{"taint": "strict"}')["policy"]["taint"] == "strict"
    assert "not JSON" in ran("policy", "Shop", "{taint", code=1)
    assert ran("deliveries", "Shop") == "No deliveries.\n"
    assert answered("deliveries", "Shop", "--retry-dead") == {"retried": 0}

    draft = api.post(f"/instances/{id}/drafts", json={"to": "ann", "message": "Dear Ann"}).json()["approval"]
    (waits,) = answered("approve")
    assert waits["approval_id"] == draft["approval_id"]
    assert answered("approve", waits["code"], "--deny")["status"] == "denied"
    key = answered("keys", "create", "for a test")
    assert [one["id"] for one in answered("keys")] == [key["id"]]
    assert answered("keys", "revoke", key["id"]) == {"revoked": key["id"]}
    assert answered("ps")[0]["name"] == "Shop"
    assert answered("purge") == []
    assert answered("logs", "Shop")
    assert answered("qr", "Shop") is None


def test_every_option_has_help_and_every_answer_a_form_for_programs() -> None:
    top = parser()
    for name, command in {"": top, **commands_of(top)}.items():
        actions: list[argparse.Action] = command._actions
        silent = [action.dest for action in actions if not action.help and not isinstance(action.choices, dict)]
        assert silent == [], name
        names = {option for action in options_of(command) for option in action.option_strings}
        assert name in WITHOUT_JSON | {""} or "--json" in names, name
        assert name in {"", "serve"} or not names & {"--host", "--toolsets", "--mode"}, name


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of this kind is Unix's")
def test_what_takes_long_says_on_a_terminal_how_far_it_is() -> None:
    import pty

    leader, follower = pty.openpty()
    shown = ""
    with os.fdopen(follower, "w", encoding="utf-8") as terminal, redirect_stderr(terminal), working("Writing all.backup", lambda: "3.0 MB"):
        while "MB" not in shown:
            shown += os.read(leader, 4096).decode()
    os.close(leader)
    assert re.search(r"Writing all\.backup: [1-9]\d* s 3\.0 MB", shown)
    elsewhere = io.StringIO()
    with redirect_stderr(elsewhere), working("Writing all.backup", lambda: "3.0 MB"):
        pass
    assert elsewhere.getvalue() == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str, tmp_path: Path) -> None:
    made = subprocess.run([sys.executable, "-m", "mcp_messenger", "completion", shell], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (tmp_path / "script").write_text(made)
    asked = {
        "bash": 'COMP_WORDS=(mcp-messenger "$1" "$2"); COMP_CWORD=$3; _mcp_messenger; echo "${COMPREPLY[@]}"',
        "zsh": 'words=(mcp-messenger "$1" "$2"); COMP_WORDS=($words); COMP_CWORD=$3; echo ok',
        "fish": 'complete -C "mcp-messenger $argv[1] $argv[2]"',
    }
    if shutil.which(shell) is None:
        assert ("send" in made, "deliveries" in made) == (True, True)
        pytest.skip(f"{shell} is not here: the script was not run")
    if shell != "bash":
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)
        return

    def completed(*words: str) -> list[str]:
        line = f". {tmp_path / 'script'}\n{asked[shell]}"
        return subprocess.run([shell, "-c", line, shell, *words], capture_output=True, text=True, check=True).stdout.split()

    assert completed("deli", "", "1") == ["deliveries"]
    assert completed("send", "--re", "2") == ["--reply-to"]
    assert completed("completion", "z", "2") == ["zsh"]


def test_the_manual_names_every_command_and_setting() -> None:
    made = subprocess.run([sys.executable, "-m", "mcp_messenger", "man"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in commands_of(parser()):
        assert f"\n.SS {name}" in made
    assert "MCP_MESSENGER_ADMIN_TOKEN" in made
    if shutil.which("man") is not None:
        shown = subprocess.run(
            ["man", "-l", "-"], input=made, capture_output=True, text=True, env={"MANWIDTH": "100", "PATH": "/usr/bin:/bin"}, check=False
        )
        assert "send a text or a file" in shown.stdout.lower().replace("\n", " ") or shown.returncode != 0


def test_what_is_pasted_into_a_client_runs_this_installation() -> None:
    found = clients()
    configured = json.loads(found["Claude Desktop"]["content"])["mcpServers"]["messenger"]
    assert Path(configured["command"]).is_absolute()
    assert found["Claude Code"]["run"].startswith("claude mcp add messenger -- /")
    assert json.loads(found["VS Code"]["run"].split("'")[1])["command"] == configured["command"]
    done = subprocess.run([configured["command"], "--version"], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip()
