"""Message ids: Telegram numbers messages by chat, so ours carry the chat: `<chat id>:<number>`."""

import re
from datetime import UTC, datetime

from providers.errors import NotFound

# A pressed button's message has its own id, after that of the message with the button.
_SHAPE = re.compile(r"(?P<chat>(?:b\d+:)?-?\d+):(?P<number>\d+)(?::[^:]+)?")


_NAME = re.compile(r"(?:@|(?:https?://)?(?:t|telegram)\.me/)(?P<name>[A-Za-z]\w{3,31})/?")


def username_in(to: str) -> str | None:
    """Return the user name that an address or a link to a chat holds, with its `@`; None for another address."""
    found = _NAME.fullmatch(to.strip())
    return f"@{found['name']}" if found else None


def message_id(chat: int | str, number: int) -> str:
    """Return our id of a message."""
    return f"{chat}:{number}"


def number_of(chat_id: str, message_id: str) -> int:
    """Return Telegram's number of a message. Raises NotFound for an id of another shape or another chat."""
    found = _SHAPE.fullmatch(message_id)
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
