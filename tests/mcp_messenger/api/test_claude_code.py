"""Claude Code itself takes the plugin, and connects to the server as the plugin starts it."""

import json
import sys
from pathlib import Path

import anyio
import pytest

from mcp_messenger.version import __version__
from tests.npm import installed
from tests.program import ROOT, environment

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(420)]

PACKAGE = "@anthropic-ai/claude-code@2.1.197"
PLUGIN = ROOT / "examples" / "claude-code"
WITHIN = 120.0


@pytest.fixture(scope="session")
def claude() -> Path:
    return installed("claude-code", PACKAGE, scripts=True) / "node_modules" / ".bin" / "claude"


async def said(claude: Path, folder: Path, env: dict[str, str], *arguments: str) -> str:
    with anyio.fail_after(WITHIN):
        run = await anyio.run_process([str(claude), *arguments], env=env, cwd=folder, check=False)
    assert run.returncode == 0, run.stdout.decode() + run.stderr.decode()
    return run.stdout.decode()


async def test_the_plugin_is_valid_and_its_server_connects(claude: Path, tmp_path: Path, database_url: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    env = {**environment(tmp_path / "data", database_url), "HOME": str(home), "DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1"}
    assert json.loads((PLUGIN / ".claude-plugin" / "plugin.json").read_text())["version"] == __version__
    assert "Validation passed" in await said(claude, tmp_path, env, "plugin", "validate", str(PLUGIN))
    server = json.loads((PLUGIN / ".mcp.json").read_text())["mcpServers"]["messengers"]
    assert (server["command"], server["args"][0]) == ("uvx", "mcp-messenger")
    # This checkout in the place of what uvx would fetch.
    here = {"command": sys.executable, "args": ["-m", "mcp_messenger", *server["args"][1:]], "env": {"PYTHONPATH": str(ROOT)}}
    await said(claude, tmp_path, env, "mcp", "add-json", "--scope", "user", "messengers", json.dumps(here))
    assert "Connected" in await said(claude, tmp_path, env, "mcp", "list")
