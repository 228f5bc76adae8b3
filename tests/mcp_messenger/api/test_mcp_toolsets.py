"""Which tools there are: by toolsets, and read-only above all."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from mcp_messenger.api.mcp.server import selected
from mcp_messenger.config import Config
from mcp_messenger.config.toolsets import DEFAULT_TOOLSETS, Toolset
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.operation import Effect, Transport
from mcp_messenger.operations.table import OPERATIONS
from tests.mcp_clients import call, in_memory, refused
from tests.program import ROOT, environment
from tests.running import ready_sandbox, running_app, serving

pytestmark = pytest.mark.anyio
HERE = Path()


def names(*toolsets: str, read_only: bool = False) -> set[str]:
    return {row.name for row in selected(Config(data_dir=HERE, toolsets=toolsets, read_only=read_only))}


def test_toolsets_add_up() -> None:
    groups = {row.name for row in OPERATIONS if row.toolset is Toolset.GROUPS and Transport.MCP in row.transports}
    assert {"list_groups", "create_group"} <= groups == names("groups")
    assert names("default") == names(*DEFAULT_TOOLSETS)
    assert names("default", "groups") == names("default") | groups
    assert names("all") == {row.name for row in OPERATIONS if Transport.MCP in row.transports}


def test_every_toolset_has_tools() -> None:
    assert all(names(toolset) for toolset in Toolset)


def test_an_unknown_toolset_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'gruops'"):
        names("default", "gruops")
    command = [sys.executable, "-m", "mcp_messenger", "--toolsets", "default,gruops"]
    run = subprocess.run(command, cwd=ROOT, env=environment(tmp_path), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert "'gruops'" in run.stderr
    assert all(toolset in run.stderr for toolset in Toolset)


def test_read_only_wins_over_every_toolset() -> None:
    writing = {row.name for row in OPERATIONS if row.effect is not Effect.READ}
    assert writing
    assert names("all", read_only=True) == names("all") - writing
    assert {"list_chats", "get_messages", "wait_for_messages", "get_media", "get_qr"} <= names("default", read_only=True)
    assert "check_send" in names("extras", read_only=True)


async def test_read_only_wins_over_both_faces(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path / "writing") as app:
        instance = await ready_sandbox(app)
    async with running_app(database_url, tmp_path / "reading", read_only=True, toolsets=("all",)) as app:
        async with in_memory(app) as client:
            assert (await client.list_tools()).tools
            assert all(tool.annotations and tool.annotations.read_only_hint for tool in (await client.list_tools()).tools)
            assert len((await call(client, "list_instances"))["instances"]) == 1
            assert (await refused(client, "stop_instance", instance_id=instance)).startswith("read_only: ")
        async with serving(app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as http:
            assert (await http.get(f"/instances/{instance}/chats")).status_code == 200
            for row in OPERATIONS:
                if row.effect is not Effect.READ:
                    path = row.path.replace("{instance_id}", instance).replace("{", "").replace("}", "")
                    answer = await http.request(row.method, path, json={"enabled": True} if row.method in {"POST", "PUT", "PATCH"} else None)
                    assert answer.status_code in {403, 422}, (row.name, answer.text)
                    assert answer.json()["code"] in {"read_only", "invalid_input"}
            refusal = await http.post(f"/instances/{instance}/stop")
            assert (refusal.status_code, refusal.json()["code"]) == (403, "read_only")
