"""The arrows between the rooms go one way, and what costs is imported late."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_messenger.operations.table import OPERATIONS

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {"providers": {"providers"}, "db": {"db", "providers"}, "mcp_messenger": {"mcp_messenger", "db", "providers"}}


def imported_rooms(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
    return found & set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_no_room_above_it(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    assert {str(path): wrong for path in files if (wrong := imported_rooms(path) - MAY_IMPORT[room])} == {}


def test_only_the_store_knows_the_driver() -> None:
    sources = {path: path.read_text(encoding="utf-8") for room in ("providers", "mcp_messenger") for path in (ROOT / room).rglob("*.py")}
    assert [str(path) for path, source in sources.items() if "import psycopg" in source or "from psycopg" in source] == []


def test_every_operation_has_one_definition() -> None:
    """One row in the one table, carried out by one function of `operations`; other paths and spellings lead to it."""
    names = [row.name for row in OPERATIONS]
    assert len(set(names)) == len(names)
    assert {row.run.__module__.rpartition(".")[0] for row in OPERATIONS} == {"mcp_messenger.operations"}
    tables, carriers = set[str](), set[str]()
    for path in (ROOT / "mcp_messenger").rglob("*.py"):
        package = path.relative_to(ROOT / "mcp_messenger").as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Operation":
                tables.add(package)
            elif isinstance(node, ast.AsyncFunctionDef) and node.name in names and any(arg.arg == "caller" for arg in node.args.args):
                carriers.add(package.partition("/")[0])
    assert tables == {"operations/table.py", "api/rest/aliases.py"}
    assert carriers == {"operations"}


def test_the_stdio_server_imports_nothing_that_costs() -> None:
    code = "import sys, mcp_messenger.cli, mcp_messenger.app, mcp_messenger.api.mcp.stdio; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    costly = {"fastapi", "telegram", "discord", "slack_sdk", "docker", "psycopg", "psutil", "aiohttp"}
    assert costly & set(loaded) == set()
