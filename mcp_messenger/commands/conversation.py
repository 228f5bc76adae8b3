"""mcp-messenger chats, read and send: the daily round of a person with an account of a running server."""

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import say, table
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput
from providers.text import clean, clean_line

HEAD = ("CHAT", "TITLE", "UNREAD", "LAST", "TEXT")
TEXT_MAX = 60
FILE_MAX = 64 * 1024 * 1024


async def chats(config: Config, args: argparse.Namespace) -> None:
    """List the chats of an account, the newest activity first."""
    async with Server.at(args.url, config) as server:
        id = await server.instance_id(args.account)
        page = await server.get(f"/instances/{id}/chats", limit=args.limit, **({"unread": "true"} if args.unread else {}))
    if args.json:
        say(json.dumps(page, indent=2))
        return
    rows = [
        (one["id"], one["title"], one["unread"] or "", _when(one["last_at"]), clean_line(one["last_text"] or "")[:TEXT_MAX]) for one in page["chats"]
    ]
    say(table(HEAD, rows) if rows else "No chats yet." if not args.unread else "Nothing is unread.")


async def read(config: Config, args: argparse.Namespace) -> None:
    """Show the newest messages of a chat, the oldest of them first. Reading them here marks nothing as read."""
    async with Server.at(args.url, config) as server:
        id = await server.instance_id(args.account)
        page = await server.get(f"/instances/{id}/messages/{quote(args.chat, safe='')}", limit=args.limit)
    if args.json:
        say(json.dumps(page, indent=2))
        return
    for one in reversed(page["messages"]):
        who = "me" if one["own"] else clean_line(one.get("from") or one.get("sender_id") or "?")
        say(f"{_when(one['at'])}  {who}: {_text(one)}{_fate(one)}")
    if not page["messages"]:
        say("No messages.")


async def send(config: Config, args: argparse.Namespace) -> int:
    """Send a text, or a file with the text as its caption; return 1 where it did not go out, or may not have."""
    async with Server.at(args.url, config) as server:
        id = await server.instance_id(args.account)
        text = sys.stdin.read().rstrip("\n") if args.text == "-" else args.text or ""
        body: dict[str, Any] = {
            "to": args.to,
            **({"idempotency_key": args.key} if args.key else {}),
            **({"reply_to": args.reply_to} if args.reply_to else {}),
        }
        if args.file is not None:
            sent = await server.post(f"/instances/{id}/send/media", {**body, **_file(args.file), "caption": text})
        elif text:
            sent = await server.post(f"/instances/{id}/send", {**body, "message": text})
        else:
            raise InvalidInput("There is nothing to send.", hint="Give a text, - for one on stdin, or --file.")
    if args.json:
        say(json.dumps(sent, indent=2))
    else:
        say(f"{sent['status']}: message {sent['message_id']} to {clean_line(sent['chat_id'])}. {clean_line(sent['detail'] or '')}".rstrip())
    return 1 if sent["status"] in {"failed", "unknown"} else 0


def _file(path: Path) -> dict[str, str]:
    import base64

    try:
        if path.stat().st_size > FILE_MAX:
            raise InvalidInput(f"{path} is larger than {FILE_MAX // 2**20} MB.", hint="Put it into the server's media folder, and send it over REST.")
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    return {"source": f"base64:{base64.b64encode(content).decode()}", "name": path.name}


def _when(at: str | None) -> str:
    return "" if at is None else datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M")


def _text(one: dict[str, Any]) -> str:
    files = "".join(f"[{clean_line(media['kind'])}{' ' + clean_line(media['name']) if media.get('name') else ''}] " for media in one["media"])
    kind = f"[{one['kind']}] " if not one["text"] and not files else ""
    return (files + kind + clean(one["text"])).replace("\n", "\n    ").rstrip()


def _fate(one: dict[str, Any]) -> str:
    return f"  ({one['status']})" if one["own"] and one["status"] else ""
