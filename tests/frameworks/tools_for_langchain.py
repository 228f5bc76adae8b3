"""Print the tools of the MCP server at argv[1] as LangChain gives them to a model."""
# pyright: basic, reportMissingImports=false

import asyncio
import json
import sys

from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_mcp_adapters.client import MultiServerMCPClient


async def main() -> None:
    client = MultiServerMCPClient({"messenger": {"transport": "streamable_http", "url": sys.argv[1]}})
    functions = [convert_to_openai_tool(tool)["function"] for tool in await client.get_tools()]
    print(json.dumps({function["name"]: function["parameters"] for function in functions}))


asyncio.run(main())
