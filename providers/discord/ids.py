"""Ids. A message carries its channel: `<channel>:<message>`. A private chat is called after its person: `user:<person>`."""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from providers.errors import NotFound

_MESSAGE = re.compile(r"(?P<channel>\d{1,20}):(?P<message>\d{1,20})(?::\d{1,20})?")
_MENTION = re.compile(r"<#(?P<channel>\d{1,20})>|<@!?(?P<person>\d{1,20})>")
_LINK = re.compile(r"https://(?:\w+\.)?discord(?:app)?\.com/channels/(?:\d{1,20}|@me)/(?P<channel>\d{1,20})(?:/\d{1,20})*/?")
_CHAT = re.compile(r"(?P<private>user:)?(?P<number>\d{1,20})")

NO_MESSAGE = "0"

# Milliseconds, of the first second of 2015: Discord counts from there.
_EPOCH = 1_420_070_400_000
_TIME_SHIFT = 22


class MessageRef(NamedTuple):
    channel: str
    message: str


class ChatRef(NamedTuple):
    """A channel's number, or a person's where it is a private chat."""

    number: str
    is_private: bool


def message_id(channel: str, message: str) -> str:
    return f"{channel}:{message}"


def private_chat(person: str) -> str:
    return f"user:{person}"


def chat_meant(to: str) -> str:
    """Return the chat of Discord's own ways to name one: `<#1>` and `<@2>` in a text, and a link; anything else as it is."""
    to = to.strip()
    if link := _LINK.fullmatch(to):
        return link["channel"]
    found = _MENTION.fullmatch(to)
    if found is None:
        return to
    return found["channel"] or private_chat(found["person"])


def is_person(chat_id: str) -> bool:
    """Return whether this is the id of a private chat."""
    found = _CHAT.fullmatch(chat_id)
    return found is not None and found["private"] is not None


def command_id(channel: str, interaction: str) -> str:
    """Return the id of a command, which is no message on Discord: it has the message number 0, and none can be answered or reacted to."""
    return f"{channel}:{NO_MESSAGE}:{interaction}"


def chat_ref(chat_id: str) -> ChatRef:
    """Raises NotFound for an id of another shape."""
    found = _CHAT.fullmatch(chat_id)
    if found is None:
        raise NotFound(
            f"'{chat_id[:64]}' is no id of a Discord chat.",
            hint="list_chats shows the channels; a private chat is 'user:' and the person's id, as list_contacts shows it.",
        )
    return ChatRef(found["number"], found["private"] is not None)


def message_ref(message_id: str) -> MessageRef:
    """Raises NotFound for an id of another shape."""
    found = _MESSAGE.fullmatch(message_id)
    if found is None:
        raise NotFound(
            f"'{message_id[:64]}' is no id of a Discord message.", hint="Ids look like '123:456'; get_messages and send_message give them."
        )
    return MessageRef(found["channel"], found["message"])


def time_of(snowflake: int) -> datetime:
    return datetime.fromtimestamp(((snowflake >> _TIME_SHIFT) + _EPOCH) / 1000, UTC)


def snowflake_at(time: datetime) -> int:
    """The smallest id that Discord gives at that time."""
    return (int(time.timestamp() * 1000) - _EPOCH) << _TIME_SHIFT
