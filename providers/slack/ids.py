"""Message ids: Slack numbers messages by channel, so ours carry the channel: `<channel>:<ts>`. Threads are named by their first message."""

import re
from datetime import UTC, datetime

from providers.errors import NotFound

# What was pressed or commanded has an id of its own after the message's.
_SHAPE = re.compile(r"(?P<channel>[A-Z0-9]+):(?P<ts>\d+\.\d+)(?::.+)?")
_PERSON = re.compile(r"[UW][A-Z0-9]{2,}")


def message_id(channel: str, ts: str) -> str:
    return f"{channel}:{ts}"


def is_person(chat_id: str) -> bool:
    """Whether a chat is named by the person in it: Slack then opens the direct messages with them."""
    return _PERSON.fullmatch(chat_id) is not None


def place_of(chat_id: str, message_id: str) -> tuple[str, str]:
    """Slack's channel and ts of a message. Raises NotFound for an id of another shape or another chat."""
    found = _SHAPE.fullmatch(message_id)
    if found is None:
        raise NotFound(
            f"'{message_id[:64]}' is no id of a Slack message.",
            hint=f"Ids look like '{chat_id}:1700000000.000100'; get_messages and send_message give them.",
        )
    if found["channel"] != chat_id and not is_person(chat_id):
        raise NotFound(f"The message '{message_id}' is not in the chat '{chat_id}'.", hint=f"Use the chat id '{found['channel']}'.")
    return found["channel"], found["ts"]


def time_of(ts: str) -> datetime:
    return datetime.fromtimestamp(float(ts), UTC)
