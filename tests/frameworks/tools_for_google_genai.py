"""Print the tools of the MCP server at argv[1] as google-genai gives them to Gemini."""
# pyright: basic, reportMissingImports=false

import asyncio
import json
import sys

from google.genai._mcp_utils import mcp_to_gemini_tools
from mcp import Client


async def main() -> None:
    async with Client(sys.argv[1]) as client:
        tools = mcp_to_gemini_tools((await client.list_tools()).tools)
    declarations = [declaration for tool in tools for declaration in tool.function_declarations or ()]
    shown = {one.name: one.parameters.model_dump(mode="json", exclude_none=True) for one in declarations if one.parameters is not None}
    print(json.dumps(shown))


asyncio.run(main())
