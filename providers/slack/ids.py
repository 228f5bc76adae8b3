"""Message ids: Slack numbers messages by channel, so ours carry the channel: `<channel>:<ts>`. Threads are named by their first message."""

import re
from datetime import UTC, datetime

from providers.errors import NotFound

# A pick has a further id after the message's.
_SHAPE = re.compile(r"(?P<channel>[A-Z0-9]+):(?P<ts>\d+\.\d+)(?::.+)?")
# A command has its trigger's id, of three parts; a modal or a shortcut has `x.` before whatever id it has.
_NO_MESSAGE = re.compile(r"[A-Z0-9]+:(?:\d+\.\d+\.\w+|x\..+)")
_PERSON = re.compile(r"[UW][A-Z0-9]+")
_CHANNEL = re.compile(r"[CDG][A-Z0-9]+")


def message_id(channel: str, ts: str) -> str:
    return f"{channel}:{ts}"


def act_id(channel: str, id: str) -> str:
    """Return the id of a person's act that is no message on Slack: a sent form, a shortcut."""
    return f"{channel}:x.{id}"


def is_act(message_id: str) -> bool:
    """Whether an id is that of a command or another act, which is no message on Slack: no thread begins with it."""
    return _NO_MESSAGE.fullmatch(message_id) is not None


def is_person(chat_id: str) -> bool:
    """Whether a chat is named by the person in it: Slack then opens the direct messages with them."""
    return _PERSON.fullmatch(chat_id) is not None


def is_channel(chat_id: str) -> bool:
    """Whether it is Slack's own id of a channel, group or direct messages."""
    return _CHANNEL.fullmatch(chat_id) is not None


def is_message(id: str) -> bool:
    """Whether it is the id of a message, which also names the thread under it."""
    return _SHAPE.fullmatch(id) is not None


def place_of(chat_id: str, message_id: str) -> tuple[str, str]:
    """Return Slack's channel and ts of a message. Raises NotFound for an id of another shape or another chat."""
    found = _SHAPE.fullmatch(message_id)
    if found is None and is_act(message_id):
        raise NotFound("A command or a form is no message on Slack.", hint="Answer it with send_message and reply_to.")
    if found is None:
        raise NotFound(
            f"'{message_id[:64]}' is no id of a Slack message.",
            hint=f"Ids look like '{chat_id}:1700000000.000100'; get_messages and send_message give them.",
        )
    if found["channel"] != chat_id and not is_person(chat_id):
        raise NotFound(f"The message '{message_id}' is not in the chat '{chat_id}'.", hint=f"Use the chat id '{found['channel']}'.")
    return found["channel"], found["ts"]


def before(ts: str) -> str:
    """Return the ts that a message just before this one would have."""
    seconds, _, rest = ts.partition(".")
    number = int(seconds + rest.ljust(6, "0")[:6]) - 1
    return f"{number // 1_000_000}.{number % 1_000_000:06d}"


def time_of(ts: str) -> datetime:
    """Return the time that Slack writes as seconds."""
    return datetime.fromtimestamp(float(ts), UTC)
