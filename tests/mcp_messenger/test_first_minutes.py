"""The first five minutes of somebody new, with an installed environment: what is printed is what to type, and it works as it stands."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from anyio import to_thread
from mcp import Client
from pydantic import SecretStr

from mcp_messenger.checks.finding import Verdict
from mcp_messenger.checks.folder import check_folder
from mcp_messenger.config import Config
from mcp_messenger.net.fetch import words_of
from tests.program import PATIENCE, ROOT, environment, program, telegram_process
from tests.waiting import until_blocking

TOKEN = "1234567890:AAE-fake-token-of-a-test-00000000000"
FIRST_REPLY_WITHIN = 60.0
FIRST_ANSWER_WITHIN = 300.0


@pytest.mark.skipif(shutil.which("sh") is None or shutil.which("curl") is None, reason="needs sh and curl")
def test_from_the_first_start_to_a_reply_of_the_sandbox_by_what_is_printed(tmp_path: Path) -> None:
    began = time.monotonic()
    env = environment(tmp_path / "data", MCP_MESSENGER_ADMIN_TOKEN="a-fake-admin-token-for-tests")
    with program(["serve", "--port", "0"], env) as server:
        # The line that is printed, as it stands, with the token that is set.
        (tried,) = re.findall(r"^Try it:  (.*?)$(?=\n\S)", server.said, re.MULTILINE | re.DOTALL)
        made = subprocess.run(["sh", "-c", tried], env=env, capture_output=True, text=True, timeout=PATIENCE, check=True)
        assert '"instance_id"' in made.stdout

        def ran(*arguments: str) -> str:
            command = [sys.executable, "-m", "mcp_messenger", *arguments, "--url", server.url]
            return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout

        until_blocking(lambda: " ready " in ran("ps"))
        account = ran("ps").splitlines()[1].split()[0]
        assert "message 1 to ann" in ran("send", account, "ann", "Hello Ann, can you hear me?")
        until_blocking(lambda: "Ann Lee:" in ran("read", account, "ann"))
        assert time.monotonic() - began < FIRST_REPLY_WITHIN


@pytest.mark.anyio
async def test_a_telegram_bot_from_its_token_to_an_answered_message_by_the_readme_alone(tmp_path: Path) -> None:
    """Each command that is typed is one of the README's; a client is configured as the server prints it."""
    pytest.importorskip("pty", reason="a terminal of this kind is Unix's")
    from tests.mcp_messenger.test_add_command import at_terminal

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"make run", "mcp-messenger add"} <= {command.strip("`") for command in re.findall(r"^make run|`mcp-messenger add`", readme, re.MULTILINE)}
    began = time.monotonic()
    env = environment(tmp_path / "data")
    with telegram_process() as telegram, program(["serve", "--port", "0"], env) as server:
        telegram.add_bot(TOKEN)
        # It finds the server by itself; only the address of the stand-in is not in the README.
        with at_terminal(env, "add", "--set", f"base_url={telegram.url}") as (terminal, process):
            terminal.until("Messenger: ")
            terminal.types("telegram")
            terminal.until("Token of the bot: ")
            terminal.types("1:a-token-with-a-slip-aaaaaaaaaaaaaaaaaaaa")
            assert "does not know this token" in terminal.until("Token of the bot: ")
            terminal.types(TOKEN)
            terminal.until("Name, for you and your agent")
            terminal.types("Shop")
            assert "Write to the bot in Telegram" in terminal.until("What is new on Telegram?")
            assert await to_thread.run_sync(process.wait) == 0
        (configured,) = re.findall(r'"type": "http",\s+"url": "([^"]+)"', server.said)
        chat = telegram.person(TOKEN, "Ann")
        async with Client(configured) as agent:
            before = (await agent.call_tool("wait_for_messages", {"timeout": 0})).structured_content or {}
            telegram.writes(TOKEN, chat, "Is the lamp still there?")
            heard = await agent.call_tool("wait_for_messages", {"cursor": before["cursor"], "timeout": PATIENCE})
            asked = (heard.structured_content or {})["messages"][0]
            assert asked["text"] == "Is the lamp still there?"
            answer = {"instance_id": asked["instance_id"], "to": asked["chat_id"], "message": "Yes, two of them."}
            assert not (await agent.call_tool("send_message", answer)).is_error
        assert [one["params"]["text"] for one in telegram.sent(TOKEN) if one["method"] == "sendMessage"] == ["Yes, two of them."]
    assert time.monotonic() - began < FIRST_ANSWER_WITHIN


def test_a_server_that_cannot_work_yet_does_not_say_that_it_runs(tmp_path: Path) -> None:
    env = environment(tmp_path / "data", "postgresql://nobody@127.0.0.1:1/nothing")
    with program(["serve", "--port", "0"], env) as server:
        assert "cannot work yet: PostgreSQL does not answer." in server.said
        assert "is running" not in server.said
        # Each reason is said once.
        assert server.process.stdout is not None
        server.stop()
        assert "cannot work yet" not in server.process.stdout.read()
        # Each part of the server meets the same failure.
        assert server.log.read_text().count("PostgreSQL does not answer") == 1


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_run_takes_a_port_and_says_what_it_installs() -> None:
    # Without what a make above this one says in its own output.
    shell = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    for given, wanted in ((("PORT=3210",), "mcp-messenger serve --port 3210"), ((), "mcp-messenger serve")):
        shown = subprocess.run(["make", "-n", "-B", "run", *given], cwd=ROOT, env=shell, capture_output=True, text=True, check=True).stdout
        assert shown.rstrip().splitlines()[-1].strip().endswith(wanted)
    assert "Installing what it needs into .venv" in shown
    assert "--quiet" not in re.findall(r"^.*-r requirements\.lock.*$", shown, re.MULTILINE)[0]
    assert "Without a network that is the reason" in shown


def test_the_doctor_looks_at_the_parents_of_a_folder_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (below,) = check_folder(Config(data_dir=tmp_path / "file" / "data", admin_token=SecretStr("fake")))
    assert (below.verdict, "is no folder" in below.detail) == (Verdict.PROBLEM, True)
    (missing,) = check_folder(Config(data_dir=tmp_path / "new" / "data"))
    assert missing.verdict is Verdict.OK


def test_an_error_without_words_is_told_in_words() -> None:
    assert words_of(httpx.ConnectError("")) == "no connection could be made"
    assert words_of(httpx.ReadTimeout("")) == "it did not answer in time"
    assert words_of(httpx.ConnectError("All connection attempts failed")) == "All connection attempts failed"
