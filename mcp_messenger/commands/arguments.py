"""The arguments of the command line."""

import argparse
import difflib
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NoReturn

from mcp_messenger.config.modes import API_MODES
from mcp_messenger.observability.logs import LEVELS
from mcp_messenger.version import __version__

SHELLS = ("bash", "zsh", "fish")
MODES = ("mcp", "instance-manager", *API_MODES)
TAIL = 100
SHOWN = 20
PROGRAMS = "for programs"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and which word may be meant, instead of how everything is used."""
        from mcp_messenger.commands.manual import commands_of, options_of

        meant: list[str] = []
        if chosen := re.search(r"invalid choice: '?([^' ]*)'? \(choose from (.*)\)", message):
            meant = difflib.get_close_matches(chosen[1], re.findall(r"[\w-]+", chosen[2]), 1)
        elif unknown := re.search(r"unrecognized arguments: .*?(--[^\s=]+)", message):
            options = {name for command in (self, *commands_of(self).values()) for action in options_of(command) for name in action.option_strings}
            meant = difflib.get_close_matches(unknown[1], sorted(options), 1)
        if meant:
            message = f"{message.partition(' (choose from')[0]}. Is {meant[0]} meant?"
        self.exit(2, f"{self.prog}: {message}\n'{self.prog} --help' shows what there is.\n")


def parser() -> argparse.ArgumentParser:
    settings = _settings()
    top = _Parser(
        "mcp-messenger",
        parents=[settings],
        description="Messengers for AI agents, over MCP and REST. Without a command: an MCP server over stdio.",
        epilog="'mcp-messenger COMMAND --help' tells what a command takes. Some ask a running server, with MCP_MESSENGER_ADMIN_TOKEN.",
    )
    top.add_argument("--version", action="version", version=__version__)
    top.add_argument(
        "--mode", choices=MODES, help="mcp (stdio, the default), instance-manager (as serve), or one instance's server, such as telegram-api"
    )
    top.add_argument(
        "--channel", nargs="*", metavar="INSTANCE", help="over stdio, be a channel of Claude Code: push what comes in, of these instances or of all"
    )
    commands = top.add_subparsers(dest="command", title="commands", metavar="COMMAND")

    def add(name: str, *, help: str, **more: Any) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.", **more)

    of_store, hidden = _settings({"--data-dir"}), _settings(frozenset())
    serving = _settings({"--host", "--port", "--data-dir", "--toolsets", "--read-only", "--log-level"})
    add("serve", parents=[serving], help="serve MCP and REST over HTTP")
    add("demo", parents=[hidden], help="try it in this terminal")
    token = add("token", parents=[of_store, _json()], help="make a user's token")
    token.add_argument("user", nargs="?", help="whose it is")
    reencrypt = add("reencrypt", parents=[of_store, _json()], help="encrypt all secrets again, after the secret key has changed")
    reencrypt.add_argument("--new-key", action="store_true", help="first put a new key before that in the data folder")
    reencrypt.add_argument("--drop-former", action="store_true", help="leave only the current key in the data folder, when nothing is under another")
    add("broker", parents=[hidden], help="own the engine's socket, and let a server make instances' containers with it, nothing else")
    migrate = add("migrate", parents=[of_store, _json()], help="bring the database's schema up to date, or to a version")
    migrate.add_argument("--to", metavar="N", help="the last migration to keep, such as 8; later ones are taken back, with what they hold")
    migrate.add_argument("--status", action="store_true", help="only list the migrations")
    _add_backup(add, of_store)
    _add_transfers(add, of_store)
    _add_commands(add, hidden)
    _add_conversation(add, hidden)
    shell = add("completion", parents=[hidden], help="print a script that completes commands and options in your shell")
    shell.add_argument("shell", choices=SHELLS, help='put `eval "$(mcp-messenger completion bash)"` into ~/.bashrc, for example')
    add("man", parents=[hidden], help="print the manual page: mcp-messenger man | man -l -")
    add("clients", parents=[hidden, _json()], help="print what to paste into MCP clients on this computer")
    return top


def _settings(shown: Collection[str] | None = None) -> argparse.ArgumentParser:
    """Options that may precede and follow a command; without defaults, or that of the command would override a preceding one.

    All are taken everywhere, so that a line which worked goes on working; help names those in `shown`; None: all.
    """
    settings = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)

    def add(name: str, help: str | None = None, **more: Any) -> None:
        settings.add_argument(name, help=help if shown is None or name in shown else argparse.SUPPRESS, **more)

    add("--host", "address to listen on (127.0.0.1)")
    add("--port", "port to listen on (3000)", type=_port)
    add("--api-port", "port of one instance's server", type=_port)
    add("--telegram-bot-token", "for telegram-api; better set TELEGRAM_BOT_TOKEN, which other users cannot see")
    add("--telegram-base-url", "for telegram-api with a Bot API server of one's own; or set TELEGRAM_BASE_URL")
    add("--credentials-file", "for one instance's server: its settings as JSON; or set MCP_MESSENGER_CREDENTIALS", type=Path)
    add("--data-dir", "folder of the embedded store, the secret key and media", type=Path)
    add("--toolsets", "default, all, or names separated by commas")
    add("--read-only", "only tools that change nothing; always wins", action="store_true")
    add("--log-level", "DEBUG, INFO, WARNING or ERROR (INFO)", type=_level)
    return settings


def _add_backup(add: Callable[..., argparse.ArgumentParser], settings: argparse.ArgumentParser) -> None:
    """Those that save what is stored and put it back."""
    backup = add("backup", parents=[settings], help="write the database, the logins and the media into a file, while the server runs")
    backup.add_argument("file", type=Path, metavar="FILE", help="its name")
    backup.add_argument("--with-key", action="store_true", help="also the secret key: whoever has the file can then read every token in it")
    backup.add_argument("--compress", action="store_true", help="a file of less than half the size, in three times the time")
    backup.add_argument("--force", action="store_true", help="overwrite the file")
    backup.add_argument("--json", action="store_true", help=PROGRAMS)
    restore = add("restore", parents=[settings], help="put a backup into the database and the data folder, with no server running")
    restore.add_argument("file", type=Path, metavar="FILE", help="its name")
    restore.add_argument("--check", action="store_true", help="only read the file and say what is in it")
    restore.add_argument("--take-over", action="store_true", help="the original is gone for good: instances run as they did, not stopped")
    restore.add_argument("--force", action="store_true", help="replace what the database holds, and set the folders of before aside")
    restore.add_argument("--without-containers", action="store_true", help="leave the logins of instances in containers out")
    restore.add_argument("--json", action="store_true", help=PROGRAMS)


def _subject() -> argparse.ArgumentParser:
    """Whose data it is about."""
    subject = argparse.ArgumentParser(add_help=False)
    subject.add_argument("--instance", metavar="ID", help="all of an instance; with --chat or --contact, that part of it")
    part = subject.add_mutually_exclusive_group()
    part.add_argument("--chat", metavar="ID", help="a chat of the instance")
    part.add_argument("--contact", metavar="ID", help="a contact of the instance: private chats, and what they wrote in groups")
    subject.add_argument("--person", metavar="ID", help="a person on all messengers where their contact was confirmed")
    subject.add_argument("--user", metavar="NAME", help="all instances of a user")
    return subject


def _add_transfers(add: Callable[..., argparse.ArgumentParser], settings: argparse.ArgumentParser) -> None:
    """Those that take data out of the store, and put it into another."""
    export = add("export", parents=[settings, _subject()], help="write what is stored of a person, a chat, an instance or a user into a file")
    export.add_argument("file", type=Path, metavar="FILE", help="a zip file with JSON Lines and media")
    export.add_argument("--force", action="store_true", help="overwrite the file")
    export.add_argument("--json", action="store_true", help=PROGRAMS)
    given = add("import", parents=[settings], help="take the file of an export of this or another installation; again changes nothing")
    given.add_argument("file", type=Path, metavar="FILE", help="its name")
    given.add_argument("--json", action="store_true", help=PROGRAMS)


def _add_commands(add: Callable[..., argparse.ArgumentParser], settings: argparse.ArgumentParser) -> None:
    """Those that ask a running server."""
    of_server = argparse.ArgumentParser(add_help=False)
    of_server.add_argument("--url", help="where the server is; without it, where the settings say it listens")
    of_instance = argparse.ArgumentParser(add_help=False)
    of_instance.add_argument("id", help="the account's name, or its id, or as much of its beginning as tells it from the others")
    doctor = add("doctor", parents=[settings, of_server], help="look at every part, and say what to do; exit code 1 for a problem")
    doctor.add_argument("--json", action="store_true", help=PROGRAMS)
    new = add("add", parents=[settings, of_server], help="add an account: asks for what its messenger needs, tries it, and logs it in")
    new.add_argument("messenger", nargs="?", help="such as telegram; without it, choose")
    new.add_argument("--name", help="what you call the account")
    new.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", type=_setting, help="a setting that is no secret")
    new.add_argument("--link", action="store_true", help="only print the address of a page on which somebody adds it, once")
    new.add_argument("--json", action="store_true", help="for programs; settings come as JSON on stdin")
    add("ps", parents=[settings, of_server, _json()], help="list the instances")
    purge = add("purge", parents=[settings, of_server, _json()], help="remove what removed instances have left: messages, chats, contacts, files")
    purge.add_argument("id", nargs="?", help="the whole id of the removed instance; without it, list what is left")
    erase = add("erase", parents=[settings, of_server, _subject()], help="remove what is stored of a person, a chat, an instance or a user, for good")
    erase.add_argument("--yes", action="store_true", help="do not ask")
    erase.add_argument("--json", action="store_true", help=PROGRAMS)
    logs = add("logs", parents=[settings, of_server, of_instance, _json()], help="show what an instance logged")
    logs.add_argument("--follow", "-f", action="store_true", help="go on with new lines")
    logs.add_argument("--tail", type=_tail, default=TAIL, help=f"how many of the newest lines ({TAIL})")
    approve = add("approve", parents=[settings, of_server, _json()], help="show what agents ask for, and approve or deny it")
    approve.add_argument("code", nargs="?", help="the code, or the id, of one of them; without it all that wait are shown")
    decision = approve.add_mutually_exclusive_group()
    decision.add_argument("--deny", action="store_true", help="it is not carried out")
    decision.add_argument("--always", action="store_true", help="trust its chat from now on")
    decision.add_argument("--link", action="store_true", help="print the address of a page on which somebody decides, once")
    approve.add_argument("--text", help="send this text instead, or answer a question with it")
    keys = add("keys", parents=[settings, of_server, _json()], help="list, make and revoke keys that may do only some things")
    keys.add_argument("act", nargs="?", choices=("list", "create", "revoke"), default="list", help="(list)")
    keys.add_argument("what", nargs="?", metavar="NAME_OR_ID", help="create: what the key is for; revoke: its id")
    keys.add_argument("--scopes", default="read,send", help="of read, send, manage, delete, keys (read,send)")
    keys.add_argument(
        "--instance", action="append", metavar="ID", help="an instance that it is for, several times for several; none: all of the user"
    )
    keys.add_argument("--policy", metavar="PRESET_OR_JSON", help="what the key narrows of its instances' policies, such as 'read only'")
    keys.add_argument("--days", type=float, help="after which it expires")
    keys.add_argument("--user", help="whose it is")
    tokens = add("tokens", parents=[settings, of_server, _json()], help="list, make and revoke a user's tokens, which do all that the user may do")
    tokens.add_argument("act", nargs="?", choices=("list", "create", "revoke"), default="list", help="(list)")
    tokens.add_argument("id", nargs="?", metavar="ID", help="revoke: which one")
    tokens.add_argument("--user", help="whose; for the administrator")
    usage = add("usage", parents=[settings, of_server, _json()], help="show how much a user uses, and may use")
    usage.add_argument("--user", help="whose; for the administrator")
    audit = add("audit", parents=[settings, of_server], help="show who did what to whom; exit code 1 where --verify finds a fault")
    what = audit.add_mutually_exclusive_group()
    what.add_argument("--json", action="store_true", help="the newest rows as JSON")
    what.add_argument("--export", action="store_true", help="all rows as JSON lines, the oldest first")
    what.add_argument("--verify", action="store_true", help="check that no row was changed, removed or added by somebody else")
    audit.add_argument("--head", metavar="POSITION:HASH", help="with --verify: the end as it was printed before; it must still be there")
    audit.add_argument("--instance", metavar="ID", help="rows of one instance only")
    code = add("qr", parents=[settings, of_server, of_instance, _json()], help="show the code to log in with, until somebody is logged in")
    code.add_argument("--link", action="store_true", help="only print the address of a page with the code, for a browser")


def _add_conversation(add: Callable[..., argparse.ArgumentParser], settings: argparse.ArgumentParser) -> None:
    """Those of the daily round with an account."""
    of_account = argparse.ArgumentParser(add_help=False)
    of_account.add_argument("--url", help="where the server is; without it, where the settings say it listens")
    of_account.add_argument("account", help="the account's name, or its id, or as much of its beginning as tells it from the others")
    parents = [settings, of_account, _json()]
    chats = add("chats", parents=parents, help="list the chats of an account, the newest activity first")
    chats.add_argument("--unread", action="store_true", help="only chats with unread messages")
    chats.add_argument("--limit", type=_number, default=SHOWN, help=f"how many ({SHOWN})")
    read = add("read", parents=parents, help="show the newest messages of a chat, and mark nothing as read")
    read.add_argument("chat", help="the chat's id, as `chats` shows it")
    read.add_argument("--limit", type=_number, default=SHOWN, help=f"how many ({SHOWN})")
    send = add("send", parents=parents, help="send a text or a file; exit code 1 where it did not go out, or may not have")
    send.add_argument("to", help="the chat's id, a phone number or a name, as the messenger takes it")
    send.add_argument("text", nargs="?", help="the text, or the file's caption; - for one on stdin")
    send.add_argument("--file", type=Path, help="send this file")
    send.add_argument("--reply-to", metavar="ID", help="answer this message")
    send.add_argument("--key", help="the same key is sent once, however often the command is run")
    policy = add("policy", parents=parents, help="show what agents may do with an account, and change it")
    policy.add_argument("to", nargs="?", metavar="PRESET_OR_JSON", help="a preset's name, or the parts to change as JSON")
    policy.add_argument("--trust", action="append", metavar="CHAT", help="let agents write to this chat without asking")
    policy.add_argument("--distrust", action="append", metavar="CHAT", help="ask again before they write to this chat")
    deliveries = add("deliveries", parents=parents, help="list the events that were to be posted to the webhook, and deliver some again")
    deliveries.add_argument("--status", choices=("pending", "done", "dead"), help="only these; dead: given up")
    deliveries.add_argument("--limit", type=_number, default=SHOWN, help=f"how many ({SHOWN})")
    again = deliveries.add_mutually_exclusive_group()
    again.add_argument("--retry", metavar="ID", help="deliver this one again")
    again.add_argument("--retry-dead", action="store_true", help="deliver all again that were given up")


def _json() -> argparse.ArgumentParser:
    shape = argparse.ArgumentParser(add_help=False)
    shape.add_argument("--json", action="store_true", help=PROGRAMS)
    return shape


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 100")
    return int(text)


def _level(text: str) -> str:
    if text.upper() not in LEVELS:
        raise argparse.ArgumentTypeError(f"{text!r} is no level: give {', '.join(LEVELS)}")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is no setting: give it as NAME=VALUE")
    return name, value


def _tail(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 5000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines: give one from 1 to 5000")
    return int(text)
