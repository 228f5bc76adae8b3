"""mcp-messenger logs ID: the newest log lines of an instance, and those to come."""

import sys

from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import Config
from providers.text import clean

NONE_HERE = "No lines: the server keeps the newest of what runs in its own process; another one may run this instance."


async def logs(config: Config, url: str | None, id: str, tail: int, follow: bool) -> None:
    """With `follow` until interrupted, or until the server ends."""
    async with Server.at(url, config) as server:
        path = f"/instances/{await server.instance_id(id)}/logs"
        if follow:
            async for line in server.lines(path, tail=tail, follow="true"):
                say(clean(line))
            return
        lines: list[str] = (await server.get(path, tail=tail))["lines"]
    for line in lines:
        say(clean(line))
    if not lines:
        print(NONE_HERE, file=sys.stderr)  # noqa: T201 - beside the answer, which is empty
