"""Agent frameworks take every tool, each with its own converter, in an environment of its own."""

import json
import subprocess
import sys
import sysconfig
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest

from db.filelock import exclusive
from mcp_messenger.app import build
from mcp_messenger.config.environment import from_environment
from mcp_messenger.operations.operation import Transport
from mcp_messenger.operations.table import OPERATIONS
from tests.program import ROOT
from tests.running import serving

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

FRAMEWORKS = {
    "openai_agents": ("openai-agents",),
    "pydantic_ai": ("pydantic-ai-slim[mcp]",),
    "langchain": ("langchain-mcp-adapters", "langchain-core"),
    "google_genai": ("google-genai", "mcp"),
    "crewai": ("crewai", "crewai-tools[mcp]"),
}
CACHE = ROOT / ".cache"
INSTALL_WITHIN, RUN_WITHIN = 300.0, 120.0
FREE = {"token": "123456:made-up", "nested": {"a": 1}}


def environment_of(framework: str) -> Path:
    """Return the interpreter of an environment with the framework, made once for all runs; skip where it does not install."""
    folder = CACHE / framework
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = CACHE / f"{framework}.installed"
    CACHE.mkdir(exist_ok=True)
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    with exclusive(CACHE / f"{framework}.lock", INSTALL_WITHIN):
        for step in (["venv", "--quiet", "--clear", "--python", sys.executable, folder], ["pip", "install", "--quiet", "--python", python]):
            if done.exists():
                break
            packages = FRAMEWORKS[framework] if step[0] == "pip" else ()
            made = subprocess.run([uv, *step, *packages], capture_output=True, text=True, timeout=INSTALL_WITHIN, check=False)
            if made.returncode:
                pytest.skip(f"{framework} does not install here: {made.stderr[-300:]}")
        done.touch()
    return python


@pytest.fixture(scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[str]:
    """Every tool is listed there, for which no store is needed."""
    folder = tmp_path_factory.mktemp("data")
    config = from_environment({"MCP_MESSENGER_DATA_DIR": str(folder), "MCP_MESSENGER_TOOLSETS": "all"})
    async with serving(build(config)) as url:
        yield f"{url}/mcp"


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_every_tool_is_taken(framework: str, url: str) -> None:
    python = await anyio.to_thread.run_sync(environment_of, framework)
    with anyio.fail_after(RUN_WITHIN):
        run = await anyio.run_process([str(python), f"tests/frameworks/tools_for_{framework}.py", url], cwd=ROOT, check=False)
    assert run.returncode == 0, run.stderr.decode()[-2000:]
    tools: dict[str, Any] = json.loads(run.stdout.decode().strip().splitlines()[-1])
    assert tools.keys() == {row.name for row in OPERATIONS if Transport.MCP in row.transports}
    if framework != "google_genai":  # Gemini's schemas are in words of its own
        for schema in tools.values():
            jsonschema.Draft202012Validator.check_schema(schema)
        credentials = {**tools["create_instance"], "properties": {"credentials": tools["create_instance"]["properties"]["credentials"]}}
        jsonschema.Draft202012Validator({**credentials, "required": []}).validate({"credentials": FREE})
