"""mcp-messenger ps: the instances of a running server."""

import json
from datetime import datetime
from typing import Any

from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say, table
from mcp_messenger.config import Config

HEAD = ("ID", "NAME", "MESSENGER", "STATE", "RUNTIME", "ACCOUNT", "LAST ACTIVITY", "WHY")
SHORTEST = 8


async def ps(config: Config, url: str | None, as_json: bool = False) -> None:
    async with Server.at(url, config) as server:
        found = await server.instances()
    if as_json:
        say(json.dumps(found, indent=2))
        return
    if not found:
        say("No accounts yet. Add one with 'mcp-messenger add', or have an agent do it.")
        return
    length = short([one["id"] for one in found])
    say(table(HEAD, [_row(one, length) for one in found]))


def short(ids: list[str]) -> int:
    """How many characters tell the ids apart; at least eight, as they are easier to compare then."""
    return next(length for length in range(SHORTEST, max(map(len, ids)) + 1) if len({id[:length] for id in ids}) == len(ids))


def _row(one: dict[str, Any], length: int) -> tuple[object, ...]:
    activity = one["last_activity"]
    return (
        one["id"][:length],
        one.get("name"),
        one["provider"],
        one["status"],
        one["runtime"],
        account_name(one["account"]),
        datetime.fromisoformat(activity).astimezone().strftime("%Y-%m-%d %H:%M") if activity else None,
        one["status_reason"],
    )


def account_name(account: dict[str, Any] | None) -> str | None:
    names = [account[field] for field in ("name", "username", "phone", "id") if account.get(field)] if account else []
    return str(names[0]) if names else None
