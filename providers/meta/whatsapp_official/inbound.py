"""Deliveries of the Cloud API into events."""

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime

from providers.kit.bounded import BoundedSet, bounded_raw
from providers.kit.json import Json, part, parts
from providers.meta.errors import words_of
from providers.meta.nonce import nonce_in
from providers.meta.webhook import readable
from providers.meta.whatsapp_official.content import content_of
from providers.meta.whatsapp_official.ids import People
from providers.models import (
    Chat,
    ChatChanged,
    ChatKind,
    ChatMigrated,
    Contact,
    Event,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageKind,
    MessageReceived,
    ReactionChanged,
    ReceiptChanged,
    ReceiptStatus,
)

logger = logging.getLogger(__name__)

_RECEIPTS = {
    "sent": ReceiptStatus.SENT,
    "delivered": ReceiptStatus.DELIVERED,
    "read": ReceiptStatus.READ,
    "played": ReceiptStatus.READ,
    "failed": ReceiptStatus.FAILED,
}

# Only in its words Meta always names the former id: "User Ann changed from US.1 to US.2".
_CHANGED = re.compile(r"changed from (\S+) to (\S+)")


class Inbound:
    """Translates what is about one number. `answered` holds the ids that Meta answered to our sends."""

    def __init__(self, phone_number_id: str, instance_id: str, answered: BoundedSet[str]) -> None:
        self._number = phone_number_id
        self._instance = instance_id
        self._answered = answered
        self.people = People()

    def events_of(self, change: Json) -> list[Event]:
        """What one change says; nothing where it is about another number of the business. Raises KeyError and the like for another form."""
        value = change["value"]
        if part(value, "metadata").get("phone_number_id", self._number) != self._number:
            return []
        contacts = parts(value, "contacts")
        events = readable(parts(value, "messages"), lambda message: self._said(message, _contact_of(message, contacts)))
        events += readable(parts(value, "message_echoes"), self._echoed)
        events += readable(parts(value, "statuses"), self._status)
        events += readable(parts(value, "groups"), _group)
        if not events:
            logger.info("Nothing to tell of a delivery of the field %s.", change.get("field"))
        return events

    def _said(self, message: Json, contact: Json) -> list[Event]:
        phone = message.get("from") or contact.get("wa_id")
        scoped = message.get("from_user_id") or contact.get("user_id") or _former_scoped(message)
        person = self.people.chat_of(phone, scoped)
        profile = part(contact, "profile")
        sender = Contact(id=person, name=profile.get("name", ""), username=profile.get("username"), phone=phone and f"+{phone}")
        chat = _chat(message, sender)
        events: list[Event] = []
        if self.people.appeared(phone, scoped):
            events.append(ChatMigrated(old_id=scoped or "", chat=chat))
        if change := _CHANGES.get(message["type"]):
            return events + change(message, chat, sender)
        events.append(MessageReceived(message=_message(message, chat, sender), chat=chat, sender=sender))
        return events + self._moved(message, sender)

    def _moved(self, message: Json, sender: Contact) -> list[Event]:
        """The person has another number or scoped id from now on."""
        system = part(message, "system")
        scoped, phone = system.get("user_id"), system.get("wa_id") or system.get("new_wa_id")
        if system.get("type") != "user_changed_user_id":
            new = phone
            if phone and scoped:
                self.people.chat_of(phone, scoped)
        elif sender.id != _former_scoped(message):
            # The chat has the number's id, and keeps it.
            new = self.people.chat_of(sender.id, scoped)
        else:
            new = scoped
        if not new or new == sender.id:
            return []
        return [
            ChatMigrated(old_id=sender.id, chat=Chat(id=new, kind=ChatKind.PRIVATE, title=sender.name, phone=f"+{new}" if new == phone else None))
        ]

    def _echoed(self, echo: Json) -> list[Event]:
        """Written by the business itself in its app."""
        person = self.people.chat_of(echo.get("to"), echo.get("to_user_id"))
        chat = Chat(id=person, kind=ChatKind.PRIVATE)
        message = _message(echo, chat, Contact(id=self._number)).model_copy(update={"outgoing": True})
        return [MessageReceived(message=message, chat=chat)]

    def _status(self, status: Json) -> list[Event]:
        kind = _RECEIPTS.get(status["status"])
        if kind is None:
            return []
        chat_id = self.people.chat_of(status.get("recipient_id"), status.get("recipient_user_id"))
        at = _time(status)
        detail = "; ".join(f"{words_of(error)} (code {error.get('code')})" for error in parts(status, "errors")) or None
        receipt = ReceiptChanged(chat_id=chat_id, message_id=status["id"], status=kind, at=at, detail=detail)
        nonce = nonce_in(status.get("biz_opaque_callback_data"), self._instance)
        if nonce is None or status["id"] in self._answered:
            return [receipt]
        # The answer to our call was lost; this tells that it was taken, and under which id.
        sent = Message(id=status["id"], chat_id=chat_id, at=at, outgoing=True, sender_id=self._number, kind=MessageKind.UNKNOWN)
        return [MessageReceived(message=sent, chat=Chat(id=chat_id), client_id=nonce), receipt]


def _former_scoped(message: Json) -> str | None:
    """Of a person whose scoped id has changed."""
    system = part(message, "system")
    if system.get("type") != "user_changed_user_id":
        return None
    words = _CHANGED.search(system.get("body", ""))
    return system.get("previous_user_id") or message.get("from_user_id") or (words[1] if words else None)


def _contact_of(message: Json, contacts: list[Json]) -> Json:
    """The profile that belongs to a message: a delivery may hold several."""
    ids = {message.get("from"), message.get("from_user_id")} - {None}
    found = [one for one in contacts if ids & {one.get("wa_id"), one.get("user_id")}] or ([] if ids else contacts)
    return found[0] if found else {}


def _chat(message: Json, sender: Contact) -> Chat:
    if group := message.get("group_id"):
        return Chat(id=group, kind=ChatKind.GROUP)
    return Chat(id=sender.id, kind=ChatKind.PRIVATE, title=sender.name, username=sender.username, phone=sender.phone)


def _message(message: Json, chat: Chat, sender: Contact) -> Message:
    return Message(
        id=message["id"],
        chat_id=chat.id,
        at=_time(message),
        sender_id=sender.id,
        sender_name=sender.name,
        reply_to=part(message, "context").get("id"),
        raw=bounded_raw(message),
        **content_of(message),
    )


def _reacted(message: Json, chat: Chat, sender: Contact) -> list[Event]:
    reaction = message["reaction"]
    emojis = (reaction["emoji"],) if reaction.get("emoji") else ()
    return [ReactionChanged(chat_id=chat.id, message_id=reaction["message_id"], sender_id=sender.id, emojis=emojis, at=_time(message))]


def _edited(message: Json, chat: Chat, sender: Contact) -> list[Event]:
    edit = message["edit"]
    text = content_of(edit["message"]).get("text", "")
    return [MessageEdited(chat_id=chat.id, message_id=edit["original_message_id"], text=text, at=_time(message))]


def _revoked(message: Json, chat: Chat, sender: Contact) -> list[Event]:
    return [MessageDeleted(chat_id=chat.id, message_id=message["revoke"]["original_message_id"], at=_time(message))]


_CHANGES: dict[str, Callable[[Json, Chat, Contact], list[Event]]] = {"reaction": _reacted, "edit": _edited, "revoke": _revoked}


def _group(group: Json) -> list[Event]:
    """What became of a group, as a message of the system in it."""
    chat = Chat(id=group["group_id"], kind=ChatKind.GROUP, title=group.get("subject", ""))
    what = str(group["type"]).replace("_", " ")
    message = Message(
        id=f"{chat.id}:{group.get('request_id') or group['timestamp']}:{group['type']}",
        chat_id=chat.id,
        at=_time(group),
        kind=MessageKind.SYSTEM,
        text=f"{what[:1].upper()}{what[1:]}.",
        raw=bounded_raw(group),
    )
    return [ChatChanged(chat=chat), MessageReceived(message=message, chat=chat)]


def _time(told: Json) -> datetime:
    return datetime.fromtimestamp(int(told["timestamp"]), UTC)
