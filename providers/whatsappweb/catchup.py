"""Reads back the messages that were written while nobody listened, and at the first login a few of those before it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from providers.errors import MessengerError
from providers.text import clean_line
from providers.whatsappweb.client import BridgeRefused
from providers.whatsappweb.directory import Ask
from providers.whatsappweb.inbound import NOT_OF_ITS_FORM, UNDECRYPTED, id_of, is_message
from providers.whatsappweb.position import ALL_CHATS, Position

Json = dict[str, Any]

_FIRST_LOGIN_CHATS = 200
_PAGES = (50, 200, 1000, 5000)


@dataclass(frozen=True)
class Missed:
    """A message to deliver. `is_old`: from before the first login."""

    raw: Json
    is_old: bool


@dataclass
class ReadBack:
    """The messages that were found, in the order in which they were written, and the chats that could not be read whole.

    `behind` has the time from which each of these is to be read again (None: as at the first login), `words` the reason: by id, for a title is
    a stranger's words. `cut` has the chats of which more was missed than is read at once. `unread` are messages that are not of WhatsApp's form,
    by their chats; `undecrypted` those whose key has not come.
    """

    found: list[Missed] = field(default_factory=list[Missed])
    cut: list[str] = field(default_factory=list[str])
    unread: list[tuple[str, Exception]] = field(default_factory=list[tuple[str, Exception]])
    undecrypted: list[Json] = field(default_factory=list[Json])
    behind: dict[str, int | None] = field(default_factory=dict[str, int | None])
    words: dict[str, str] = field(default_factory=dict[str, str])

    def take(self, raw: Json, seen: Position, *, is_old: bool) -> None:
        """Sort a message in. Raises one of NOT_OF_ITS_FORM."""
        if raw["type"] == UNDECRYPTED:
            self.undecrypted.append(raw)
        elif is_message(raw) and id_of(raw) not in seen:
            self.found.append(Missed(raw, is_old=is_old))


async def read_back(ask: Ask, chats: list[Json], seen: Position, ready_at: float, first_login_messages: int) -> ReadBack:
    """Read each chat by itself, so that one that fails keeps nothing of the others. `ready_at` is in seconds since 1970."""
    result = ReadBack()
    for chat, since in _chats_to_read(chats, seen, first_login_messages):
        raws, failed = await _read(ask, chat["id"], since, first_login_messages)
        if since is not None and len(raws) >= _PAGES[-1]:
            result.cut.append(chat["id"])
        if failed is not None:
            result.behind[chat["id"]] = since
            result.words[chat["id"]] = failed
        for raw in raws:
            try:
                result.take(raw, seen, is_old=since is None and raw["t"] < int(ready_at))
            except NOT_OF_ITS_FORM as error:
                result.unread.append((chat["id"], error))
    result.found.sort(key=lambda one: one.raw["t"])
    return result


def _chats_to_read(chats: list[Json], seen: Position, first_login_messages: int) -> Iterator[tuple[Json, int | None]]:
    """Yield the chats with news, newest first, with the time from which to read each; None: the newest messages, as at the first login."""
    as_at_first_login = 0
    for chat in sorted((chat for chat in chats if chat["t"]), key=lambda chat: -chat["t"]):
        times = [seen.since if seen.newest is not None else None, *(seen.behind[id] for id in (chat["id"], ALL_CHATS) if id in seen.behind)]
        known = [t for t in times if t is not None]
        if len(known) == len(times):
            if chat["t"] >= min(known):
                yield chat, min(known)
        elif first_login_messages and as_at_first_login < _FIRST_LOGIN_CHATS:
            as_at_first_login += 1
            yield chat, None


async def _read(ask: Ask, chat_id: str, since: int | None, first_login_messages: int) -> tuple[list[Json], str | None]:
    """Return the messages, and why there may be more; None where these are all."""
    raws: list[Json] = []
    failed: str | None = None
    for limit in (first_login_messages,) if since is None else _PAGES:
        try:
            payload: Json = await ask("messages", {"chat_id": chat_id, "limit": limit})
        except (BridgeRefused, MessengerError) as error:
            return raws, clean_line(str(error))
        raws, failed = payload["messages"], payload["failed"] and clean_line(payload["failed"])
        if failed or len(raws) < limit or (since is not None and _time_of(raws[0], since) < since):
            break
    return [raw for raw in raws if since is None or _time_of(raw, since) >= since], failed


def _time_of(raw: Json, otherwise: int) -> int:
    t = raw.get("t")
    return t if isinstance(t, int) else otherwise
