"""mcp-messenger keys: lists, makes and revokes keys of a running server."""

import argparse
from typing import Any
from urllib.parse import quote

from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput
from providers.text import clean_line


async def keys(config: Config, args: argparse.Namespace) -> None:
    """Do what is asked for. Raises InvalidInput without a name or an id, and what the server refuses."""
    async with Server.at(args.url, config) as server:
        if args.act == "create":
            await _create(server, args)
        elif args.act == "revoke":
            await server.delete(f"/keys/{quote(_named(args, 'Which key?', 'revoke ID'), safe='')}")
            say("Revoked.")
        else:
            await _list(server, args)


async def _create(server: Server, args: argparse.Namespace) -> None:
    body: dict[str, Any] = {"name": _named(args, "What is the key for?", "create NAME"), "scopes": _names(args.scopes)}
    if args.instance:
        body["instance_ids"] = [await server.instance_id(id) for id in args.instance]
    body |= {name: value for name, value in (("expires_in_days", args.days), ("user_id", args.user)) if value is not None}
    made = await server.post("/keys", body)
    say(f"{made['key']}\n\nIts id is {made['id']}. The key is not shown again.")


async def _list(server: Server, args: argparse.Namespace) -> None:
    found = (await server.get("/keys", **({"user_id": args.user} if args.user else {})))["keys"]
    valid = [key for key in found if key["revoked_at"] is None]
    say("\n".join(_line(key) for key in valid) or "No keys yet: mcp-messenger keys create NAME")


def _line(key: dict[str, Any]) -> str:
    where = "all instances" if key["instance_ids"] is None else ", ".join(id[:8] for id in key["instance_ids"])
    used = key["last_used_at"] or ("never" if key["kind"] == "key" else "not recorded")
    ends = f"  until {key['expires_at']}" if key["expires_at"] else ""
    name = clean_line(key["name"] or key["kind"])
    return f"{key['id']}  {clean_line(key['user_id'])}  {name}  {','.join(key['scopes'])}  {where}  used {used}{ends}"


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _named(args: argparse.Namespace, question: str, usage: str) -> str:
    if not args.what:
        raise InvalidInput(question, hint=f"mcp-messenger keys {usage}")
    return str(args.what)
