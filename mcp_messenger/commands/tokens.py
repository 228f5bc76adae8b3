"""mcp-messenger tokens: lists, makes and revokes the tokens of a user of a running server."""

import argparse
import json

from mcp_messenger.commands.server import Refused, Server
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput, NoSuchKey, quoted
from providers.text import clean_line


async def tokens(config: Config, args: argparse.Namespace) -> None:
    """Do what is asked for. Raises InvalidInput without an id, and what the server refuses."""
    whose = {"user_id": args.user} if args.user else {}
    async with Server.at(args.url, config) as server:
        if args.act == "create":
            made = await server.post("/tokens", whose)
            say(
                json.dumps(made, indent=2)
                if args.json
                else f"{made['token']}\n\nIt does all that {clean_line(made['user_id'])} may do. It is not shown again."
            )
        elif args.act == "revoke":
            await _revoke(server, args.id)
            say(json.dumps({"revoked": args.id}) if args.json else "Revoked.")
        else:
            found = [key for key in (await server.get("/keys", **whose))["keys"] if key["kind"] == "token" and key["revoked_at"] is None]
            lines = [f"{key['id']}  {clean_line(key['user_id'])}  {key['prefix']}…  since {key['created_at']}" for key in found]
            say(json.dumps(found, indent=2) if args.json else "\n".join(lines) or "No tokens yet: mcp-messenger tokens create")


async def _revoke(server: Server, token_id: str | None) -> None:
    hint = "'mcp-messenger tokens list' shows them with their ids."
    if not token_id:
        raise InvalidInput("Which token?", hint=hint)
    try:
        await server.delete(f"/keys/{token_id}")
    except Refused as error:
        if error.problem != NoSuchKey.code:
            raise
        raise InvalidInput(f"No valid token has the id {quoted(token_id)}.", hint=hint) from error
