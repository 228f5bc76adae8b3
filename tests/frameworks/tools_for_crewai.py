"""Print the tools of the MCP server at argv[1] as CrewAI gives them to a model."""
# pyright: basic, reportMissingImports=false

import json
import sys

from crewai_tools import MCPServerAdapter

with MCPServerAdapter({"url": sys.argv[1], "transport": "streamable-http"}) as tools:
    print(json.dumps({tool.name: tool.args_schema.model_json_schema() for tool in tools}))
