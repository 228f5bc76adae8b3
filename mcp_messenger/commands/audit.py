"""mcp-messenger audit: shows, exports and verifies the audit log of a running server."""

import argparse
import json
from typing import Any

from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say, table
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput

HEAD = ("WHEN", "WHO", "WHAT", "WHOM", "OUTCOME", "BY")
PAGE = 1000
WORDS = {
    "changed": "was changed",
    "removed": "removed",
    "inserted": "was added by something else than this program, or after an end that it did not sign",
    "emptied": "was emptied by something else than an erasure",
    "head": "the end of the log is not the one that was signed, or does not follow from the one that was given",
}


async def audit(config: Config, args: argparse.Namespace) -> int:
    """Do what is asked for; return 1 where the log has a fault. Raises InvalidInput and what the server refuses."""
    if args.head and not args.verify:
        raise InvalidInput("--head is for --verify.", hint="mcp-messenger audit --verify --head POSITION:HASH")
    async with Server.at(args.url, config) as server:
        if args.verify:
            return await _verify(server, args.head)
        of = {"instance_id": await server.instance_id(args.instance)} if args.instance else {}
        if args.export:
            await _export(server, of)
            return 0
        page = await server.get("/audit", **of)
        say(json.dumps(page["entries"], indent=1) if args.json else table(HEAD, [_row(one) for one in page["entries"]]))
    return 0


async def _export(server: Server, of: dict[str, str]) -> None:
    cursor: dict[str, str] = {}
    while True:
        page = await server.get("/audit", limit=PAGE, oldest_first="true", **of, **cursor)
        for entry in page["entries"]:
            say(json.dumps(entry))
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


async def _verify(server: Server, head: str | None) -> int:
    found = await server.get("/audit/verify", **({"head": head} if head else {}))
    for one in found["faults"]:
        say(f"row {one['position']}: {_words(one)}")
    if found["is_signed"] is None:
        say("The end of the log is signed with a secret key that this server does not have.")
    say(f"{found['rows']} rows {'are as they were written' if found['ok'] else 'were checked'}. The end of the log is {found['head']}")
    return 0 if found["ok"] else 1


def _words(one: dict[str, Any]) -> str:
    if one["fault"] == "removed":
        return f"{one['count']} {'is' if one['count'] == 1 else 'are'} missing from here on"
    return WORDS[one["fault"]]


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    whom = one["chat_id"] or one["target"] or (one["instance_id"] or "")[:8]
    by = ", ".join(part for part in (one["rule"], one["decided_by"]) if part)
    return one["at"][:19], one["caller"], one["operation"], whom, one["outcome"] + (f" ({one['code']})" if one["code"] else ""), by
