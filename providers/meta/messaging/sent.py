"""What we sent lately: Meta tells of reading by the time alone, and of a picked choice not where it was."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from providers.kit.bounded import BoundedMap

_PER_CHAT = 100
_CHATS = 2_000


@dataclass
class _Sent:
    id: str
    at: datetime
    choices: frozenset[str]
    is_read: bool = False


class SentLog:
    """Of this process; messages sent before it started are not marked as read."""

    def __init__(self) -> None:
        self._chats: BoundedMap[str, deque[_Sent]] = BoundedMap(_CHATS)

    def add(self, chat_id: str, message_id: str, at: datetime, choices: frozenset[str] = frozenset()) -> None:
        sent = self._chats.get(chat_id)
        if sent is None:
            sent = deque[_Sent](maxlen=_PER_CHAT)
        self._chats[chat_id] = sent
        if all(one.id != message_id for one in sent):
            sent.append(_Sent(message_id, at, choices))

    def read_until(self, chat_id: str, at: datetime) -> list[str]:
        """The messages up to then that were not marked as read."""
        return [one.id for one in self._chats.get(chat_id) or () if one.at <= at and not one.is_read]

    def told(self, chat_id: str, message_id: str) -> None:
        """The store knows that it is read."""
        for one in self._chats.get(chat_id) or ():
            one.is_read = one.is_read or one.id == message_id

    def asked(self, chat_id: str, choice_id: str) -> str | None:
        """The newest message that had this choice: older ones are shown without theirs."""
        return next((one.id for one in reversed(self._chats.get(chat_id) or ()) if choice_id in one.choices), None)
