"""mcp-messenger usage: how much of a running server a user uses, and may use."""

import argparse
import json
from typing import Any

from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import Config
from mcp_messenger.config.quotas import OF_BYTES, Quota
from providers.text import clean_line


async def usage(config: Config, args: argparse.Namespace) -> None:
    """Print it. Raises what the server refuses."""
    async with Server.at(args.url, config) as server:
        found = await server.get("/usage", **({"user_id": args.user} if args.user else {}))
    say(json.dumps(found, indent=2) if args.json else "\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> list[str]:
    came, went = (sum(day[way] for day in found["messages"]) for way in ("messages_in", "messages_out"))
    states = ", ".join(f"{count} {clean_line(state)}" for state, count in found["instances"].items()) or "none"
    return [
        f"user       {clean_line(found['user_id'])}",
        f"instances  {states}",
        f"messages   {came} in, {went} out in 30 days",
        f"webhooks   {found['deliveries_pending']} events wait, {found['deliveries_dead']} were given up",
        f"keys       {found['keys']}",
        *(f"{kind:<13}  {_amount(kind, view['used'])} of {view['most']}" for kind, view in found["quotas"].items()),
    ]


def _amount(kind: str, used: int) -> str:
    return f"{used / 2**20:,.0f} MB" if Quota(kind) in OF_BYTES else str(used)
