"""The examples do what they say."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from mcp_messenger.client_configuration import http_configuration, stdio_configuration
from tests.running import running_app, serving

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parent.parent / "examples"


async def run(*command: str, data_dir: Path) -> str:
    environment = {**os.environ, "MCP_MESSENGER_DATA_DIR": str(data_dir)}
    ran = await anyio.run_process(command, cwd=EXAMPLES.parent, env=environment, check=False, stderr=subprocess.STDOUT)
    assert ran.returncode == 0, ran.stdout.decode()
    return ran.stdout.decode()


async def test_an_agent_over_stdio(tmp_path: Path) -> None:
    said = await run(sys.executable, str(EXAMPLES / "agent_send_and_wait.py"), data_dir=tmp_path)
    assert "reply: echo: Lunch at noon?" in said


async def test_an_agent_over_http(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app, serving(app) as url:
        said = await run(sys.executable, str(EXAMPLES / "agent_send_and_wait.py"), f"{url}/mcp", data_dir=tmp_path)
    assert "reply: echo: Lunch at noon?" in said


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("sh") is None, reason="needs curl and sh")
async def test_the_same_by_curl(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app, serving(app) as url:
        said = await run("sh", str(EXAMPLES / "send_and_wait.sh"), url, data_dir=tmp_path)
    assert "sent: " in said
    assert "reply: echo: Lunch at noon?" in said


def test_the_client_configurations_have_the_form_that_the_server_prints() -> None:
    stdio = json.loads((EXAMPLES / "claude_desktop_config.json").read_text())["mcpServers"]["messenger"]
    assert stdio.keys() == json.loads(stdio_configuration())["mcpServers"]["messenger"].keys()
    http = json.loads((EXAMPLES / "http_client_config.json").read_text())
    assert http == json.loads(http_configuration("http://127.0.0.1:3000", with_token=False))
