"""mcp-messenger add [MESSENGER]: asks for what a messenger needs, tries it, and adds the account."""

import argparse
import getpass
import json
import secrets
import sys
from typing import Any, cast

from mcp_messenger.commands.qr import log_in
from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say, table
from mcp_messenger.config import NO_ADDRESS, Config
from mcp_messenger.errors import ApplicationError, InvalidInput, NotAvailable, quoted
from providers.text import clean_line

HEAD = ("MESSENGER", "YOU NEED")
TRIES = 3
"""How often settings are asked for that the messenger refuses."""


async def add(config: Config, args: argparse.Namespace) -> int:
    """Add an account, and log it in where a code does that. Raises InvalidInput, and what the server or the messenger refuses."""
    async with Server.at(args.url, config) as server:
        if args.link:
            page = await server.post("/add-account", {"provider": args.messenger} if args.messenger else {})
            say(json.dumps(page, indent=2) if args.json else page["url"])
            return 0
        known = {one["provider"]: one for one in (await server.get("/messengers"))["messengers"]}
        is_asked = sys.stdin.isatty()
        if args.messenger is None and not is_asked:
            raise InvalidInput("Which messenger?", hint=f"mcp-messenger add MESSENGER, of {', '.join(sorted(known))}.")
        name = args.messenger or _chosen(known)
        if name not in known:
            raise InvalidInput(f"There is no messenger {quoted(name)}.", hint=f"Available: {', '.join(sorted(known))}.")
        credentials, account = await (_asked if is_asked else _given)(server, known[name], dict(args.set))
        label = args.name if args.name is not None else _label(account) if is_asked else ""
        made = await server.post("/instances", {"provider": name, "credentials": credentials, "name": label})
        if args.json:
            say(json.dumps(made["instance"], indent=2))
            return 0
        say(f"Added: {clean_line(label) or known[name]['title']} ({made['instance_id'][:8]}).")
        if known[name]["webhook"]:
            say(f"Address of the webhook: {known[name]['webhook'].replace('{instance_id}', made['instance_id'])}")
            if known[name]["webhook"].startswith(NO_ADDRESS):
                say("The messenger has to reach it from the internet: set MCP_MESSENGER_PUBLIC_URL to the address that this server has there.")
        await log_in(server, made["instance_id"])
        say(f'{known[name]["then"]}\nSay to your agent: "What is new on {known[name]["title"]}?"')
    return 0


def _chosen(known: dict[str, Any]) -> str:
    say(table(HEAD, [(name, one["needs"]) for name, one in sorted(known.items())]))
    return input("Messenger: ").strip()


async def _given(server: Server, messenger: dict[str, Any], settings: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the settings that came as JSON on stdin, and whose they are. Raises InvalidInput for what is no JSON object."""
    text = sys.stdin.read().strip()
    try:
        given: object = json.loads(text or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise InvalidInput("The settings on stdin are no JSON object.", hint='Give such as {"token": "..."}, or start it in a terminal to be asked.')
    credentials = {**settings, **cast("dict[str, Any]", given)}
    return credentials, await _account(server, messenger, credentials)


async def _asked(server: Server, messenger: dict[str, Any], settings: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Ask a person for the settings until the messenger takes them; return them, and whose they are."""
    for number, step in enumerate(messenger["steps"], 1):
        say(f"{number}. {step}")
    for left in reversed(range(TRIES)):
        open_ones = [one for one in messenger["settings"] if not one["advanced"] and one["name"] not in settings]
        credentials = settings | {one["name"]: value for one in open_ones if (value := _value(one))}
        try:
            return credentials, await _account(server, messenger, credentials)
        except NotAvailable:
            raise
        except ApplicationError as error:
            if not left:
                raise
            say(f"{error.detail} {error.hint or ''}".rstrip())
    raise AssertionError


def _value(setting: dict[str, Any]) -> str:
    """Return a setting as a person types it, a secret without showing it; a made one where any word will do; empty where it may be left out."""
    ask = getpass.getpass if setting["secret"] else input
    is_needed = setting["required"] and not setting["generated"]
    say(f"\n{setting['where']}")
    while not (value := ask(f"{setting['label']}{'' if is_needed else ' (may be empty)'}: ").strip()) and is_needed:
        pass
    if not value and setting["generated"]:
        value = secrets.token_urlsafe(16)
        say(f"Made up: {value}\nGive it to the messenger with the address of the webhook. It is shown this once.")
    return value


async def _account(server: Server, messenger: dict[str, Any], credentials: dict[str, Any]) -> dict[str, Any] | None:
    found = (await server.post("/check-credentials", {"provider": messenger["provider"], "credentials": credentials}))["account"]
    if found is not None:
        print(f"This is {_name(found)}.", file=sys.stderr)  # noqa: T201 - beside the answer
    return found


def _label(account: dict[str, Any] | None) -> str:
    own = "" if account is None else _name(account)
    return input(f"Name, for you and your agent{f' [{own}]' if own else ''}: ").strip()


def _name(account: dict[str, Any]) -> str:
    return clean_line(str(account.get("name") or account.get("username") or account.get("id") or ""))
