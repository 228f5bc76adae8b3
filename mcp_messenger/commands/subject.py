"""Whose data a command is about, as its options say."""

import argparse
from dataclasses import dataclass

from mcp_messenger.errors import InvalidInput

HINT = "Give --instance ID (with --chat ID or --contact ID for a part of it), --person ID, or --user NAME."


@dataclass(frozen=True)
class Named:
    """`kind` is instance, chat, contact, person or user, and `id` its own. `instance` is that of a chat or contact, "" for others."""

    kind: str
    id: str
    instance: str = ""


def named(args: argparse.Namespace) -> Named:
    """Raises InvalidInput for none and for several."""
    given = [name for name in ("instance", "person", "user") if getattr(args, name)]
    part = next((name for name in ("chat", "contact") if getattr(args, name)), None)
    if len(given) != 1 or (part is not None and given != ["instance"]):
        raise InvalidInput("Whose data?" if not given else "Give one of --instance, --person and --user.", hint=HINT)
    if part is not None:
        return Named(part, getattr(args, part), args.instance)
    return Named(given[0], getattr(args, given[0]))
