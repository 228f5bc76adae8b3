"""The examples work as they stand there."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from db.embedded import EmbeddedPostgres
from tests.postgres import fresh_database
from tests.program import PATIENCE, ROOT, Program, environment, program
from tests.readme import portable_configuration

EXAMPLES = ROOT / "examples"
TALK = re.compile(r"me:  Hello Ann, can you hear me\?  \((sent|delivered|read)\)\nAnn Lee: echo: Hello Ann, can you hear me\?\n")


@pytest.fixture(scope="module")
def database(embedded: EmbeddedPostgres) -> Generator[str]:
    with fresh_database(embedded.url) as url:
        yield url


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Program]:
    with program(["serve", "--port", "0"], environment(tmp_path_factory.mktemp("server"), database)) as running:
        yield running


def talks(command: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert TALK.fullmatch(done.stdout), done.stdout


def test_the_agent_over_stdio(database: str, tmp_path: Path) -> None:
    env = environment(tmp_path / "data", database, PYTHONPATH=str(ROOT))
    talks([sys.executable, str(EXAMPLES / "agent_send_and_wait.py")], env)


def test_the_agent_over_http(server: Program, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "agent_send_and_wait.py"), f"{server.url}/mcp"]
    talks(command, environment(tmp_path / "data", NO_PROXY="*"))


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.skipif(not shutil.which("sh"), reason="there is no shell")
def test_the_shell_script(server: Program, tmp_path: Path) -> None:
    talks(["sh", str(EXAMPLES / "send_and_wait.sh"), server.url], environment(tmp_path / "data", NO_PROXY="*"))


@pytest.mark.anyio
async def test_the_configuration_for_claude_desktop(database: str, tmp_path: Path) -> None:
    """As it is, where the command is on the PATH."""
    text = (EXAMPLES / "claude_desktop_config.json").read_text()
    assert text == portable_configuration() + "\n", "run: make readme"
    server = json.loads(text)["mcpServers"]["messenger"]
    env = environment(tmp_path / "data", database)
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    async with Client(StdioServerParameters(command=server["command"], args=server["args"], env=env, cwd=tmp_path)) as client:
        assert "send_message" in [tool.name for tool in (await client.list_tools()).tools]


@pytest.mark.anyio
async def test_the_configuration_for_http(server: Program) -> None:
    configured = json.loads((EXAMPLES / "http_client_config.json").read_text())["mcpServers"]["messenger"]
    assert configured["type"] == "http"
    async with Client(configured["url"].replace("http://127.0.0.1:3000", server.url)) as client:
        assert "send_message" in [tool.name for tool in (await client.list_tools()).tools]
