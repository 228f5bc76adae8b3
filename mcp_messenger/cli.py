"""The command line. Without arguments it is the stdio server that a client's configuration names."""

import argparse
import dataclasses
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pydantic import SecretStr

from mcp_messenger import logs, tracing
from mcp_messenger.config import Config, from_environment
from mcp_messenger.version import __version__
from providers.errors import MessengerError

MODES = ("mcp", "instance-manager", "telegram-api", "sandbox-api", "whatsapp-api")
API_MODES = {"telegram-api": "telegram", "sandbox-api": "sandbox", "whatsapp-api": "whatsappweb"}
QUIET_STORE = 0.3
"""Seconds in which nobody but the first call starts the store: a client asks for the tools first, and the driver's import would hold them up."""
IN_A_TERMINAL = """mcp-messenger is waiting for an MCP client on stdin.
You seem to be a person: try 'mcp-messenger demo', or 'mcp-messenger serve' for HTTP. To use it from Claude Desktop, put this into its configuration:
{configuration}
Press Ctrl+C to leave."""


def run(arguments: Sequence[str]) -> int:
    """The exit code: 0 done, 1 something failed, 2 wrong arguments."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.user is not None and args.command != "token":
        parser.error(f"{args.command} takes no {args.user!r}")
    try:
        config = _config(args)
        config.check()
        logs.configure(config.log_level, json=config.log_json)
        tracing.configure()
        return _command(args, config)
    except MessengerError as error:
        print(f"mcp-messenger: {error.detail}" + (f"\n{error.hint}" if error.hint else ""), file=sys.stderr)  # noqa: T201 - a person reads it
        return 1
    except ValueError as error:
        print(f"mcp-messenger: {error}", file=sys.stderr)  # noqa: T201
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("mcp-messenger", description="Messengers for AI agents, over MCP and REST.")
    parser.add_argument("command", nargs="?", choices=("serve", "demo", "token"), help="serve: HTTP; demo: try it; token USER: make a user's token")
    parser.add_argument("user", nargs="?", help="for token: whose it is")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--mode", choices=MODES, help="mcp (stdio, the default), instance-manager (as serve), or one messenger alone")
    parser.add_argument("--host")
    parser.add_argument("--port", type=_port)
    parser.add_argument("--api-port", type=_port, help="port of a messenger alone")
    parser.add_argument("--telegram-bot-token", help="for telegram-api; better set TELEGRAM_BOT_TOKEN, which other users cannot see")
    parser.add_argument("--telegram-base-url", help="for telegram-api with a Bot API server of one's own; or set TELEGRAM_BASE_URL")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--toolsets", help="default, all, or names separated by commas")
    parser.add_argument("--read-only", action="store_true", default=None, help="only tools that change nothing; always wins")
    parser.add_argument("--log-level")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)


def _config(args: argparse.Namespace) -> Config:
    config = from_environment(os.environ)
    given = {
        "host": args.host,
        "port": args.api_port if args.api_port is not None else args.port,
        "data_dir": args.data_dir,
        "toolsets": tuple(name.strip() for name in args.toolsets.split(",")) if args.toolsets else None,
        "read_only": args.read_only,
        "log_level": args.log_level,
    }
    return dataclasses.replace(config, **{name: value for name, value in given.items() if value is not None})


def _command(args: argparse.Namespace, config: Config) -> int:
    if args.command == "demo":
        from mcp_messenger.demo import demo

        return _run(demo)
    if args.command == "token":
        from mcp_messenger.serve import print_token

        return _run(print_token, config, args.user or "")
    if args.command == "serve" or args.mode == "instance-manager":
        from mcp_messenger.serve import serve

        return _run(serve, config)
    if args.mode in API_MODES:
        from mcp_messenger.standalone import serve_one

        token = args.telegram_bot_token or os.environ.get("TELEGRAM_BOT_TOKEN")
        base_url = args.telegram_base_url or os.environ.get("TELEGRAM_BASE_URL")
        return _run(serve_one, config, API_MODES[args.mode], SecretStr(token) if token else None, base_url)
    return _stdio(config)


def _stdio(config: Config) -> int:
    from mcp_messenger.app import running
    from mcp_messenger.faces.mcp import selected
    from mcp_messenger.faces.mcp_stdio import serve_stdio

    selected(config)
    if sys.stdin.isatty():
        from mcp_messenger.client_configuration import stdio_configuration

        print(IN_A_TERMINAL.format(configuration=stdio_configuration()), file=sys.stderr)  # noqa: T201 - a person reads it

    async def main() -> None:
        async with running(config, quiet=QUIET_STORE) as app:
            await serve_stdio(app)

    return _run(main)


def _run(main: Callable[..., Awaitable[object]], *args: object) -> int:
    import asyncio

    import anyio

    # psycopg does not work on Windows' own default loop.
    options: dict[str, object] = {"loop_factory": asyncio.SelectorEventLoop} if os.name == "nt" else {}
    gc.freeze()
    gc.enable()
    try:
        anyio.run(main, *args, backend_options=options)
    except KeyboardInterrupt:
        return 130
    except BaseExceptionGroup as group:
        ours = group.subgroup(MessengerError)
        if ours is None:
            raise
        raise _first(ours) from None
    return 0


def _first(group: BaseExceptionGroup[MessengerError]) -> MessengerError:
    """The error that a person can act on, out of the task groups it came through."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
