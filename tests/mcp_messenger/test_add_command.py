"""`mcp-messenger add` as a person at a terminal uses it, and as a script does."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from anyio import to_thread

from tests.program import PATIENCE, ROOT, Program, environment, program, telegram_process
from tests.standins.graph_api import GraphStandIn
from tests.waiting import until_blocking

pty = pytest.importorskip("pty", reason="a terminal of this kind is Unix's")
TOKEN = "1234567890:AAE-fake-token-of-a-test-00000000000"


class Terminal:
    """A terminal with one command in it."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self.shown = ""
        self._read = 0

    def until(self, words: str) -> str:
        """Return everything up to these words, from where the last call ended, as soon as they are there."""
        while (at := self.shown.find(words, self._read)) < 0:
            self.shown += os.read(self._leader, 4096).decode(errors="replace")
        before, self._read = self._read, at + len(words)
        return self.shown[before : self._read]

    def types(self, line: str) -> None:
        os.write(self._leader, f"{line}\n".encode())


@contextmanager
def at_terminal(env: dict[str, str], *arguments: str) -> Generator[tuple[Terminal, "subprocess.Popen[bytes]"]]:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "mcp_messenger", *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdin=follower, stdout=follower, stderr=follower, start_new_session=True) as process:
        os.close(follower)
        try:
            yield Terminal(leader), process
        finally:
            process.kill()
            os.close(leader)


@pytest.fixture
def env(tmp_path: Path, database_url: str) -> dict[str, str]:
    return environment(tmp_path / "data", database_url)


@pytest.fixture
def server(env: dict[str, str]) -> Generator[Program]:
    with program(["serve", "--port", "0"], env) as running:
        yield running


def test_a_person_and_a_script_add_accounts(server: Program, env: dict[str, str]) -> None:
    api = httpx.Client(base_url=f"{server.url}/api/v1", trust_env=False, timeout=PATIENCE)
    with telegram_process() as telegram:
        telegram.add_bot(TOKEN)
        with at_terminal(env, "add", "--url", server.url, "--set", f"base_url={telegram.url}") as (terminal, process):
            assert "a phone with WhatsApp" in terminal.until("Messenger: ")
            terminal.types("telegram")
            assert "@BotFather" in terminal.until("Token of the bot: ")
            terminal.types("1:a-token-that-nobody-knows-aaaaaaaaaaaaaaa")
            assert "does not know this token" in terminal.until("Token of the bot: ")
            terminal.types(TOKEN)
            assert "This is Robo." in terminal.until("Name, for you and your agent [Robo]: ")
            terminal.types("Shop")
            assert "Logged in as Robo." in terminal.until("What is new on Telegram?")
            assert process.wait(PATIENCE) == 0
            assert TOKEN not in terminal.shown
        (made,) = api.get("/instances").json()["instances"]
        assert (made["provider"], made["name"]) == ("telegram", "Shop")

        def ran(*arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
            command = [sys.executable, "-m", "mcp_messenger", *arguments, "--url", server.url]
            return subprocess.run(command, cwd=ROOT, env=env, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False)

        wrong = ran("add", "telegram", "--json", stdin=json.dumps({"token": "1:wrong-aaaaaaaaaaaaaaaaaaaaaaaaa", "base_url": telegram.url}))
        assert (wrong.returncode, wrong.stdout, "does not know this token" in wrong.stderr) == (1, "", True)
        added = ran("add", "sandbox", "--name", "Try", "--json", stdin='{"auto_scan": true}')
        assert json.loads(added.stdout)["name"] == "Try"
        until_blocking(lambda: api.get("/instances").json()["instances"][0]["status"] == "ready")
        listed = ran("ps").stdout.splitlines()
        assert [line.split()[1] for line in listed] == ["NAME", "Try", "Shop"]
        # Names do for ids.
        assert ran("logs", "Try", "--tail", "1").returncode == 0
        link = ran("add", "discord", "--link").stdout.strip()
        assert "Add an account of Discord" in httpx.get(link, trust_env=False).text
        page = ran("qr", "Try", "--link").stdout.strip()
        assert "logged in" in httpx.get(page, trust_env=False).text
        no_page = ran("qr", "Shop", "--link")
        assert (no_page.returncode, "by a token" in no_page.stderr) == (1, True)


@pytest.mark.anyio
async def test_what_the_messenger_is_to_be_given_is_said(server: Program, env: dict[str, str]) -> None:
    """The word that Meta repeats is made up where none is typed; nobody could enter it there unseen."""
    async with GraphStandIn() as graph:
        account = graph.add_page()
        with at_terminal(env, "add", "facebook-messenger", "--url", server.url, "--set", f"base_url={graph.url}") as (terminal, process):
            for asked, typed in {"Page ID: ": account.id, "Access token of the Page: ": account.token, "App secret: ": account.app_secret}.items():
                # Where the setting is found names it, too.
                terminal.until(f"\n{asked}")
                terminal.types(typed)
            terminal.until("Verify token of the webhook (may be empty): ")
            terminal.types("")
            word = re.findall(r"Made up: (\S+)", terminal.until("with the address of the webhook."))[0]
            await to_thread.run_sync(terminal.until, "Name, for you and your agent")
            terminal.types("Shop")
            said = await to_thread.run_sync(terminal.until, "What is new on")
            assert "set MCP_MESSENGER_PUBLIC_URL" in said
            path = re.findall(r"Address of the webhook: https://[A-Z-]+(/webhooks/\S+)", said)[0]
            assert await to_thread.run_sync(process.wait) == 0
        challenge = {"hub.mode": "subscribe", "hub.verify_token": word, "hub.challenge": "said"}
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as meta:
            assert (await meta.get(f"{server.url}{path}", params=challenge)).text == "said"


def test_a_sandbox_is_logged_in_by_its_link(server: Program, env: dict[str, str]) -> None:
    with at_terminal(env, "add", "sandbox", "--name", "Try", "--url", server.url) as (terminal, process):
        chat = re.findall(r"Or open it in a browser: (http\S+)", terminal.until("Scan it before"))[0]
        with httpx.Client(trust_env=False, follow_redirects=True) as person:
            door = person.get(chat)
            person.post(f"{door.url}acts", json={"act": "link"}).raise_for_status()
        terminal.until("Logged in")
        terminal.until("What is new on Sandbox?")
        assert process.wait(PATIENCE) == 0
