"""Updates of the Bot API, as Telegram sent them, into events."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from providers.kit.bounded import bounded_raw
from providers.models import (
    Account,
    Chat,
    ChatChanged,
    ChatKind,
    ChatMigrated,
    Contact,
    Event,
    Location,
    Message,
    MessageEdited,
    MessageKind,
    MessageReceived,
    Poll,
    ReactionChanged,
)
from providers.telegram.attachments import media_of
from providers.telegram.ids import message_id
from providers.telegram.system import sentence

Json = dict[str, Any]

_CHAT_KINDS = {"private": ChatKind.PRIVATE, "group": ChatKind.GROUP, "supergroup": ChatKind.GROUP, "channel": ChatKind.CHANNEL}


def events_of(update: Json, me: Account) -> list[Event]:
    """What an update says. Raises KeyError, TypeError or ValueError for one that is not of Telegram's form."""
    for kind, translate in _TRANSLATIONS.items():
        if kind in update:
            return translate(update[kind], bounded_raw(update, "update_id"), me)
    return []


def chat_of(chat: Json) -> Chat:
    title = chat.get("title") or name_of(chat)
    return Chat(id=str(chat["id"]), kind=_CHAT_KINDS.get(chat["type"], ChatKind.UNKNOWN), title=title, username=chat.get("username"))


def name_of(person: Json) -> str:
    return f"{person.get('first_name', '')} {person.get('last_name', '')}".strip()


def _received(message: Json, raw: Json, me: Account) -> list[Event]:
    chat = chat_of(message["chat"])
    sender = _sender(message)
    received = MessageReceived(message=_message(message, chat, sender, raw, me), chat=chat, sender=sender)
    if "new_chat_title" in message:
        return [received, ChatChanged(chat=chat)]
    if "migrate_to_chat_id" in message:
        moved = chat.model_copy(update={"id": str(message["migrate_to_chat_id"])})
        return [received, ChatMigrated(old_id=chat.id, chat=moved)]
    if "migrate_from_chat_id" in message:
        return [received, ChatMigrated(old_id=str(message["migrate_from_chat_id"]), chat=chat)]
    return [received]


def _edited(message: Json, raw: Json, me: Account) -> list[Event]:
    return [
        MessageEdited(
            chat_id=str(message["chat"]["id"]),
            message_id=message_id(message["chat"]["id"], message["message_id"]),
            text=message.get("text") or message.get("caption", ""),
            at=_time(message.get("edit_date", message["date"])),
        )
    ]


def _pressed(query: Json, raw: Json, me: Account) -> list[Event]:
    """A pressed button is a message with the button's data, in reply to the message it hangs on."""
    if "message" not in query:
        return []  # a button of an inline message: Telegram does not tell in which chat
    under, sender = query["message"], _person(query["from"])
    chat = chat_of(under["chat"])
    button = message_id(under["chat"]["id"], under["message_id"])
    message = Message(
        id=f"{button}:{query['id']}",
        chat_id=chat.id,
        at=datetime.now(UTC),
        sender_id=sender.id,
        sender_name=sender.name,
        text=query.get("data", ""),
        reply_to=button,
        mentions_me=True,
        raw=raw,
    )
    return [MessageReceived(message=message, chat=chat, sender=sender)]


def _reacted(reaction: Json, raw: Json, me: Account) -> list[Event]:
    return [
        ReactionChanged(
            chat_id=str(reaction["chat"]["id"]),
            message_id=message_id(reaction["chat"]["id"], reaction["message_id"]),
            sender_id=str((reaction.get("user") or reaction["actor_chat"])["id"]),
            emojis=tuple(one.get("emoji") or one.get("custom_emoji_id", "⭐") for one in reaction["new_reaction"]),
            at=_time(reaction["date"]),
        )
    ]


def _membership(change: Json, raw: Json, me: Account) -> list[Event]:
    return [ChatChanged(chat=chat_of(change["chat"]))]


_TRANSLATIONS: dict[str, Callable[[Json, Json, Account], list[Event]]] = {
    "message": _received,
    "edited_message": _edited,
    "channel_post": _received,
    "edited_channel_post": _edited,
    "callback_query": _pressed,
    "message_reaction": _reacted,
    "my_chat_member": _membership,
}

ALLOWED_UPDATES = tuple(_TRANSLATIONS)


def _message(message: Json, chat: Chat, sender: Contact, raw: Json, me: Account) -> Message:
    told = sentence(message, sender.name)
    media = media_of(message)
    kind = MessageKind.SYSTEM if told else MessageKind.MEDIA if media else _kind(message)
    return Message(
        id=message_id(message["chat"]["id"], message["message_id"]),
        chat_id=chat.id,
        at=_time(message["date"]),
        outgoing=sender.id == me.id,
        sender_id=sender.id,
        sender_name=sender.name,
        kind=kind,
        text=told or _text(message),
        reply_to=_reply_to(message),
        thread_id=str(message["message_thread_id"]) if "message_thread_id" in message else None,
        media=media,
        location=_location(message),
        poll=_poll(message),
        mentions_me=_mentions(message, me),
        raw=raw,
    )


def _kind(message: Json) -> MessageKind:
    kinds = {"text": MessageKind.TEXT, "location": MessageKind.LOCATION, "poll": MessageKind.POLL, "contact": MessageKind.CONTACT}
    return next((kind for field, kind in kinds.items() if field in message), MessageKind.UNKNOWN)


def _text(message: Json) -> str:
    if contact := message.get("contact"):
        return f"{name_of(contact)} {contact['phone_number']}"
    return message.get("text") or message.get("caption") or _emoji(message)


def _emoji(message: Json) -> str:
    return next((message[field].get("emoji", "") for field in ("sticker", "dice") if field in message), "")


def _sender(message: Json) -> Contact:
    """Who it is from: anonymous administrators and channels write as a chat, and `from` is then a stand-in."""
    if "from" in message and "sender_chat" not in message:
        return _person(message["from"])
    chat = chat_of(message.get("sender_chat", message["chat"]))
    return Contact(id=chat.id, name=chat.title, username=chat.username)


def _person(user: Json) -> Contact:
    return Contact(id=str(user["id"]), name=name_of(user), username=user.get("username"), is_bot=user.get("is_bot", False))


def _reply_to(message: Json) -> str | None:
    replied = message.get("reply_to_message")
    if replied is None or "forum_topic_created" in replied:  # what everything in a topic hangs on
        return None
    return message_id(message["chat"]["id"], replied["message_id"])


def _location(message: Json) -> Location | None:
    if (place := message.get("location")) is None:
        return None
    venue = message.get("venue", {})
    name = ", ".join(venue[part] for part in ("title", "address") if venue.get(part))
    return Location(latitude=place["latitude"], longitude=place["longitude"], name=name or None)


def _poll(message: Json) -> Poll | None:
    poll = message.get("poll")
    if poll is None or len(poll["options"]) < 2:
        return None
    options = tuple(option["text"] for option in poll["options"])
    return Poll(question=poll["question"], options=options, multiple=poll.get("allows_multiple_answers", False))


def _mentions(message: Json, me: Account) -> bool:
    text: str = message.get("text") or message.get("caption", "")
    units = text.encode("utf-16-le")
    handle = f"@{me.username}".casefold()
    for entity in message.get("entities") or message.get("caption_entities", []):
        start, length = entity["offset"], entity["length"]
        said = units[2 * start : 2 * (start + length)].decode("utf-16-le", "replace").casefold()
        if entity["type"] == "mention" and said == handle:
            return True
        if entity["type"] == "bot_command" and said.endswith(handle):
            return True
        if entity["type"] == "text_mention" and str(entity["user"]["id"]) == me.id:
            return True
    return False


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
