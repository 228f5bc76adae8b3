"""Changes of a group in words: a line in the chat that wakes nobody."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from providers.events import ChatClosed, Event
from providers.models import Message, MessageKind
from providers.whatsappweb.ids import phone_of, serialized
from providers.whatsappweb.inbound import Me

Json = dict[str, Any]

_WORDS = {
    "create": "{author} made the group.",
    "add": "{author} added {people}.",
    "invite": "{people} joined by the invitation link.",
    "linked_group_join": "{people} joined from the community.",
    "remove": "{author} removed {people}.",
    "leave": "{people} left.",
    "promote": "{people} may administer the group now.",
    "demote": "{people} may not administer the group any more.",
    "subject": "{author} changed the title.",
    "description": "{author} changed the description.",
    "picture": "{author} changed the picture.",
    "membership_approval_request": "{author} asks to join.",
    "modify": "{author} has a new number: {people}.",
}
_REMOVED = frozenset({"remove", "leave"})
_ADDED = frozenset({"add", "invite", "linked_group_join"})


def notice_of(raw: Json, me: Me, key: Callable[[str], str]) -> Message:
    """Return a change of a group as a message. `key` gives a person's number for a lid, where it is known."""
    author = serialized(raw.get("author"))
    people = _recipients(raw) or ([author] if author else [])
    words = _WORDS.get(raw["type"], f"The group was changed ({raw['type']}).")
    names = {"author": _name(author, me, key), "people": ", ".join(_name(one, me, key) for one in people) or "Somebody"}
    return Message(
        id=raw["id"]["_serialized"],
        chat_id=raw["chatId"],
        at=datetime.fromtimestamp(raw["timestamp"], UTC),
        outgoing=author in me.ids,
        sender_id=author,
        kind=MessageKind.SYSTEM,
        text=words.format(**names),
    )


def membership_of(raw: Json, me: Me) -> list[Event]:
    """Return that nothing can be sent to the group any more, or again, where the change concerns this account."""
    author = serialized(raw.get("author"))
    concerned = _recipients(raw) or ([author] if author else [])
    if not any(one in me.ids for one in concerned) or raw["type"] not in _REMOVED | _ADDED:
        return []
    reason = "This account is not in the group any more." if raw["type"] in _REMOVED else None
    return [ChatClosed(chat_id=raw["chatId"], reason=reason, at=datetime.fromtimestamp(raw["timestamp"], UTC))]


def _recipients(raw: Json) -> list[str]:
    return [id for one in raw.get("recipientIds") or () if (id := serialized(one)) is not None]


def _name(id: str | None, me: Me, key: Callable[[str], str]) -> str:
    if id is None:
        return "Somebody"
    return "This account" if id in me.ids else phone_of(key(id)) or id
