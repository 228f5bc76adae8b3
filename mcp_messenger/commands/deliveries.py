"""mcp-messenger deliveries ACCOUNT: the events that were to be posted to the webhook, and another try for those that were given up."""

import argparse
import json
from typing import Any

from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say, table
from mcp_messenger.config import Config

HEAD = ("ID", "EVENT", "TARGET", "STATUS", "ATTEMPTS", "WHY")


async def deliveries(config: Config, args: argparse.Namespace) -> None:
    """List deliveries, the newest first, or deliver some again. Raises what the server refuses."""
    async with Server.at(args.url, config) as server:
        path = f"/instances/{await server.instance_id(args.account)}/deliveries"
        if args.retry_dead or args.retry is not None:
            again = await server.post(f"{path}/retry-dead" if args.retry_dead else f"{path}/{args.retry}/retry")
            say(json.dumps(again, indent=2) if args.json else f"Delivered again: {again['retried']}.")
            return
        page = await server.get(path, limit=args.limit, **({"status": args.status} if args.status else {}))
    if args.json:
        say(json.dumps(page, indent=2))
        return
    say(table(HEAD, [_row(one) for one in page["deliveries"]]) if page["deliveries"] else "No deliveries.")


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    return one["id"], one["type"] or one["event"], one["target"], one["status"], one["attempts"], one["error"]
