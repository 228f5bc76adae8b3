"""Message ids: Telegram numbers messages by chat, so ours carry the chat: `<chat id>:<number>`."""

import re
from datetime import UTC, datetime

from providers.errors import NotFound

# A pressed button's message has its own id, after that of the message with the button.
_SHAPE = re.compile(r"(?P<chat>(?:b\d+:)?-?\d+):(?P<number>\d+)(?::[^:]+)?")
_EPHEMERAL = re.compile(r"-?\d+:e(?P<number>\d+)\.(?P<person>\d+)")


_NAME = re.compile(r"(?:@|(?:https?://)?(?:t|telegram)\.me/)(?P<name>[A-Za-z]\w{3,31})/?")


def username_in(to: str) -> str | None:
    """Return the user name that an address or a link to a chat holds, with its `@`; None for another address."""
    found = _NAME.fullmatch(to.strip())
    return f"@{found['name']}" if found else None


def message_id(chat: int | str, number: int) -> str:
    """Return our id of a message."""
    return f"{chat}:{number}"


def ephemeral_id(chat: int | str, number: int, person: int) -> str:
    """Return our id of a message that Telegram shows to one person and the bot alone: all of them have the number 0 among the others."""
    return f"{chat}:e{number}.{person}"


def ephemeral_in(message_id: str) -> tuple[int, int] | None:
    """Return number and person of a message that only that person and the bot see; None for an id of another kind."""
    found = _EPHEMERAL.fullmatch(message_id)
    return (int(found["number"]), int(found["person"])) if found else None


def number_of(chat_id: str, message_id: str) -> int:
    """Return Telegram's number of a message. Raises NotFound for an id of another shape or another chat."""
    found = _SHAPE.fullmatch(message_id)
    if found is None and ephemeral_in(message_id) is not None:
        raise NotFound("Only one person and the bot see this message.", hint="Answer it with send_message and reply_to; only they see the answer.")
    if found is None:
        raise NotFound(
            f"'{message_id[:64]}' is no id of a Telegram message.",
            hint=f"Ids look like '{chat_id}:123'; get_messages and send_message give them.",
        )
    if found["chat"] != chat_id:
        raise NotFound(f"The message '{message_id}' is not in the chat '{chat_id}'.", hint=f"Use the chat id '{found['chat']}'.")
    return int(found["number"])


def time_of(seconds: int) -> datetime:
    """Return a time of the Bot API."""
    return datetime.fromtimestamp(seconds, UTC)
