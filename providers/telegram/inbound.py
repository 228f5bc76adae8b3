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
    StopRequested,
)
from providers.kit.bounded import bounded_raw
from providers.kit.unread import if_readable
from providers.models import Account, Chat, ChatKind, Contact, Message, MessageKind, TextFormat
from providers.telegram import business, context
from providers.telegram.content import content_of
from providers.telegram.ids import message_id, time_of
from providers.telegram.keyboards import title_of_press
from providers.telegram.memory import Memory, sums_of, vote_of
from providers.telegram.people import author_of, chat_of, name_of, person_of, shown_author

Json = dict[str, Any]

_NO_CONTENT = "A message without content that a bot can see."


class UnknownConnection(ValueError):
    """The person has disconnected the bot from their chats: nobody says any more whose chats they are."""


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
        id=context.id_of(message),
        chat_id=chat.id,
        at=if_readable(lambda: time_of(message["date"]), datetime.now(UTC)),
        outgoing=sender.id == me.id,
        sender_id=sender.id,
        sender_name=shown_author(message, sender),
        kind=content.kind,
        text=_NO_CONTENT if is_empty else content.text,
        format=content.format,
        reply_to=context.reply_to(message),
        thread_id=context.thread_of(message),
        thread_title=if_readable(lambda: context.thread_title(message), None),
        media=content.media,
        location=content.location,
        poll=content.poll,
        contact=content.contact,
        album=message.get("media_group_id"),
        forwarded=if_readable(lambda: context.forwarded(message), None),
        quoted=if_readable(lambda: context.quoted(message), None),
        mentions_me=if_readable(lambda: _speaks_to(message, me), otherwise=False),
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
        raise UnknownConnection("Telegram does not know the business connection any more")
    return connection


def _connected(payload: Json, raw: Json, reader: Reader) -> list[Event]:
    reader.memory.keep_connection(business.connection_of(payload))
    return [business.changed(payload)]


def _business_deleted(deleted: Json, raw: Json, reader: Reader) -> list[Event]:
    chat_id, now = _connection(deleted, reader).chat_id(deleted["chat"]["id"]), datetime.now(UTC)
    return [MessageDeleted(chat_id=chat_id, message_id=message_id(chat_id, number), at=now) for number in deleted["message_ids"]]


def _edited(message: Json, raw: Json, reader: Reader) -> list[Event]:
    content = content_of(message, author_of(message).name)
    # In a group a bot may get a message for the first time when an edit mentions it; one that is stored is not stored again.
    is_first = message["chat"]["type"] != "private" and if_readable(lambda: _speaks_to(message, reader.me), otherwise=False)
    return [
        *(_received(message, raw, reader) if is_first else []),
        MessageEdited(
            chat_id=str(message["chat"]["id"]),
            message_id=context.id_of(message),
            text=content.text,
            format=content.format if content.format is TextFormat.MARKDOWN else None,
            media=content.media or None,
            location=content.location,
            at=time_of(message.get("edit_date", message["date"])),
        ),
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
    button = context.id_of(under)
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


def _generation_stopped(stopped: Json, raw: Json, reader: Reader) -> list[Event]:
    """A person pressed the stop button of a growing answer in their own chat with the bot."""
    chat, thread = stopped["chat"], stopped.get("message_thread_id")
    person = str(chat["id"]) if chat.get("type") == "private" else None
    return [StopRequested(chat_id=str(chat["id"]), thread_id=None if thread is None else str(thread), sender_id=person, at=datetime.now(UTC))]


def _subscribed(change: Json, raw: Json, reader: Reader) -> list[Event]:
    words = f"The subscription of {name_of(change['user'])} with the payload “{change['invoice_payload']}” is now {change['state']}."
    return [notice("subscription", words, is_error=change["state"] == "failed")]


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
    "subscription": _subscribed,
    "stopped_message_generation": _generation_stopped,
}

ALLOWED_UPDATES = tuple(_TRANSLATIONS)
"""The updates that are asked for. Those that need an answer which nobody here gives (inline queries, payments) are not."""


def _speaks_to(message: Json, me: Account) -> bool:
    """Whether the bot is mentioned, or one of its messages is answered. What Telegram copies from a channel, such as a post of the bot's own,
    speaks to nobody (https://core.telegram.org/bots/api#message, is_automatic_forward).
    """
    if message.get("is_automatic_forward"):
        return False
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
        if entity["type"] == "text_mention" and str(entity.get("user", {}).get("id")) == me.id:
            return True
    return False
