"""What a model is shown, in tokens. The suite holds the limits; this only tells the figures."""

import json

from rs_bpe.bpe import openai

from mcp_messenger.api.mcp.server import tool
from mcp_messenger.operations.operation import DEFAULT_TOOLSETS, Transport
from mcp_messenger.operations.table import OPERATIONS
from tests.benchmarks.figures import Figure, at_most


async def measure() -> list[Figure]:
    tokenizer = openai.o200k_base()
    rows = [row for row in OPERATIONS if row.toolset in DEFAULT_TOOLSETS and Transport.MCP in row.transports]
    tools = [tool(row, without_instance=False) for row in rows]
    shown = [json.dumps({"name": one.name, "description": one.description, "input_schema": one.input_schema}, separators=(",", ":")) for one in tools]
    return [
        Figure("default tools", len(rows), "tools", target=at_most(25)),
        Figure("default tool list", sum(tokenizer.count(text) for text in shown), "tokens", target=at_most(5000)),
    ]
