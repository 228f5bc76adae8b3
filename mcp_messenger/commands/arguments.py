"""The arguments of the command line."""

import argparse
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from mcp_messenger.config.modes import API_MODES
from mcp_messenger.version import __version__

MODES = ("mcp", "instance-manager", *API_MODES)
TAIL = 100


def parser() -> argparse.ArgumentParser:
    settings = _settings()
    top = argparse.ArgumentParser(
        "mcp-messenger",
        parents=[settings],
        description="Messengers for AI agents, over MCP and REST. Without a command: an MCP server over stdio.",
        epilog="'mcp-messenger COMMAND --help' tells what a command takes. Some ask a running server, with MCP_MESSENGER_ADMIN_TOKEN.",
    )
    top.add_argument("--version", action="version", version=__version__)
    top.add_argument(
        "--mode", choices=MODES, help="mcp (stdio, the default), instance-manager (as serve), or one instance's server, such as telegram-api"
    )
    commands = top.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    of_store, hidden = _settings({"--data-dir"}), _settings(frozenset())
    serving = _settings({"--host", "--port", "--data-dir", "--toolsets", "--read-only", "--log-level"})
    commands.add_parser("serve", parents=[serving], help="serve MCP and REST over HTTP")
    commands.add_parser("demo", parents=[hidden], help="try it in this terminal")
    token = commands.add_parser("token", parents=[of_store], help="make a user's token")
    token.add_argument("user", nargs="?", help="whose it is")
    reencrypt = commands.add_parser("reencrypt", parents=[of_store], help="encrypt all secrets again, after the secret key has changed")
    reencrypt.add_argument("--new-key", action="store_true", help="first put a new key before that in the data folder")
    reencrypt.add_argument("--drop-former", action="store_true", help="leave only the current key in the data folder, when nothing is under another")
    migrate = commands.add_parser("migrate", parents=[of_store], help="bring the database's schema up to date, or to a version")
    migrate.add_argument("--to", metavar="N", help="the last migration to keep, such as 8; later ones are taken back, with what they hold")
    migrate.add_argument("--status", action="store_true", help="only list the migrations")
    _add_backup(commands.add_parser, of_store)
    _add_commands(commands.add_parser, hidden)
    return top


def _settings(shown: Collection[str] | None = None) -> argparse.ArgumentParser:
    """Options that may precede and follow a command; without defaults, or that of the command would override a preceding one.

    All are taken everywhere, so that a line which worked goes on working; help names those in `shown`; None: all.
    """
    settings = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)

    def add(name: str, help: str | None = None, **more: Any) -> None:
        settings.add_argument(name, help=help if shown is None or name in shown else argparse.SUPPRESS, **more)

    add("--host")
    add("--port", type=_port)
    add("--api-port", "port of one instance's server", type=_port)
    add("--telegram-bot-token", "for telegram-api; better set TELEGRAM_BOT_TOKEN, which other users cannot see")
    add("--telegram-base-url", "for telegram-api with a Bot API server of one's own; or set TELEGRAM_BASE_URL")
    add("--credentials-file", "for one instance's server: its settings as JSON; or set MCP_MESSENGER_CREDENTIALS", type=Path)
    add("--data-dir", type=Path)
    add("--toolsets", "default, all, or names separated by commas")
    add("--read-only", "only tools that change nothing; always wins", action="store_true")
    add("--log-level")
    return settings


def _add_backup(add: Callable[..., argparse.ArgumentParser], settings: argparse.ArgumentParser) -> None:
    """Those that save what is stored and put it back."""
    backup = add("backup", parents=[settings], help="write the database, the logins and the media into a file, while the server runs")
    backup.add_argument("file", type=Path, metavar="FILE")
    backup.add_argument("--with-key", action="store_true", help="also the secret key: whoever has the file can then read every token in it")
    backup.add_argument("--compress", action="store_true", help="a file of less than half the size, in three times the time")
    backup.add_argument("--force", action="store_true", help="overwrite the file")
    restore = add("restore", parents=[settings], help="put a backup into the database and the data folder, with no server running")
    restore.add_argument("file", type=Path, metavar="FILE")
    restore.add_argument("--check", action="store_true", help="only read the file and say what is in it")
    restore.add_argument("--take-over", action="store_true", help="the original is gone for good: instances run as they did, not stopped")
    restore.add_argument("--force", action="store_true", help="replace what the database holds, and set the folders of before aside")


def _add_commands(add: Callable[..., argparse.ArgumentParser], settings: argparse.ArgumentParser) -> None:
    """Those that ask a running server."""
    of_server = argparse.ArgumentParser(add_help=False)
    of_server.add_argument("--url", help="where the server is; without it, where the settings say it listens")
    of_instance = argparse.ArgumentParser(add_help=False)
    of_instance.add_argument("id", help="the instance's id, or as much of its beginning as tells it from the others")
    doctor = add("doctor", parents=[settings, of_server], help="look at every part, and say what to do; exit code 1 for a problem")
    doctor.add_argument("--json", action="store_true", help="for programs")
    add("ps", parents=[settings, of_server], help="list the instances")
    purge = add("purge", parents=[settings, of_server], help="remove what removed instances have left: messages, chats, contacts, files")
    purge.add_argument("id", nargs="?", help="the whole id of the removed instance; without it, list what is left")
    logs = add("logs", parents=[settings, of_server, of_instance], help="show what an instance logged")
    logs.add_argument("--follow", "-f", action="store_true", help="go on with new lines")
    logs.add_argument("--tail", type=_tail, default=TAIL, help=f"how many of the newest lines ({TAIL})")
    approve = add("approve", parents=[settings, of_server], help="show what agents ask for, and approve or deny it")
    approve.add_argument("code", nargs="?", help="the code, or the id, of one of them; without it all that wait are shown")
    decision = approve.add_mutually_exclusive_group()
    decision.add_argument("--deny", action="store_true", help="it is not carried out")
    decision.add_argument("--always", action="store_true", help="trust its chat from now on")
    decision.add_argument("--link", action="store_true", help="print the address of a page on which somebody decides, once")
    approve.add_argument("--text", help="send this text instead, or answer a question with it")
    keys = add("keys", parents=[settings, of_server], help="list, make and revoke keys that may do only some things")
    keys.add_argument("act", nargs="?", choices=("list", "create", "revoke"), default="list", help="(list)")
    keys.add_argument("what", nargs="?", metavar="NAME_OR_ID", help="create: what the key is for; revoke: its id")
    keys.add_argument("--scopes", default="read,send", help="of read, send, manage, delete, keys (read,send)")
    keys.add_argument(
        "--instance", action="append", metavar="ID", help="an instance that it is for, several times for several; none: all of the user"
    )
    keys.add_argument("--days", type=float, help="after which it expires")
    keys.add_argument("--user", help="whose it is")
    add("qr", parents=[settings, of_server, of_instance], help="show the code to log in with, until somebody is logged in")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)


def _tail(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 5000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines: give one from 1 to 5000")
    return int(text)
