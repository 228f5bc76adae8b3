"""mcp-messenger logs ID: the newest log lines of an instance, and those to come."""

import json
import sys

from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import Config
from providers.text import clean

NONE = "No lines: nothing was logged about this instance, or it is older than what is kept."


async def logs(config: Config, url: str | None, id: str, tail: int, follow: bool, as_json: bool = False) -> None:
    """With `follow` until interrupted, or until the server ends."""
    async with Server.at(url, config) as server:
        path = f"/instances/{await server.instance_id(id)}/logs"
        if follow:
            async for line in server.lines(path, tail=tail, follow="true"):
                say(json.dumps(line) if as_json else clean(line))
            return
        lines: list[str] = (await server.get(path, tail=tail))["lines"]
    if as_json:
        say(json.dumps(lines, indent=2))
        return
    for line in lines:
        say(clean(line))
    if not lines:
        print(NONE, file=sys.stderr)  # noqa: T201 - beside the answer, which is empty
