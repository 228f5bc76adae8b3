"""The command line. Without arguments it is the stdio server that a client's configuration names."""

import argparse
import dataclasses
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib import import_module

from mcp_messenger.commands import arguments
from mcp_messenger.config import Config
from mcp_messenger.config.environment import folder_of, from_environment
from mcp_messenger.config.modes import API_MODES
from mcp_messenger.config.toolsets import chosen
from mcp_messenger.observability import logs, tracing
from providers.errors import MessengerError

COMMANDS = frozenset(
    {"add", "doctor", "ps", "logs", "qr", "approve", "purge", "keys", "audit", "erase", "chats", "read", "send", "policy", "deliveries"}
    | {"tokens", "usage"}
)
"""They ask a server, and need no set-up that would be safe to serve with."""
ALONE = frozenset({"migrate", "backup", "restore", "export", "import", "broker"})
"""They work on the store or the engine themselves, and let no caller in."""
PRINTED = frozenset({"completion", "man", "clients"})
"""They only print something, and need no settings."""
IN_CONVERSATION = frozenset({"chats", "read", "send"})
LOAD_AFTER = 0.3
"""Seconds in which nothing but the first call has the application imported: a client asks for the tools first, and the import would delay them."""
IN_A_TERMINAL = """mcp-messenger is waiting for an MCP client on stdin.
You seem to be a person: try '{command} demo', or '{command} serve' for HTTP. To use it from Claude Desktop, put this into its configuration:
{configuration}
Press Ctrl+C to leave."""


def run(given: Sequence[str]) -> int:
    """Return the exit code: 0 done, 1 something failed, 2 wrong arguments, 130 a person ended it."""
    args = arguments.parser().parse_args(given)
    if args.command in PRINTED:
        return _print(args)
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
    except EOFError:
        return 130
    except ValueError as error:
        print(f"mcp-messenger: {error}", file=sys.stderr)  # noqa: T201
        return 2


def _print(args: argparse.Namespace) -> int:
    if args.command == "clients":
        from mcp_messenger.commands.client_configuration import print_clients

        print_clients(as_json=args.json)
        return 0
    from mcp_messenger.commands.manual import completion, manual

    if args.command == "man":
        manual(arguments.parser())
    else:
        completion(arguments.parser(), args.shell)
    return 0


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

        return _run(partial(reencrypt, config, new_key=args.new_key, drop_former=args.drop_former, as_json=args.json))
    if args.command == "token":
        from mcp_messenger.commands.serve import print_token

        return _run(print_token, config, args.user or "", args.json)
    if args.command == "serve" or args.mode == "instance-manager":
        from mcp_messenger.commands.serve import serve

        return _run(serve, config)
    if args.mode in API_MODES:
        return _relay(args, config) if _is_managed() else _single_instance(args, config)
    return _stdio(config, args.channel)


def _alone(args: argparse.Namespace, config: Config) -> int:
    if args.command == "broker":
        from mcp_messenger.broker.serve import serve_broker
        from mcp_messenger.broker.settings import from_environment as broker_config

        return _run(serve_broker, broker_config(os.environ, config.containers))
    if args.command == "migrate":
        from mcp_messenger.commands.migrate import migrate

        return _run(migrate, config, args.to, args.status, args.json)
    if args.command == "export":
        from mcp_messenger.commands.transfers import export

        return _run(export, config, args)
    if args.command == "import":
        from mcp_messenger.commands.transfers import import_file

        return _run(import_file, config, args.file, args.json)
    if args.command == "backup":
        from mcp_messenger.commands.backup import backup

        return _run(backup, config, args.file, args.with_key, args.compress, args.force, args.json)
    from mcp_messenger.commands.backup import check, restore

    if args.check:
        return _run(check, args.file, args.json)
    return _run(restore, config, args.file, args.take_over, args.force, args.without_containers, args.json)


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
    from mcp_messenger.relay.settings import secrets_of

    # A messenger reads its own variables where they usually are.
    os.environ.update(secrets_of(os.environ))
    return _run(serve_relay, config, relay_settings(os.environ), API_MODES[args.mode])


def _ask(args: argparse.Namespace, config: Config) -> int:
    if args.command == "doctor":
        from mcp_messenger.commands.doctor import doctor

        return _run(doctor, config, args.url, args.json)
    if args.command == "logs":
        from mcp_messenger.commands.logs import logs

        return _run(logs, config, args.url, args.id, args.tail, args.follow, args.json)
    if args.command == "purge":
        from mcp_messenger.commands.purge import purge

        return _run(purge, config, args.url, args.id, args.json)
    if args.command == "qr":
        from mcp_messenger.commands.qr import qr

        return _run(qr, config, args.url, args.id, args.link, args.json)
    if args.command == "ps":
        from mcp_messenger.commands.ps import ps

        return _run(ps, config, args.url, args.json)
    if args.command == "approve":
        from mcp_messenger.commands.approve import approve

        decision = next((name for name in ("deny", "always", "link") if getattr(args, name)), "approve")
        return _run(approve, config, args.url, args.code, decision, args.text, args.json)
    # The others are functions of their own name.
    module = import_module(f"mcp_messenger.commands.{'conversation' if args.command in IN_CONVERSATION else args.command}")
    return _run(getattr(module, args.command), config, args)


def _stdio(config: Config, channel: Sequence[str] | None) -> int:
    from mcp_messenger.api.mcp.stdio import Opened, serve_stdio

    chosen(config.toolsets)
    if sys.stdin.isatty():
        from mcp_messenger.commands.client_configuration import stdio_configuration, typed

        print(IN_A_TERMINAL.format(command=typed(), configuration=stdio_configuration()), file=sys.stderr)  # noqa: T201 - a person reads it

    def load() -> Opened:
        from mcp_messenger.app import running

        return running

    return _run(partial(serve_stdio, config, load, load_after=LOAD_AFTER, channel=channel))


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
