"""The configurations to paste into MCP clients. They run this very installation, by its whole path."""

import json
import shlex
import shutil
import sys
from pathlib import Path

from mcp_messenger.commands.terminal import say

COMMAND = "mcp-messenger"


def command() -> str:
    """Return the whole path of this installation's command."""
    return str(Path(sys.executable).with_name(f"{COMMAND}.exe" if sys.platform == "win32" else COMMAND))


def typed() -> str:
    """Return how this installation's command is typed in this shell and folder: a checkout's is not on the PATH."""
    path = Path(command())
    found = shutil.which(path.name)
    if found is not None and Path(found) == path:
        return path.stem
    here = Path.cwd()
    return _quoted(str(path.relative_to(here)) if path.is_relative_to(here) else str(path))


def stdio_configuration() -> str:
    """Return the configuration for Claude Desktop and clients of its kind."""
    return _servers({"command": command(), "args": []})


def http_configuration(url: str, *, with_token: bool) -> str:
    """Return the configuration for clients that speak streamable HTTP."""
    server: dict[str, object] = {"type": "http", "url": f"{url}/mcp"}
    if with_token:
        server["headers"] = {"Authorization": "Bearer <your admin or user token>"}
    return _servers(server)


def desktop_file() -> Path:
    """Return where Claude Desktop keeps its configuration on this computer."""
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library/Application Support/Claude/claude_desktop_config.json"
    if sys.platform == "win32":
        return home / "AppData/Roaming/Claude/claude_desktop_config.json"
    return home / ".config/Claude/claude_desktop_config.json"


def clients() -> dict[str, dict[str, str]]:
    """Return by client the file to change or the command to run, and what to put there."""
    path = command()
    code = json.dumps({"name": "messenger", "command": path, "args": []})
    return {
        "Claude Code": {"run": f"claude mcp add messenger -- {_quoted(path)}"},
        "Claude Desktop": {"file": str(desktop_file()), "content": stdio_configuration()},
        "Cursor": {"file": str(Path.home() / ".cursor/mcp.json"), "content": stdio_configuration()},
        "VS Code": {"run": f"code --add-mcp {_quoted(code)}"},
    }


def print_clients(*, as_json: bool) -> None:
    """Print what to paste into MCP clients on this computer."""
    found = clients()
    if as_json:
        say(json.dumps(found, indent=2))
        return
    for name, how in found.items():
        say(f"{name}: run\n{how['run']}\n" if "run" in how else f"{name}: put this into {how['file']}\n{how['content']}\n")


def _quoted(text: str) -> str:
    if sys.platform != "win32":
        return shlex.quote(text)
    return '"' + text.replace('"', '\\"') + '"'


def _servers(server: dict[str, object]) -> str:
    return json.dumps({"mcpServers": {"messenger": server}}, indent=2)
