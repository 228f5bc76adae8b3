"""mcp-messenger policy ACCOUNT: what agents may do with an account, shown and changed by its owner."""

import argparse
import json
from typing import Any, cast

from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput
from providers.text import clean_line


async def policy(config: Config, args: argparse.Namespace) -> None:
    """Show the policy, after it was changed where something is given. Raises InvalidInput, and what the server refuses."""
    async with Server.at(args.url, config) as server:
        path = f"/instances/{await server.instance_id(args.account)}/policy"
        change = _change(args)
        now = await server.put(path, change) if change else await server.get(path)
    if args.json:
        say(json.dumps(now, indent=2))
        return
    for name, value in now["policy"].items():
        if isinstance(value, dict):
            say(f"{name}:")
            for part, inner in cast("dict[str, object]", value).items():
                say(f"  {part}: {_shown(inner)}")
        else:
            say(f"{name}: {_shown(value)}")
    for name in ("trusted", "paired"):
        say(f"{name}: {', '.join(map(clean_line, now[name])) or 'nobody'}")
    if not change:
        say(f"\nPresets: {', '.join(now['presets'])}. Set one with: mcp-messenger policy ACCOUNT 'PRESET'")


def _change(args: argparse.Namespace) -> dict[str, Any]:
    change: dict[str, Any] = {name: getattr(args, name) for name in ("trust", "distrust") if getattr(args, name)}
    if args.to is None:
        return change
    if not args.to.lstrip().startswith("{"):
        return {**change, "preset": args.to}
    try:
        return {**change, **json.loads(args.to)}
    except ValueError:
        raise InvalidInput("This is not JSON.", hint='Give a preset\'s name, or such as {"outbound": {"links": "deny"}}.') from None


def _shown(value: object) -> str:
    return clean_line(value if isinstance(value, str) else json.dumps(value))
