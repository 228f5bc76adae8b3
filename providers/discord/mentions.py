"""Discord's own marks in a text (`<@1>`, `<#2>`, `<t:3>`), as the words that Discord shows for them."""

import re
from datetime import UTC, datetime
from typing import Any

from providers.discord.directory import Directory, person_of
from providers.discord.fields import many, one

Json = dict[str, Any]

# In code Discord shows its marks as they were typed.
_MARK = re.compile(
    r"(?P<code>```.*?```|`[^`\n]+`)|<@!?(?P<person>\d{1,20})>|<@&(?P<role>\d{1,20})>|<#(?P<channel>\d{1,20})>"
    r"|</(?P<command>[^:<>]{1,100}):\d{1,20}>|<a?:(?P<emoji>\w{2,32}):\d{1,20}>|<t:(?P<time>-?\d{1,13})(?::[tTdDfFRsS])?>",
    re.DOTALL,
)


class Reader:
    """Reads the texts of one message, whose own list of mentioned people is known best."""

    def __init__(self, message: Json, directory: Directory) -> None:
        self._people = {user["id"]: person_of({**user, "nick": one(user, "member").get("nick")}).name for user in many(message, "mentions")}
        self._channels = {channel["id"]: channel["name"] for channel in many(message, "mention_channels")}
        self._directory = directory

    def read(self, text: str | None) -> str:
        """Return the text with names in place of ids. An id that nobody named stays."""
        return _MARK.sub(self._shown, text or "")

    def _shown(self, mark: re.Match[str]) -> str:
        match mark.lastgroup:
            case "person":
                name = self._people.get(mark["person"]) or self._directory.person_name(mark["person"])
                return f"@{name}" if name else mark[0]
            case "role":
                name = self._directory.role_name(mark["role"])
                return f"@{name}" if name else mark[0]
            case "channel":
                name = self._directory.channel_name(mark["channel"]) or self._channels.get(mark["channel"])
                return f"#{name}" if name else mark[0]
            case "command":
                return f"/{mark['command']}"
            case "emoji":
                return f":{mark['emoji']}:"
            case "time":
                return _moment(int(mark["time"])) or mark[0]
            case _:
                return mark[0]


def _moment(seconds: int) -> str | None:
    """Return a time as people read it; None for one that no calendar has."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, OSError, ValueError):
        return None
