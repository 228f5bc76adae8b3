"""Votes in polls: Discord reports each vote alone, and a person may have several. Those of the last thousand are remembered."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from providers.discord.content import options_of
from providers.discord.errors import discord_errors
from providers.errors import Rejected
from providers.kit.bounded import BoundedMap

Json = dict[str, Any]

_REMEMBERED = 1000


class Votes:
    """`fetch(channel, message)` asks Discord for a message, whose poll was not seen."""

    def __init__(self, fetch: Callable[[str, str], Awaitable[Json]]) -> None:
        self._fetch = fetch
        self._options: BoundedMap[str, dict[int, str]] = BoundedMap(_REMEMBERED)
        """By message."""
        self._held: BoundedMap[tuple[str, str], tuple[int, ...]] = BoundedMap(_REMEMBERED)
        """By message and person."""

    def saw(self, message: Json) -> None:
        """Remember the options of a message's poll, where it has one."""
        if message.get("poll"):
            self._options[message["id"]] = options_of(message["poll"])

    async def changed(self, data: Json, *, is_added: bool) -> tuple[str, ...]:
        """Return the texts of all options that the person has voted for, as far as their votes were seen."""
        key, answer = (data["message_id"], data["user_id"]), data["answer_id"]
        others = tuple(held for held in self._held.get(key, ()) if held != answer)
        self._held[key] = (*others, answer) if is_added else others
        if data["message_id"] not in self._options:
            # Without the poll the options have their numbers.
            with suppress(Rejected), discord_errors():
                self.saw(await self._fetch(data["channel_id"], data["message_id"]))
        options = self._options.get(data["message_id"])
        return tuple((options or {}).get(held) or f"option {held}" for held in self._held[key])
