"""The MCP Inspector, a client that shares no code with the server, finds nothing to complain about."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from tests.npm import installed
from tests.program import ROOT, environment
from tests.running import ready_sandbox, running_app, serving

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(420)]

PACKAGE = "@modelcontextprotocol/inspector@2.12.0"
CALL_WITHIN = 60.0
ROOT_RESOURCE = "messenger://instances"


@pytest.fixture(scope="session")
def inspector() -> Path:
    """The command, installed once for all runs."""
    folder = installed("inspector", PACKAGE)
    return folder / "node_modules" / ".bin" / ("mcp-inspector.cmd" if sys.platform == "win32" else "mcp-inspector")


async def inspect(inspector: Path, *arguments: str, home: Path) -> Any:
    """What it got, of a run without any complaint."""
    env = {**os.environ, "HOME": str(home)}
    with anyio.fail_after(CALL_WITHIN):
        run = await anyio.run_process([str(inspector), "--cli", *arguments, "--format", "json"], env=env, check=False)
    assert run.returncode == 0, run.stderr.decode()
    assert b"schema" not in run.stderr, run.stderr.decode()
    return json.loads(run.stdout)["result"]


async def complete_round(inspector: Path, target: list[str], home: Path, instance: str | None) -> None:
    """Tools, a call and a resource, of both eras."""
    listed = await inspect(inspector, *target, "--protocol-era", "modern", "--method", "tools/list", "--strict", home=home)
    answer = await inspect(inspector, *target, "--protocol-era", "legacy", "--method", "tools/call", "--tool-name", "list_instances", home=home)
    read = await inspect(inspector, *target, "--protocol-era", "modern", "--method", "resources/read", "--uri", ROOT_RESOURCE, home=home)
    assert {"send_message", "get_messages"} <= {tool["name"] for tool in listed["tools"]}
    assert [one["id"] for one in answer["structuredContent"]["instances"]] == ([instance] if instance else [])
    assert json.loads(read["contents"][0]["text"]) == answer["structuredContent"]


async def test_over_stdio(inspector: Path, tmp_path: Path, database_url: str) -> None:
    settings = {
        name: value for name, value in environment(tmp_path / "data", database_url).items() if name.startswith(("MCP_MESSENGER_", "DATABASE_"))
    }
    target = [part for name, value in settings.items() for part in ("-e", f"{name}={value}")]
    await complete_round(inspector, [*target, "--cwd", str(ROOT), sys.executable, "-m", "mcp_messenger"], tmp_path, None)


async def test_over_http(inspector: Path, tmp_path: Path, database_url: str) -> None:
    token = "admin-token-of-the-tests"
    async with running_app(database_url, tmp_path / "data", admin_token=SecretStr(token), toolsets=("all",)) as app, serving(app) as url:
        instance = await ready_sandbox(app)
        await complete_round(inspector, [f"{url}/mcp", "--header", f"Authorization: Bearer {token}"], tmp_path, instance)
