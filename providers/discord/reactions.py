"""Reactions: Discord reports each alone, we report all that a person has on a message. Those of the last thousand are remembered."""

import re
from typing import Any

from providers.kit.bounded import BoundedMap

Json = dict[str, Any]

_REMEMBERED = 1000
_CUSTOM = re.compile(r"<?a?:?(?P<name>\w+):(?P<id>\d{1,20})>?")


def emoji_text(emoji: Json) -> str:
    """Return a character, or `name:id` of a server's own emoji: as `react` takes them."""
    return f"{emoji.get('name') or 'emoji'}:{emoji['id']}" if emoji.get("id") else emoji["name"]


def emoji_for_path(emoji: str) -> str:
    """Return what Discord wants of an emoji as people write it, such as `<:party:123>`."""
    custom = _CUSTOM.fullmatch(emoji)
    return f"{custom['name']}:{custom['id']}" if custom else emoji


class Reactions:
    def __init__(self) -> None:
        self._held: BoundedMap[tuple[str, str], tuple[str, ...]] = BoundedMap(_REMEMBERED)

    def added(self, data: Json) -> tuple[str, ...]:
        key, emoji = (data["message_id"], data["user_id"]), emoji_text(data["emoji"])
        return self._hold(key, (*self._others(key, emoji), emoji))

    def removed(self, data: Json) -> tuple[str, ...]:
        key = (data["message_id"], data["user_id"])
        return self._hold(key, self._others(key, emoji_text(data["emoji"])))

    def cleared(self, data: Json) -> dict[str, tuple[str, ...]]:
        """Return, by person, what is left on a message when one emoji, or all, were cleared from it."""
        keys = [key for key in self._held if key[0] == data["message_id"]]
        gone = emoji_text(data["emoji"]) if "emoji" in data else None
        return {key[1]: self._hold(key, () if gone is None else self._others(key, gone)) for key in keys}

    def _others(self, key: tuple[str, str], emoji: str) -> tuple[str, ...]:
        return tuple(held for held in self._held.get(key, ()) if held != emoji)

    def _hold(self, key: tuple[str, str], emojis: tuple[str, ...]) -> tuple[str, ...]:
        if not emojis:
            self._held.pop(key)
            return emojis
        self._held[key] = emojis
        return emojis
