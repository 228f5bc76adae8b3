"""The arrows between the rooms go one way, and what costs is imported late."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_messenger.operations.table import OPERATIONS
from tests.readme import TOOLS, tool_list

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


UNUSED_FOR_A_REASON = {
    **dict.fromkeys(("set_page", "by_page", "NOT_SHOWN", "outcome_of", "WAITING"), "the page of approvals is not there yet"),
    "choose": "a person's act, which tests do in their place",
    "listening": "the system decides which ports they are",
    "meaning": "read by what generates the README",
    "SETTINGS": "read by what generates the README",
    "capture_signals": "uvicorn calls it",
    "main_loop": "uvicorn calls it",
    "model_config": "pydantic reads it",
}
NOT_A_LIBRARYS = {"ABC", "Generic", "Protocol", "object", "Exception", "RuntimeError", "ValueError"}
"""Bases outside the product that call no method of their subclasses."""


def product() -> dict[str, ast.Module]:
    """Return the modules by their names."""
    found = dict[str, ast.Module]()
    for path in (path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py") if "node_modules" not in path.parts):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def names_of(statement: ast.stmt) -> list[str]:
    """Return the names that a statement of a module or a class defines."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def used_of_modules(modules: dict[str, ast.Module]) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of each use of what stands at the top of a module: imported, reached through the module, or used in it."""
    for module, tree in modules.items():
        known = list[tuple[str, str]]()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in modules:
                yield from ((node.module, name.name) for name in node.names)
            if isinstance(node, ast.ImportFrom):
                known += [(name.asname or name.name, f"{node.module}.{name.name}") for name in node.names]
            elif isinstance(node, ast.Import):
                known += [(name.asname or name.name, name.name) for name in node.names]
        for statement in tree.body:
            own = names_of(statement)
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in own:
                    yield module, node.id
                elif isinstance(node, ast.Attribute):
                    owner = ast.unparse(node.value)
                    yield from ((full, node.attr) for name, full in known if name == owner)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in own:
                    # An annotation in quotes, or "module:name" of a registry.
                    yield from ((module, word) for word in re.findall(r"\w+", node.value) if "\n" not in node.value and len(node.value) < 200)
                    name, _, member = node.value.partition(":")
                    yield name, member


def used_attributes(modules: dict[str, ast.Module]) -> Iterator[str]:
    for node in (node for tree in modules.values() for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.MatchClass):
            yield from node.kwd_attrs
        elif isinstance(node, ast.keyword) and node.arg:
            # The fields of a row that is written as a whole.
            yield node.arg


def bases_of(cls: ast.ClassDef) -> set[str]:
    return {re.sub(r"\[.*", "", ast.unparse(base), flags=re.DOTALL).rpartition(".")[2] for base in cls.bases}


def shown_classes(classes: list[ast.ClassDef]) -> set[str]:
    """Return the classes whose fields somebody outside reads or writes: models but for settings, which the product must read."""
    shown = {"BaseModel"}
    while more := {cls.name for cls in classes if cls.name not in shown | {"Settings"} and bases_of(cls) & shown}:
        shown |= more
    return shown


def unused_members(modules: dict[str, ast.Module], used: set[str]) -> Iterator[str]:
    classes = [node for tree in modules.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    shown, ours = shown_classes(classes), {cls.name for cls in classes} | NOT_A_LIBRARYS
    for cls in classes:
        if not bases_of(cls) <= ours:
            # The library above calls what it has overridden.
            continue
        for member in cls.body:
            is_called_by_pydantic = any("validator" in ast.unparse(one) for one in getattr(member, "decorator_list", ()))
            if not is_called_by_pydantic and not (isinstance(member, ast.AnnAssign) and cls.name in shown):
                yield from (f"{cls.name}.{name}" for name in names_of(member) if name not in used and not name.startswith("__"))


def test_nothing_is_kept_that_the_product_does_not_use() -> None:
    """What only tests use is dead, too."""
    modules = product()
    at_top = set(used_of_modules(modules))
    dead = [
        f"{module}.{name}"
        for module, tree in modules.items()
        for statement in tree.body
        for name in names_of(statement)
        if (module, name) not in at_top and not name.startswith("__")
    ]
    dead += unused_members(modules, set(used_attributes(modules)))
    assert [name for name in dead if name.rpartition(".")[2] not in UNUSED_FOR_A_REASON] == []


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


TAKES_ANY_ERROR = {
    "mcp_messenger/api/mcp/server.py": "a transport",
    "mcp_messenger/media/child.py": "a child process, in which parsers raise what they like about a stranger's file",
    "mcp_messenger/instances/remote_provider.py": "a loop that must not end",
    "mcp_messenger/instances/runtimes/engine.py": "the SDK is imported late, and its errors with it",
    "mcp_messenger/instances/runtimes/passes.py": "a loop that must not end",
    "mcp_messenger/relay/http.py": "a transport",
    "mcp_messenger/relay/runner.py": "the start of a container",
    "mcp_messenger/relay/sends.py": "a send under way, whose fate must be written down",
    "providers/discord/connection.py": "a loop that must not end",
    "providers/discord/receiver.py": "a loop that must not end",
    "providers/kit/delivery.py": "a loop that must not end",
    "providers/meta/connection.py": "a loop that must not end",
    "providers/sandbox/event_queue.py": "a loop that must not end",
    "providers/sandbox/provider.py": "the top of a provider",
    "providers/slack/connection.py": "a loop that must not end",
    "providers/telegram/connection.py": "a loop that must not end",
    "providers/whatsappweb/connection.py": "the top of a provider",
}


def test_any_error_is_taken_only_where_a_reason_says_why() -> None:
    """A handler that raises the same error again may take any; the others are in transports, in loops and at the start of a container."""
    found, silent = set[str](), list[str]()
    for path in (path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py") if "node_modules" not in path.parts):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.ExceptHandler) or (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None):
                continue
            if node.type is None or {"Exception", "BaseException"} & set(re.findall(r"\w+", ast.unparse(node.type))):
                found.add(path.relative_to(ROOT).as_posix())
                if not re.search(r"#(?: noqa: BLE001)? \S+", source.splitlines()[node.lineno - 1]):
                    silent.append(f"{path}:{node.lineno}")
    assert found == set(TAKES_ANY_ERROR)
    assert silent == []


def test_the_stdio_server_imports_nothing_that_costs() -> None:
    """Neither before it lists its tools, when not even the application is there, nor when it works without having been asked to."""
    first = _imported("mcp_messenger.cli, mcp_messenger.api.mcp.stdio")
    ours = {"mcp_messenger", "providers", "db"}
    assert {name for name in first if name.partition(".")[0] in ours and not name.startswith("mcp_messenger.config.")} == BEFORE_THE_TOOLS
    costly = {"fastapi", "telegram", "discord", "slack_sdk", "docker", "psycopg", "psutil", "aiohttp"}
    at_work = _imported("mcp_messenger.cli, mcp_messenger.app, mcp_messenger.api.mcp.stdio, mcp_messenger.api.mcp.full_server")
    assert costly & at_work == set()


BEFORE_THE_TOOLS = {
    "mcp_messenger",
    "mcp_messenger.api",
    "mcp_messenger.api.mcp",
    "mcp_messenger.api.mcp.early",
    "mcp_messenger.api.mcp.identity",
    "mcp_messenger.api.mcp.listed",
    "mcp_messenger.api.mcp.stdio",
    "mcp_messenger.cli",
    "mcp_messenger.commands",
    "mcp_messenger.commands.arguments",
    "mcp_messenger.config",
    "mcp_messenger.errors",
    "mcp_messenger.observability",
    "mcp_messenger.observability.logs",
    "mcp_messenger.observability.tracing",
    "mcp_messenger.operations",
    "mcp_messenger.operations.plain",
    "mcp_messenger.version",
    "providers",
    "providers.capabilities",
    "providers.errors",
    "providers.kit",
    "providers.kit.json_size",
    "providers.states",
    "providers.text",
}
"""Our modules, besides the settings, that stdio has imported when it answers its first request."""


def _imported(modules: str) -> set[str]:
    code = f"import sys, {modules}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split())


def test_the_tools_are_listed_as_they_are() -> None:
    assert TOOLS.read_text(encoding="utf-8") == tool_list(), "run: make readme"
