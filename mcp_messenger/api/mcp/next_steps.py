"""Says of tools that a text names and the client is not shown why they are missing, and who can give them."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, cast

from mcp_messenger.config import Config
from mcp_messenger.operations.operation import Effect, Operation, Transport
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.security.caller import Caller

_WORDS = {name for name in BY_NAME if "_" not in name}
"""Names that are words of English as well: they name a tool only where they are called."""
_NAMED = re.compile(rf"\b(?:({'|'.join(sorted(set(BY_NAME) - _WORDS, key=len, reverse=True))})|[Cc]all ({'|'.join(sorted(_WORDS))}))\b")
STEPS = frozenset({"next_step", "hint", "detail", "note"})
"""Fields of answers that say what to do next, in words of ours."""


def named_in(text: str) -> list[str]:
    """Return the operations that a text names, each once."""
    return list(dict.fromkeys(found[1] or found[2] for found in _NAMED.finditer(text)))


def explained(text: str, shown: Collection[str], config: Config, caller: Caller | None) -> str:
    """Return a text of ours with a remark on each tool in it that the client is not shown, or may not use."""
    missing: defaultdict[str, list[str]] = defaultdict(list)
    for name in named_in(text):
        if (why := _why_missing(BY_NAME[name], shown, config, caller)) is not None:
            missing[why].append(name)
    remarks = [f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not among your tools: {why}" for why, names in missing.items()]
    return f"{text} ({'; '.join(remarks)})" if remarks else text


def _why_missing(row: Operation, shown: Collection[str], config: Config, caller: Caller | None) -> str | None:
    if row.name in shown:
        is_allowed = caller is None or caller.may(row.scope)
        return None if is_allowed else f"your key lacks the scope {str(row.scope)!r}; ask the account's owner"
    if Transport.MCP not in row.transports:
        return f"a person does it, with {row.method} /api/v1{row.path}"
    if config.read_only and row.effect is not Effect.READ:
        return "this server is read-only; ask the person who started it"
    if any(BY_NAME[name].toolset is row.toolset for name in shown):
        return "this address is of one account alone; ask a person"
    return (
        f"the toolset {str(row.toolset)!r} is off; the person who started this server turns it on with MCP_MESSENGER_TOOLSETS=default,{row.toolset}"
    )


def explained_answer(answer: Mapping[str, Any], shown: Collection[str], config: Config, caller: Caller | None) -> dict[str, Any]:
    """Return an answer whose next steps are explained, also those of the object in it."""
    return {name: _explained_part(name, value, shown, config, caller) for name, value in answer.items()}


def _explained_part(name: str, value: object, shown: Collection[str], config: Config, caller: Caller | None) -> object:
    if isinstance(value, str):
        return explained(value, shown, config, caller) if name in STEPS else value
    if isinstance(value, dict):
        part = cast("dict[str, Any]", value)
        return {key: explained(of, shown, config, caller) if key in STEPS and isinstance(of, str) else of for key, of in part.items()}
    return value
