"""The command line. Without arguments it is the stdio server that a client's configuration names."""

import argparse
import dataclasses
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from mcp_messenger.commands import arguments
from mcp_messenger.config import Config, folder_of, from_environment
from mcp_messenger.config.modes import API_MODES
from mcp_messenger.observability import logs, tracing
from providers.errors import MessengerError

COMMANDS = frozenset({"doctor", "ps", "logs", "qr", "approve", "purge", "keys"})
"""They ask a server, and need no set-up that would be safe to serve with."""
ALONE = frozenset({"migrate", "backup", "restore"})
"""They work on the store themselves, and serve nobody."""
STORE_AFTER = 0.3
"""Seconds in which nobody but the first call starts the store: a client asks for the tools first, and the driver's import would hold them up."""
IN_A_TERMINAL = """mcp-messenger is waiting for an MCP client on stdin.
You seem to be a person: try 'mcp-messenger demo', or 'mcp-messenger serve' for HTTP. To use it from Claude Desktop, put this into its configuration:
{configuration}
Press Ctrl+C to leave."""


def run(given: Sequence[str]) -> int:
    """The exit code: 0 done, 1 something failed, 2 wrong arguments."""
    args = arguments.parser().parse_args(given)
    try:
        config = _config(args)
        if args.command not in {*COMMANDS, *ALONE} and not (args.mode in API_MODES and _is_managed()):
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


def _config(args: argparse.Namespace) -> Config:
    given = vars(args)
    settings = {name: given[name] for name in ("host", "port", "data_dir", "read_only", "log_level") if name in given}
    if "data_dir" in given:
        settings["data_dir"] = folder_of("--data-dir", str(given["data_dir"]))
    if "api_port" in given:
        settings["port"] = given["api_port"]
    if given.get("toolsets"):
        settings["toolsets"] = tuple(name.strip() for name in given["toolsets"].split(","))
    return dataclasses.replace(from_environment(os.environ), **settings)


def _command(args: argparse.Namespace, config: Config) -> int:
    if args.command in COMMANDS:
        return _ask(args, config)
    if args.command == "demo":
        from mcp_messenger.commands.demo import demo

        return _run(demo)
    if args.command in ALONE:
        return _alone(args, config)
    if args.command == "reencrypt":
        from mcp_messenger.commands.reencrypt import reencrypt

        return _run(partial(reencrypt, config, new_key=args.new_key, drop_former=args.drop_former))
    if args.command == "token":
        from mcp_messenger.commands.serve import print_token

        return _run(print_token, config, args.user or "")
    if args.command == "serve" or args.mode == "instance-manager":
        from mcp_messenger.commands.serve import serve

        return _run(serve, config)
    if args.mode in API_MODES:
        return _relay(args, config) if _is_managed() else _single_instance(args, config)
    return _stdio(config)


def _alone(args: argparse.Namespace, config: Config) -> int:
    if args.command == "migrate":
        from mcp_messenger.commands.migrate import migrate

        return _run(migrate, config, args.to, args.status)
    if args.command == "backup":
        from mcp_messenger.commands.backup import backup

        return _run(backup, config, args.file, args.with_key, args.compress, args.force)
    from mcp_messenger.commands.backup import check, restore

    return _run(check, args.file) if args.check else _run(restore, config, args.file, args.take_over, args.force)


def _single_instance(args: argparse.Namespace, config: Config) -> int:
    from mcp_messenger.commands.single_instance import serve_single_instance, settings_from

    provider, options = API_MODES[args.mode], vars(args)
    named = {"token": options.get("telegram_bot_token"), "base_url": options.get("telegram_base_url")} if provider == "telegram" else {}
    given = {name: value for name, value in named.items() if value}
    return _run(serve_single_instance, config, provider, settings_from(os.environ, provider, given=given, file=options.get("credentials_file")))


def _is_managed() -> bool:
    """Return whether a mode of one messenger is the relay in an instance's container."""
    from mcp_messenger.relay.settings import is_managed

    return is_managed(os.environ)


def _relay(args: argparse.Namespace, config: Config) -> int:
    from mcp_messenger.relay.serve import serve_relay
    from mcp_messenger.relay.settings import from_environment as relay_settings

    return _run(serve_relay, config, relay_settings(os.environ), API_MODES[args.mode])


def _ask(args: argparse.Namespace, config: Config) -> int:
    if args.command == "doctor":
        from mcp_messenger.commands.doctor import doctor

        return _run(doctor, config, args.url, args.json)
    if args.command == "logs":
        from mcp_messenger.commands.logs import logs

        return _run(logs, config, args.url, args.id, args.tail, args.follow)
    if args.command == "purge":
        from mcp_messenger.commands.purge import purge

        return _run(purge, config, args.url, args.id)
    if args.command == "keys":
        from mcp_messenger.commands.keys import keys

        return _run(keys, config, args)
    if args.command == "qr":
        from mcp_messenger.commands.qr import qr

        return _run(qr, config, args.url, args.id)
    if args.command == "approve":
        from mcp_messenger.commands.approve import approve

        decision = next((name for name in ("deny", "always", "link") if getattr(args, name)), "approve")
        return _run(approve, config, args.url, args.code, decision, args.text)
    from mcp_messenger.commands.ps import ps

    return _run(ps, config, args.url)


def _stdio(config: Config) -> int:
    from mcp_messenger.api.mcp.server import selected
    from mcp_messenger.api.mcp.stdio import serve_stdio
    from mcp_messenger.app import running

    selected(config)
    if sys.stdin.isatty():
        from mcp_messenger.commands.client_configuration import stdio_configuration

        print(IN_A_TERMINAL.format(configuration=stdio_configuration()), file=sys.stderr)  # noqa: T201 - a person reads it

    async def main() -> None:
        async with running(config, store_after=STORE_AFTER) as app:
            await serve_stdio(app)

    return _run(main)


def _run(main: Callable[..., Awaitable[int | None]], *args: object) -> int:
    """The exit code of `main`, which is 0 where it gives none."""
    import asyncio

    import anyio

    # psycopg does not work on Windows' own default loop.
    options: dict[str, object] = {"loop_factory": asyncio.SelectorEventLoop} if os.name == "nt" else {}
    gc.freeze()
    gc.enable()
    try:
        return anyio.run(main, *args, backend_options=options) or 0
    except KeyboardInterrupt:
        return 130
    except BaseExceptionGroup as group:
        ours = group.subgroup(MessengerError)
        if ours is None:
            raise
        raise _first(ours) from None


def _first(group: BaseExceptionGroup[MessengerError]) -> MessengerError:
    """The error that a person can act on, out of the task groups it came through."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
