"""Reads back what was written while nobody listened, and at the first login a little of what was there before."""

from dataclasses import dataclass
from typing import Any

from providers.whatsappweb.directory import Ask
from providers.whatsappweb.inbound import id_of, is_message
from providers.whatsappweb.position import Position

Json = dict[str, Any]

_CHATS_MAX = 200
_PAGES = (50, 200, 1000)


@dataclass(frozen=True)
class Missed:
    raw: Json
    is_old: bool
    """From before the first login."""


async def missed(ask: Ask, chats: list[Json], seen: Position, ready_at: float, first_login_messages: int) -> list[Missed]:
    """In the order in which they were written. `ready_at` is when the page became ready, in seconds since 1970."""
    is_first = seen.newest is None
    if is_first and not first_login_messages:
        return []
    newest_first = sorted((chat for chat in chats if chat["t"] >= seen.since and chat["t"]), key=lambda chat: -chat["t"])
    found: list[Missed] = []
    for chat in newest_first[:_CHATS_MAX]:
        raws = await (_newest(ask, chat["id"], first_login_messages) if is_first else _since(ask, chat["id"], seen.since))
        found += [Missed(raw, is_old=is_first and raw["t"] < int(ready_at)) for raw in raws if is_message(raw) and id_of(raw) not in seen]
    return sorted(found, key=lambda one: one.raw["t"])


async def _newest(ask: Ask, chat_id: str, limit: int) -> list[Json]:
    return await ask("messages", {"chat_id": chat_id, "limit": limit})


async def _since(ask: Ask, chat_id: str, since: int) -> list[Json]:
    """As many as have been written since, up to the last of `_PAGES`."""
    raws: list[Json] = []
    for limit in _PAGES:
        raws = await _newest(ask, chat_id, limit)
        if len(raws) < limit or raws[0]["t"] < since:
            break
    return [raw for raw in raws if raw["t"] >= since]
