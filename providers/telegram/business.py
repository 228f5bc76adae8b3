"""Business connections: the bot reads and answers in a person's own chats, with the rights that the person gave it.

Such a chat has the id `b<person>:<chat>`: Telegram numbers it like the chat in which the other side writes to the bot itself.
"""

import re
from dataclasses import dataclass
from typing import Any

from providers.errors import Forbidden, NotFound
from providers.events import NoticeReceived
from providers.kit.json import id_at
from providers.telegram.ids import time_of
from providers.telegram.people import name_of, title_of

Json = dict[str, Any]

UPDATES = frozenset({"business_message", "edited_business_message", "deleted_business_messages"})
"""Updates about a person's own chats, which name a connection."""

_CHAT = re.compile(r"b(?P<owner>\d+):(?P<chat>-?\d+)")
_HINT = "The person changes that in Telegram's settings, under Business, Chatbots."
_RIGHTS = {"can_reply": "answer", "can_delete_sent_messages": "delete its messages", "can_delete_all_messages": "delete messages"}


@dataclass(frozen=True)
class BusinessConnection:
    """A person's connection of the bot. `rights` are the names of those that were given."""

    id: str
    owner_id: str
    owner_name: str
    is_enabled: bool
    rights: frozenset[str]

    def may(self, right: str) -> bool:
        """Whether the bot has a right now."""
        return self.is_enabled and right in self.rights

    def require(self, *rights: str) -> None:
        """Raise Forbidden where the bot has none of the rights."""
        if not self.is_enabled:
            raise Forbidden(f"{self.owner_name} has disconnected the bot from their chats.", hint=_HINT)
        if not any(map(self.may, rights)):
            raise Forbidden(f"{self.owner_name} has not given the bot the right to {_RIGHTS[rights[-1]]} in their chats.", hint=_HINT)

    def chat_id(self, chat: int) -> str:
        """Return our id of one of the person's chats."""
        return f"b{self.owner_id}:{chat}"


def connection_of(payload: Json) -> BusinessConnection:
    """Return a BusinessConnection of the Bot API as ours."""
    rights = frozenset(name for name, given in payload.get("rights", {}).items() if given is True)
    return BusinessConnection(payload["id"], str(payload["user"]["id"]), name_of(payload["user"]), payload["is_enabled"], rights)


def connection_id_in(update: Json) -> str | None:
    """Return the id of the connection that an update comes through; None where it comes to the bot itself."""
    found = next((id_at(update, kind, "business_connection_id") for kind in UPDATES if kind in update), None)
    return found or id_at(update, "callback_query", "message", "business_connection_id")


def owner_and_chat(chat_id: str) -> tuple[str, str] | None:
    """Return the person and Telegram's id of one of their own chats; None for a chat of the bot itself."""
    found = _CHAT.fullmatch(chat_id)
    return (found["owner"], found["chat"]) if found else None


def not_connected() -> NotFound:
    """Return the error for a chat of a person whose connection is not known."""
    return NotFound("The bot is not connected to the chats of this person.", hint=_HINT)


def as_of_owner(message: Json, connection: BusinessConnection) -> Json:
    """Return a message with its chat, and that of the message it answers, as one of the person's own."""
    chat: Json = message["chat"]
    title = f"{title_of(chat)} (with {connection.owner_name})"
    own = {**message, "chat": {**chat, "id": connection.chat_id(chat["id"]), "title": title}}
    if replied := message.get("reply_to_message"):
        own["reply_to_message"] = {**replied, "chat": own["chat"]}
    return own


def changed(payload: Json) -> NoticeReceived:
    """Return what a person changed about the connection of the bot."""
    connection = connection_of(payload)
    rights = ", ".join(sorted(name.removeprefix("can_").replace("_", " ") for name in connection.rights)) or "none"
    words = f"connected the bot to their own chats. Its rights: {rights}" if connection.is_enabled else "disconnected the bot from their own chats"
    return NoticeReceived(code="business_connection", text=f"{connection.owner_name} {words}.", at=time_of(payload["date"]), is_error=False)
