"""WhatsApp's ids. They are opaque but for their server: @c.us is a phone number, @lid hides one, @g.us is a group."""

import re
from collections.abc import Collection
from typing import Any, cast

from providers.errors import NotFound
from providers.kit.phones import digits_of
from providers.models import ChatKind

_ID = re.compile(r"[\w-]+@(c\.us|g\.us|lid|newsletter|broadcast)", re.ASCII)
_MESSAGE_ID = re.compile(r"(?:true|false)_([\w-]+@[a-z.]+)_\w+(?:_[\w:@.-]+)?", re.ASCII)
_PHONE_DIGITS = 7
_OTHER_NAME = "@s.whatsapp.net"

_KINDS = {"c.us": ChatKind.PRIVATE, "lid": ChatKind.PRIVATE, "g.us": ChatKind.GROUP, "newsletter": ChatKind.CHANNEL}


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def require_chat(chat_id: str) -> str:
    """Raises NotFound."""
    if not is_id(chat_id):
        raise NotFound(
            f"'{chat_id[:64]}' is no chat of WhatsApp.", hint="list_chats has those there are; a phone number with its country code works too."
        )
    return chat_id


def require_message(message_id: str) -> str:
    """Raises NotFound."""
    if not _MESSAGE_ID.fullmatch(message_id):
        raise NotFound(f"'{message_id[:64]}' is no message of WhatsApp.", hint="get_messages has the ids.")
    return message_id


def key_of(message_id: str) -> str:
    """Return the part of a message's id that stays when its chat gets another id; the whole where it has no such part."""
    _, at, rest = message_id.partition("@")
    parts = rest.split("_")
    return parts[1] if at and len(parts) > 1 else message_id


def is_person(id: str) -> bool:
    """Whether it is the id of one person, by number or by lid."""
    return is_id(id) and kind_of(id) is ChatKind.PRIVATE


def kind_of(chat_id: str) -> ChatKind:
    return _KINDS.get(chat_id.rpartition("@")[2], ChatKind.UNKNOWN)


def address(to: str) -> str:
    """A phone number as people write it into its chat's id; what is no number stays as it is."""
    digits = digits_of(to.strip().removesuffix(_OTHER_NAME), _PHONE_DIGITS)
    return to if digits is None else f"{digits}@c.us"


def phone_of(id: str | None) -> str | None:
    """The phone number, where the id is one."""
    return f"+{id.removesuffix('@c.us')}" if id is not None and id.endswith("@c.us") else None


def serialized(wid: object) -> str | None:
    """Ids come as text or as an object with their parts."""
    if isinstance(wid, dict):
        return cast("dict[str, Any]", wid).get("_serialized")
    return wid if isinstance(wid, str) else None


def quoted_id(message: dict[str, Any], chat_id: str, own: Collection[str]) -> str | None:
    """The id of the message that is replied to: WhatsApp tells its last part and who wrote it."""
    stanza, author = message.get("quotedStanzaID"), serialized(message.get("quotedParticipant"))
    if not stanza or author is None:
        return None
    end = f"_{author}" if kind_of(chat_id) is ChatKind.GROUP else ""
    return f"{'true' if author in own else 'false'}_{chat_id}_{stanza}{end}"
