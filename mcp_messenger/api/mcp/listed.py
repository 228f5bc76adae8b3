"""The tools as they are listed, from a file that is built beforehand: nothing of the application is needed to list them.

`make readme` writes the file from the table of operations, a tool a line; a test holds that the two agree.
"""

import json
from pathlib import Path

from mcp.types import Tool

from mcp_messenger.config import Config
from mcp_messenger.config.toolsets import chosen

FILE = Path(__file__).with_name("tools.json")


def listed(config: Config) -> list[Tool]:
    """Return the tools that the settings show. Raises InvalidInput for a toolset that does not exist."""
    toolsets = chosen(config.toolsets)
    tools = list[Tool]()
    for row in json.loads(FILE.read_bytes()):
        if row["toolset"] in toolsets and (row["reads"] or not config.read_only):
            # What answers in lines has no schema of its answer.
            shown = {key: value for key, value in row["tool"].items() if key != "outputSchema" or config.answers != "lines" or not row["lines"]}
            tools.append(Tool.model_validate(shown, by_name=False))
    return tools
