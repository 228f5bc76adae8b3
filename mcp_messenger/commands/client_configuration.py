"""What to paste into an MCP client."""

import json
import sys
from pathlib import Path


def stdio_configuration() -> str:
    """For Claude Desktop and clients of its kind; runs this very installation."""
    command = Path(sys.executable).with_name("mcp-messenger.exe" if sys.platform == "win32" else "mcp-messenger")
    return _servers({"command": str(command), "args": []})


def http_configuration(url: str, *, with_token: bool) -> str:
    """For clients that speak streamable HTTP."""
    server: dict[str, object] = {"type": "http", "url": f"{url}/mcp"}
    if with_token:
        server["headers"] = {"Authorization": "Bearer <your admin or user token>"}
    return _servers(server)


def _servers(server: dict[str, object]) -> str:
    return json.dumps({"mcpServers": {"messenger": server}}, indent=2)
