"""The bare form of an MCP server: as many small tools, made as the SDK's documentation says.

python -m tests.benchmarks.bare_mcp [--http]
"""

import sys
from collections.abc import Callable

from mcp.server import MCPServer

TOOLS = 25
TOOL = "tool_0"


def small_tool(number: int) -> Callable[..., dict[str, str]]:
    def tool(instance_id: str, limit: int = 20, cursor: str | None = None) -> dict[str, str]:
        """Do one small thing with an instance."""
        return {"instance_id": instance_id, "answer": "done"}

    tool.__name__ = f"tool_{number}"
    return tool


def main() -> None:
    server = MCPServer("bare", log_level="WARNING")
    for number in range(TOOLS):
        server.tool()(small_tool(number))
    if "--http" in sys.argv:
        from tests.benchmarks.servers import serve_bare

        serve_bare(server.streamable_http_app())
    else:
        server.run("stdio")


if __name__ == "__main__":
    main()
