"""mcp-messenger keys: lists, makes and revokes keys of a running server."""

import argparse
import json
from typing import Any
from uuid import UUID

from mcp_messenger.commands.server import Refused, Server
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput, NoSuchKey, quoted
from mcp_messenger.security.caller import Scope
from providers.text import clean_line

LIST = "'mcp-messenger keys list' shows them with their ids."


async def keys(config: Config, args: argparse.Namespace) -> None:
    """Do what is asked for. Raises InvalidInput without a name or an id, and what the server refuses."""
    async with Server.at(args.url, config) as server:
        if args.act == "create":
            await _create(server, args)
        elif args.act == "revoke":
            id = _named(args, "Which key?", "revoke ID")
            await _revoke(server, id)
            say(json.dumps({"revoked": id}) if args.json else "Revoked.")
        else:
            await _list(server, args)


async def _create(server: Server, args: argparse.Namespace) -> None:
    body: dict[str, Any] = {"name": _named(args, "What is the key for?", "create NAME"), "scopes": _scopes(args.scopes)}
    if args.instance:
        body["instance_ids"] = [await server.instance_id(id) for id in args.instance]
    body |= {name: value for name, value in (("expires_in_days", args.days), ("user_id", args.user)) if value is not None}
    if args.policy:
        body["policy"] = _policy(args.policy)
    made = await server.post("/keys", body)
    say(json.dumps(made, indent=2) if args.json else f"{made['key']}\n\nIts id is {made['id']}. The key is not shown again.")


async def _revoke(server: Server, key_id: str) -> None:
    try:
        UUID(key_id)
    except ValueError:
        raise InvalidInput(f"{quoted(key_id)} is no key's id.", hint=LIST) from None
    try:
        await server.delete(f"/keys/{key_id}")
    except Refused as error:
        if error.problem != NoSuchKey.code:
            raise
        raise InvalidInput(f"No valid key has the id {quoted(key_id)}.", hint=LIST) from error


async def _list(server: Server, args: argparse.Namespace) -> None:
    found = (await server.get("/keys", **({"user_id": args.user} if args.user else {})))["keys"]
    valid = [key for key in found if key["revoked_at"] is None]
    if args.json:
        say(json.dumps(valid, indent=2))
        return
    say("\n".join(_line(key) for key in valid) or "No keys yet: mcp-messenger keys create NAME")


def _line(key: dict[str, Any]) -> str:
    where = "all instances" if key["instance_ids"] is None else ", ".join(id[:8] for id in key["instance_ids"])
    used = key["last_used_at"] or ("never" if key["kind"] == "key" else "not recorded")
    ends = f"  until {key['expires_at']}" if key["expires_at"] else ""
    name = clean_line(key["name"] or key["kind"])
    return f"{key['id']}  {clean_line(key['user_id'])}  {name}  {','.join(key['scopes'])}  {where}  used {used}{ends}"


def _scopes(text: str) -> list[str]:
    """Raises InvalidInput for one that there is not."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in set(Scope)] or ([] if names else [text]):
        raise InvalidInput(f"--scopes: there is no scope {quoted(unknown[0])}.", hint=f"Give some of {', '.join(Scope)}, separated by commas.")
    return names


def _policy(text: str) -> dict[str, Any]:
    """Return the policy that a preset's name or JSON means. Raises InvalidInput for JSON that cannot be read."""
    if not text.lstrip().startswith("{"):
        return {"preset": text}
    try:
        return json.loads(text)
    except ValueError:
        raise InvalidInput("--policy is not JSON.", hint='Give a preset\'s name, or such as {"outbound": {"links": "deny"}}.') from None


def _named(args: argparse.Namespace, question: str, usage: str) -> str:
    if not args.what:
        raise InvalidInput(question, hint=f"mcp-messenger keys {usage}")
    return str(args.what)
