"""The program itself as a process, and the stand-in of Telegram as another."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0
"""Seconds until a program must have started or ended."""


@dataclass(frozen=True)
class Program:
    """`said` is what it printed until it was ready; `log` is the file of its stderr."""

    process: "subprocess.Popen[str]"
    url: str
    said: str
    log: Path

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        if sys.platform == "win32":
            self.process.terminate()
        else:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def environment(data_dir: Path, database_url: str | None = None, **more: str) -> dict[str, str]:
    """Without the settings of whoever runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MCP_MESSENGER_", "DATABASE_", "DIRECT_", "TELEGRAM_"))}
    database = {"DATABASE_URL": database_url} if database_url else {}
    return {
        **inherited,
        "MCP_MESSENGER_DATA_DIR": str(data_dir),
        # The tests that need an engine say so.
        "MCP_MESSENGER_DOCKER": "0",
        # Tests read fields best.
        "MCP_MESSENGER_ANSWERS": "json",
        "PYTHONUNBUFFERED": "1",
        **database,
        **more,
    }


@contextmanager
def program(arguments: Sequence[str], env: Mapping[str, str], *, ends_with: str = "to stop.") -> Generator[Program]:
    """Runs `mcp-messenger` with these arguments until it has said its last word of welcome; stops it at the end if it still runs."""
    log = Path(env["MCP_MESSENGER_DATA_DIR"]).with_suffix(".log")
    command = [sys.executable, "-m", "mcp_messenger", *arguments]
    with log.open("w") as stderr, subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        try:
            assert process.stdout is not None
            said: list[str] = []
            for line in process.stdout:
                said.append(line)
                if line.rstrip().endswith(ends_with):
                    break
            url = re.search(r"http://[\w.\[\]:]+:\d+", "".join(said))
            assert url is not None, (said, log.read_text())
            yield Program(process, url[0], "".join(said), log)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE)


@dataclass(frozen=True)
class TelegramProcess:
    """The stand-in's address, and what a test does to it."""

    url: str

    def add_bot(self, token: str) -> str:
        self._post("bots", {"token": token})
        return token

    def person(self, token: str, name: str = "Ann") -> str:
        """The id of their chat with the bot."""
        return str(self._post(f"bots/{token}/people", {"name": name}))

    def writes(self, token: str, chat_id: str, text: str) -> None:
        self._post(f"bots/{token}/messages", {"chat_id": int(chat_id), "text": text})

    def sent(self, token: str) -> list[dict[str, dict[str, str]]]:
        return httpx.get(f"{self.url}/stand-in/bots/{token}/sent", trust_env=False).raise_for_status().json()

    def violations(self) -> list[str]:
        return httpx.get(f"{self.url}/stand-in/violations", trust_env=False).raise_for_status().json()

    def _post(self, path: str, body: dict[str, object]) -> object:
        return httpx.post(f"{self.url}/stand-in/{path}", json=body, trust_env=False).raise_for_status().json()


@contextmanager
def telegram_process() -> Generator[TelegramProcess]:
    """Fails at the end when a call was made that the Bot API does not have."""
    command = [sys.executable, "-m", "tests.standins.telegram_bot_api", "--bots", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            telegram = TelegramProcess(process.stdout.readline().strip())
            yield telegram
            assert telegram.violations() == []
        finally:
            process.terminate()
