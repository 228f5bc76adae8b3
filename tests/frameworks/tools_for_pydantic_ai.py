"""Print the tools of the MCP server at argv[1] as Pydantic AI gives them to a model, after its changes for OpenAI's and Google's."""
# pyright: basic, reportMissingImports=false

import asyncio
import json
import sys

from pydantic_ai import RunContext, RunUsage
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.test import TestModel
from pydantic_ai.profiles.google import GoogleJsonSchemaTransformer
from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer


async def main() -> None:
    toolset = MCPToolset(sys.argv[1])
    async with toolset:
        tools = await toolset.get_tools(RunContext(deps=None, model=TestModel(), usage=RunUsage()))
    schemas = {name: tool.tool_def.parameters_json_schema for name, tool in tools.items()}
    for schema in schemas.values():
        GoogleJsonSchemaTransformer(schema).walk()
    print(json.dumps({name: OpenAIJsonSchemaTransformer(schema, strict=None).walk() for name, schema in schemas.items()}))


asyncio.run(main())
