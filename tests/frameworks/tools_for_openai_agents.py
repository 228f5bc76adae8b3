"""Print the tools of the MCP server at argv[1] as openai-agents gives them to a model."""
# pyright: basic, reportMissingImports=false

import asyncio
import json
import sys

from agents import Agent, RunContextWrapper
from agents.mcp import MCPServerStreamableHttp, MCPUtil


async def main() -> None:
    async with MCPServerStreamableHttp(params={"url": sys.argv[1]}) as server:
        tools = await MCPUtil.get_all_function_tools([server], True, RunContextWrapper(context=None), Agent(name="test"))
        print(json.dumps({tool.name: tool.params_json_schema for tool in tools}))


asyncio.run(main())
