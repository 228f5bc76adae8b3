"""Updates of the Bot API, as Telegram sent them, into events."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from providers.events import (
    ChatChanged,
    ChatClosed,
    ChatMigrated,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    NoticeReceived,
    ReactionChanged,
)
from providers.kit.bounded import bounded_raw
from providers.models import Account, Chat, ChatKind, Contact, Message, MessageKind, TextFormat
from providers.telegram import business, context
from providers.telegram.content import content_of
from providers.telegram.ids import message_id, time_of
from providers.telegram.keyboards import title_of_press
from providers.telegram.memory import Memory, sums_of, vote_of
from providers.telegram.people import author_of, chat_of, name_of, person_of, shown_author

Json = dict[str, Any]

_NO_CONTENT = "A message without content that a bot can see."


@dataclass(frozen=True)
class Reader:
    """Reads the updates of one bot."""

    me: Account
    memory: Memory


def events_of(update: Json, reader: Reader) -> list[Event]:
    """Return what an update says; an update of a new type is named. Raises KeyError, TypeError or ValueError for one of another form."""
    kinds = [kind for kind in update if kind != "update_id"]
    for kind in kinds:
        if kind in _TRANSLATIONS:
            return _TRANSLATIONS[kind](update[kind], bounded_raw(update, "update_id"), reader)
    return [notice("unread_update", f"Telegram brought an update of the type {', '.join(kinds) or 'none'}, which is not read here.")]


def notice(code: str, text: str, *, is_error: bool = True) -> NoticeReceived:
    """Return a report about the bot itself, or about an update that has no place elsewhere."""
    return NoticeReceived(code=code, text=text, at=datetime.now(UTC), is_error=is_error)


def _received(message: Json, raw: Json, reader: Reader) -> list[Event]:
    chat = chat_of(message["chat"])
    sender = author_of(message)
    received = MessageReceived(message=_message(message, chat, sender, raw, reader.me), chat=chat, sender=sender)
    if "new_chat_title" in message:
        return [received, ChatChanged(chat=chat)]
    if "migrate_to_chat_id" in message:
        moved = chat.model_copy(update={"id": str(message["migrate_to_chat_id"])})
        return [received, ChatMigrated(old_id=chat.id, chat=moved)]
    if "migrate_from_chat_id" in message:
        return [received, ChatMigrated(old_id=str(message["migrate_from_chat_id"]), chat=chat)]
    return [received]


def _message(message: Json, chat: Chat, sender: Contact, raw: Json, me: Account) -> Message:
    content = content_of(message, sender.name)
    is_empty = not (content.text or content.media or content.location or content.poll)
    return Message(
        id=message_id(message["chat"]["id"], message["message_id"]),
        chat_id=chat.id,
        at=time_of(message["date"]),
        outgoing=sender.id == me.id,
        sender_id=sender.id,
        sender_name=shown_author(message, sender),
        kind=content.kind,
        text=_NO_CONTENT if is_empty else content.text,
        format=content.format,
        reply_to=context.reply_to(message),
        thread_id=context.thread_of(message),
        thread_title=context.thread_title(message),
        media=content.media,
        location=content.location,
        poll=content.poll,
        contact=content.contact,
        album=message.get("media_group_id"),
        forwarded=context.forwarded(message),
        quoted=context.quoted(message),
        mentions_me=_speaks_to(message, me),
        raw=raw,
    )


def _as_business(translate: Callable[[Json, Json, Reader], list[Event]]) -> Callable[[Json, Json, Reader], list[Event]]:
    """Return a translation of messages in a person's own chats. Where the bot may not answer they wake nobody."""

    def run(message: Json, raw: Json, reader: Reader) -> list[Event]:
        connection = _connection(message, reader)
        events = translate(business.as_of_owner(message, connection), raw, reader)
        return [_by_side(event, connection) if isinstance(event, MessageReceived) else event for event in events]

    return run


def _by_side(event: MessageReceived, connection: business.BusinessConnection) -> MessageReceived:
    """Return a message with its side: what the person writes in their own chats is no word of the other side."""
    is_own = event.message.sender_id == connection.owner_id
    changes = {"outgoing": is_own or event.message.outgoing, "standby": not connection.may("can_reply")}
    return event.model_copy(update={"message": event.message.model_copy(update=changes)})


def _connection(payload: Json, reader: Reader) -> business.BusinessConnection:
    connection = reader.memory.connection(payload["business_connection_id"])
    if connection is None:
        raise ValueError("an unknown business connection")
    return connection


def _connected(payload: Json, raw: Json, reader: Reader) -> list[Event]:
    reader.memory.keep_connection(business.connection_of(payload))
    return [business.changed(payload)]


def _business_deleted(deleted: Json, raw: Json, reader: Reader) -> list[Event]:
    chat_id, now = _connection(deleted, reader).chat_id(deleted["chat"]["id"]), datetime.now(UTC)
    return [MessageDeleted(chat_id=chat_id, message_id=message_id(chat_id, number), at=now) for number in deleted["message_ids"]]


def _edited(message: Json, raw: Json, reader: Reader) -> list[Event]:
    content = content_of(message, author_of(message).name)
    return [
        MessageEdited(
            chat_id=str(message["chat"]["id"]),
            message_id=message_id(message["chat"]["id"], message["message_id"]),
            text=content.text,
            format=content.format if content.format is TextFormat.MARKDOWN else None,
            media=content.media or None,
            location=content.location,
            at=time_of(message.get("edit_date", message["date"])),
        )
    ]


def _pressed(query: Json, raw: Json, reader: Reader) -> list[Event]:
    """A pressed button is a message with the button's words, in reply to the message with the button."""
    sender = person_of(query["from"])
    if "message" not in query:
        return [
            notice(
                "button_elsewhere", f"{sender.name} pressed a button in a chat that Telegram does not name: {title_of_press(query)}", is_error=False
            )
        ]
    under = query["message"]
    if "business_connection_id" in under:
        under = business.as_of_owner(under, _connection(under, reader))
    chat = chat_of(under["chat"])
    button = message_id(under["chat"]["id"], under["message_id"])
    message = Message(
        id=f"{button}:{query['id']}",
        chat_id=chat.id,
        at=datetime.now(UTC),
        sender_id=sender.id,
        sender_name=sender.name,
        text=title_of_press(query),
        chosen=reader.memory.choice(query["data"]) if "data" in query else None,
        reply_to=button,
        thread_id=context.thread_of(under),
        mentions_me=True,
        raw=raw,
    )
    return [MessageReceived(message=message, chat=chat, sender=sender)]


def _reacted(reaction: Json, raw: Json, reader: Reader) -> list[Event]:
    return [
        ReactionChanged(
            chat_id=str(reaction["chat"]["id"]),
            message_id=message_id(reaction["chat"]["id"], reaction["message_id"]),
            sender_id=str((reaction.get("user") or reaction["actor_chat"])["id"]),
            emojis=tuple(_emoji(one) for one in reaction["new_reaction"]),
            at=time_of(reaction["date"]),
        )
    ]


def _reactions_counted(counts: Json, raw: Json, reader: Reader) -> list[Event]:
    """In a channel nobody is named: the reactions are the channel's, each with its number."""
    return [
        ReactionChanged(
            chat_id=str(counts["chat"]["id"]),
            message_id=message_id(counts["chat"]["id"], counts["message_id"]),
            sender_id=str(counts["chat"]["id"]),
            emojis=tuple(f"{_emoji(one['type'])} {one['total_count']}" for one in counts["reactions"]),
            at=time_of(counts["date"]),
        )
    ]


def _emoji(reaction: Json) -> str:
    return reaction.get("emoji") or reaction.get("custom_emoji_id", "⭐")


def _membership(change: Json, raw: Json, reader: Reader) -> list[Event]:
    chat = chat_of(change["chat"])
    reason = _closed_for(change["new_chat_member"], chat, name_of(change["from"]))
    return [ChatChanged(chat=chat), ChatClosed(chat_id=chat.id, reason=reason, at=time_of(change["date"]))]


def _closed_for(member: Json, chat: Chat, who: str) -> str | None:
    """Return why the bot cannot write to a chat in which it is such a member; None where it can."""
    status = member["status"]
    if chat.kind is ChatKind.PRIVATE:
        return f"{who} has blocked the bot." if status == "kicked" else None
    if status in {"left", "kicked"} or member.get("is_member") is False:
        return f"{who} has removed the bot from the chat."
    may_not = member.get("can_send_messages") is False or (chat.kind is ChatKind.CHANNEL and member.get("can_post_messages") is False)
    return f"{who} has taken from the bot the right to write." if may_not else None


def _poll_changed(poll: Json, raw: Json, reader: Reader) -> list[Event]:
    known = reader.memory.poll(poll["id"])
    if known is None:
        return [notice("unknown_poll", "A poll changed that this instance did not send, or sent long ago.")]
    reader.memory.keep_poll(poll, known.message_id)
    return list(sums_of(poll, known, datetime.now(UTC)))


def _voted(answer: Json, raw: Json, reader: Reader) -> list[Event]:
    known = reader.memory.poll(answer["poll_id"])
    if known is None:
        return [notice("unknown_poll", "A vote came for a poll that this instance did not send, or sent long ago.")]
    return [vote_of(answer, known, datetime.now(UTC))]


def _asked_to_join(request: Json, raw: Json, reader: Reader) -> list[Event]:
    who, bio = person_of(request["from"]), request.get("bio")
    words = f"{who.name} asks to join the chat." + (f" About themselves: “{bio}”" if bio else "")
    return [_report(request["chat"], f"join:{who.id}:{request['date']}", request["date"], words, raw)]


def _boosted(change: Json, raw: Json, reader: Reader) -> list[Event]:
    boost = change["boost"]
    words = f"{name_of(boost['source'].get('user', {})) or 'Somebody'} boosted the chat."
    return [_report(change["chat"], f"boost:{boost['boost_id']}", boost["add_date"], words, raw)]


def _boost_removed(change: Json, raw: Json, reader: Reader) -> list[Event]:
    words = f"The boost of {name_of(change['source'].get('user', {})) or 'somebody'} ended."
    return [_report(change["chat"], f"boost-end:{change['boost_id']}", change["remove_date"], words, raw)]


def _report(in_chat: Json, id: str, seconds: int, words: str, raw: Json) -> MessageReceived:
    """Return an event of a chat for which Telegram makes no message."""
    chat = chat_of(in_chat)
    message = Message(id=f"{chat.id}:{id}", chat_id=chat.id, at=time_of(seconds), kind=MessageKind.SYSTEM, text=words, raw=raw)
    return MessageReceived(message=message, chat=chat)


def _media_bought(purchase: Json, raw: Json, reader: Reader) -> list[Event]:
    return [
        notice("paid_media", f"{name_of(purchase['from'])} bought paid media with the payload “{purchase['paid_media_payload']}”.", is_error=False)
    ]


_TRANSLATIONS: dict[str, Callable[[Json, Json, Reader], list[Event]]] = {
    "message": _received,
    "edited_message": _edited,
    "channel_post": _received,
    "edited_channel_post": _edited,
    "callback_query": _pressed,
    "business_connection": _connected,
    "business_message": _as_business(_received),
    "edited_business_message": _as_business(_edited),
    "deleted_business_messages": _business_deleted,
    "message_reaction": _reacted,
    "message_reaction_count": _reactions_counted,
    "my_chat_member": _membership,
    "poll": _poll_changed,
    "poll_answer": _voted,
    "chat_join_request": _asked_to_join,
    "chat_boost": _boosted,
    "removed_chat_boost": _boost_removed,
    "purchased_paid_media": _media_bought,
}

ALLOWED_UPDATES = tuple(_TRANSLATIONS)
"""The updates that are asked for. Those that need an answer which nobody here gives (inline queries, payments) are not."""


def _speaks_to(message: Json, me: Account) -> bool:
    """Whether the bot is mentioned, or one of its messages is answered."""
    replied = message.get("reply_to_message", {})
    if context.reply_to(message) is not None and str(replied.get("from", {}).get("id")) == me.id:
        return True
    text: str = message.get("text") or message.get("caption", "")
    units = text.encode("utf-16-le", "surrogatepass")
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
