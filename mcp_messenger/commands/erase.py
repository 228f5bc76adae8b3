"""mcp-messenger erase: removes what a running server has stored of somebody, after it was asked twice."""

import argparse
import json
import sys
from urllib.parse import quote

from mcp_messenger.commands.server import Server
from mcp_messenger.commands.subject import Named, named
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput
from providers.text import clean_line

WHAT = {
    "instance": "the instance {id} with its login, messages, chats, contacts, files, keys and history",
    "chat": "the chat {id} of the instance {instance} with its messages, events, deliveries, drafts and files",
    "contact": "the contact {id} of the instance {instance}, the private chats with them, and what they wrote, voted and reacted in groups",
    "person": "the person {id}: their contacts, private chats, and what they wrote in groups, on all messengers where they were confirmed",
    "user": "all instances of the user {id} with everything in them, and the user's tokens, keys and people",
}
KEPT = "It cannot be taken back. The messenger keeps its own copy, and backups are not changed."


async def erase(config: Config, args: argparse.Namespace) -> int:
    """Return 1 where the answer to the question was another one. Raises InvalidInput, and what the server refuses."""
    of = named(args)
    async with Server.at(args.url, config) as server:
        if of.kind in {"chat", "contact"}:
            of = Named(of.kind, of.id, await server.instance_id(of.instance))
        elif of.kind == "instance":
            of = Named(of.kind, await server.instance_id(of.id))
        if not args.yes and not _confirmed(of):
            say("Nothing was erased.")
            return 1
        done = await _erased(server, of)
    if args.json:
        say(json.dumps(done, indent=2))
    else:
        say("Erased: " + ", ".join(f"{count} {name}" for name, count in done.items() if count) + "." if any(done.values()) else "There was nothing.")
    return 0


def _confirmed(of: Named) -> bool:
    if not sys.stdin.isatty():
        raise InvalidInput("Nobody can be asked whether this is meant.", hint="Add --yes where it is.")
    say(f"This erases {WHAT[of.kind].format(id=clean_line(of.id), instance=of.instance)}.\n{KEPT}")
    try:
        return input(f"Type {clean_line(of.id)} to go on: ").strip() == clean_line(of.id)
    except EOFError:
        return False


async def _erased(server: Server, of: Named) -> dict[str, int]:
    id = quote(of.id, safe="")
    match of.kind:
        case "instance":
            await server.delete(f"/instances/{id}", purge="true")
            return {"instances": 1}
        case "chat":
            return await server.post(f"/instances/{of.instance}/chats/{id}/erase")
        case "contact":
            return await server.post(f"/instances/{of.instance}/contacts/{id}/erase")
        case "person":
            return await server.post(f"/people/{id}/erase")
        case _:
            return await server.post(f"/users/{id}/erase")
