"""mcp-messenger completion SHELL and mcp-messenger man: made from the arguments themselves, so they know every command and option."""

import argparse
from collections.abc import Iterable, Mapping

from mcp_messenger.commands.terminal import say
from mcp_messenger.config.settings import SETTINGS
from mcp_messenger.version import __version__

BASH = """\
_mcp_messenger() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" command="" one
  for one in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$one" in -*) ;; *) command="$one"; break ;; esac
  done
  case "$command" in
{cases}
    *) COMPREPLY=($(compgen -W "{commands}" -- "$word")) ;;
  esac
  [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- "$word"))
}}
complete -o filenames -F _mcp_messenger mcp-messenger"""
ZSH = "autoload -Uz bashcompinit && bashcompinit\n"


def completion(parser: argparse.ArgumentParser, shell: str) -> None:
    """Print the script that completes commands and options in a shell."""
    commands = commands_of(parser)
    if shell == "fish":
        say("complete -c mcp-messenger -f -n __fish_use_subcommand -a '" + " ".join(commands) + "'")
        for name, command in commands.items():
            for action in options_of(command):
                long = next((one for one in action.option_strings if one.startswith("--")), "")
                said = (action.help or "").replace("'", "\\'")
                say(f"complete -c mcp-messenger -n '__fish_seen_subcommand_from {name}' -l {long.removeprefix('--')} -d '{said}'")
        return
    cases = [f'    {name}) COMPREPLY=($(compgen -W "{" ".join(_words(command))}" -- "$word")) ;;' for name, command in commands.items()]
    script = BASH.format(cases="\n".join(cases), commands=" ".join([*commands, *_words(parser)]))
    say(ZSH + script if shell == "zsh" else script)


def manual(parser: argparse.ArgumentParser) -> None:
    """Print the manual page, for `man -l -`."""
    lines = [f'.TH MCP-MESSENGER 1 "" "mcp-messenger {__version__}"', ".SH NAME", f"mcp\\-messenger \\- {_roff(_first_sentence(parser))}"]
    lines += [".SH SYNOPSIS", ".B mcp\\-messenger", "[COMMAND] [OPTION]...", ".SH DESCRIPTION", _roff(parser.description or "")]
    lines += [".SH OPTIONS", *_options(options_of(parser)), ".SH COMMANDS"]
    for name, command in commands_of(parser).items():
        lines += [f".SS {_roff(' '.join([name, *_positionals(command)]))}", _roff(command.description or ""), *_options(options_of(command))]
    lines.append(".SH ENVIRONMENT")
    for setting in SETTINGS:
        lines += [".TP", f".B {_roff(setting.name)}", _roff(setting.meaning)]
    say("\n".join(line for line in lines if line))


def commands_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """Return the commands with their arguments."""
    for action in parser._actions:  # noqa: SLF001 - argparse gives no other way to its commands  # pyright: ignore[reportPrivateUsage]
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            return dict(action.choices)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    return {}


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the options that help shows."""
    actions: Iterable[argparse.Action] = parser._actions  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return [one for one in actions if one.option_strings and one.help != argparse.SUPPRESS]


def _positionals(parser: argparse.ArgumentParser) -> list[str]:
    actions: Iterable[argparse.Action] = parser._actions  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    found = [one for one in actions if not one.option_strings and not isinstance(one.choices, dict)]
    return [f"[{_name(one)}]" if one.nargs == "?" else _name(one) for one in found]


def _name(action: argparse.Action) -> str:
    name = action.metavar or action.dest.upper()
    return name if isinstance(name, str) else " ".join(name)


def _words(parser: argparse.ArgumentParser) -> list[str]:
    choices = [str(choice) for action in _choosing(parser) for choice in action.choices or ()]
    return [*choices, *(name for action in options_of(parser) for name in action.option_strings)]


def _choosing(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    actions: Iterable[argparse.Action] = parser._actions  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return [one for one in actions if not one.option_strings and one.choices and not isinstance(one.choices, dict)]


def _options(actions: Iterable[argparse.Action]) -> list[str]:
    lines: list[str] = []
    for action in actions:
        value = "" if action.nargs == 0 else f" {_name(action)}"
        lines += [".TP", f".B {_roff(', '.join(action.option_strings) + value)}", _roff((action.help or "").replace("%%", "%"))]
    return lines


def _first_sentence(parser: argparse.ArgumentParser) -> str:
    return (parser.description or "").partition(". ")[0].rstrip(".")


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in {".", "'"} else escaped
