"""What the chat page shows, as JSON."""

from collections.abc import Callable
from typing import Any

from providers.events import StateChanged
from providers.models import Chat, ChatKind, MediaKind, MessageKind
from providers.sandbox.people import OWN_ID, TROUBLE_IDS
from providers.sandbox.phone import Phone
from providers.sandbox.world import Post, World
from providers.states import InstanceState

SHOWN = 200
Say = Callable[[str], str]
_ = str
"""Marks a text for the catalogues; it is translated where it is shown."""
KINDS = {
    MediaKind.IMAGE: _("Picture"),
    MediaKind.VIDEO: _("Video"),
    MediaKind.AUDIO: _("Sound"),
    MediaKind.VOICE: _("Voice message"),
    MediaKind.DOCUMENT: _("File"),
    MediaKind.STICKER: _("Sticker"),
    MessageKind.LOCATION: _("Place"),
    MessageKind.CONTACT: _("Contact"),
}
"""What stands for a message without words."""


def view(world: World, phone: Phone, state: StateChanged, chat_id: str | None, say: Say) -> dict[str, Any]:
    """Everything around, and the messages of one chat. `say` gives a text in the reader's language."""
    account = state.account if state.state is InstanceState.READY else None
    chats = world.chats()
    known = {chat.id for chat in chats}
    return {
        "state": state.state,
        "reason": state.reason if state.state is InstanceState.ERROR else None,
        "can_link": state.qr is not None,
        "asks_for_code": state.pairing_code is not None,
        "account": None if account is None else {"name": account.name, "phone": account.phone},
        "chats": [_summary(world, chat, say) for chat in chats],
        "contacts": [{"id": one.id, "name": one.name} for one in world.contacts() if one.id not in known and one.id not in TROUBLE_IDS],
        "chat": None if chat_id is None else _chat(world, phone, world.chat(chat_id), say),
    }


def _summary(world: World, chat: Chat, say: Say) -> dict[str, Any]:
    last = world.posts(chat.id, limit=1)
    return {
        "id": chat.id,
        "title": chat.title,
        "group": chat.kind is ChatKind.GROUP,
        "unread": len(world.unread(chat.id)),
        "last": _headline(last[0], say) if last else None,
        "at": last[0].message.at.isoformat() if last else None,
    }


def _headline(post: Post, say: Say) -> str:
    message = post.message
    if post.deleted:
        return say("Deleted message")
    if message.poll is not None:
        return say("Poll: {0}").replace("{0}", message.poll.question)
    return message.text or say(KINDS.get(message.media[0].kind if message.media else message.kind, "Message"))


def _chat(world: World, phone: Phone, chat: Chat, say: Say) -> dict[str, Any]:
    read = world.read_up_to(chat.id)
    return {
        "id": chat.id,
        "title": chat.title,
        "group": chat.kind is ChatKind.GROUP,
        "people": [{"id": one.id, "name": one.name} for one in phone.people(chat)],
        "typing": world.is_typing(chat.id),
        "messages": [_message(world, post, read, say) for post in reversed(world.posts(chat.id, limit=SHOWN))],
    }


def _message(world: World, post: Post, read: int, say: Say) -> dict[str, Any]:
    message = post.message
    if post.deleted:
        return {"id": message.id, "outgoing": message.outgoing, "sender": message.sender_name, "at": message.at.isoformat(), "deleted": True}
    quoted = world.find_post(message.reply_to) if message.reply_to else None
    return {
        "id": message.id,
        "outgoing": message.outgoing,
        "sender": message.sender_name,
        "at": message.at.isoformat(),
        "deleted": False,
        "text": message.text,
        "format": post.format,
        "edited": post.edited,
        "reply": None
        if quoted is None
        else {"sender": quoted.message.sender_name, "outgoing": quoted.message.outgoing, "text": _headline(quoted, say)},
        "media": [{"kind": one.kind, "ref": one.ref, "name": one.name, "mime": one.mime, "size": one.size} for one in message.media],
        "location": None if message.location is None else message.location.model_dump(),
        "poll": None if message.poll is None else message.poll.model_dump(),
        "status": post.status if message.outgoing else None,
        "read": not message.outgoing and post.position <= read,
        "reactions": [{"emoji": emoji, "sender": sender, "agent": sender == OWN_ID} for sender, emoji in world.reactions(message.id).items()],
    }
