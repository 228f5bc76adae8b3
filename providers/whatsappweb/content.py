"""Messages that are no plain text or file: answers by button or list, and what WhatsApp notes of albums, calls, pins and invitations."""

from typing import Any

from providers.whatsappweb.ids import serialized

Json = dict[str, Any]

NOTES = frozenset({"call_log", "album", "pinned_message"})
"""Types of messages that say what happened, and wake nobody."""

_UNPINNED = 2


def chosen_of(raw: Json) -> str | None:
    """Return the id of the button or of the row of a list that was picked; None for any other message."""
    match raw["type"]:
        case "buttons_response":
            return raw.get("selectedButtonId")
        case "template_button_reply":
            return raw.get("selectedId") or raw.get("selectedButtonId")
        case "list_response":
            return _part(_part(raw, "listResponse"), "singleSelectReply").get("selectedRowId")
        case _:
            return None


def words_of(raw: Json) -> str | None:
    """Return what such a message says; None for a type whose text is its body."""
    match raw["type"]:
        case "call_log":
            outcome = raw.get("callOutcome")
            return f"A {'video' if raw.get('isVideoCall') else 'voice'} call{f' ({outcome})' if outcome else ''}."
        case "album":
            parts = [_counted(raw.get("expectedImageCount"), "picture"), _counted(raw.get("expectedVideoCount"), "video")]
            held = " and ".join(part for part in parts if part)
            return f"An album of {held}." if held else "An album."
        case "pinned_message":
            return "A pin was taken off a message." if raw.get("pinMessageType") == _UNPINNED else "A message was pinned."
        case "list_response":
            return _part(raw, "listResponse").get("title") or raw.get("body") or ""
        case "groups_v4_invite":
            return "\n".join(filter(None, [f"An invitation to the group {raw.get('inviteGrpName') or ''}".rstrip() + ".", raw.get("comment")]))
        case _:
            return None


def album_of(raw: Json) -> str | None:
    """Return the id of the album that a picture or video belongs to."""
    if raw["type"] == "album":
        return raw["id"]["_serialized"]
    return serialized(raw.get("parentMsgKey")) if raw.get("associationType") else None


def pinned_id(raw: Json) -> str | None:
    """Return the id of the message that was pinned, or whose pin was taken off."""
    return serialized(raw.get("pinParentKey")) if raw["type"] == "pinned_message" else None


def _part(raw: Json, name: str) -> Json:
    found = raw.get(name)
    return found if isinstance(found, dict) else {}  # type: ignore[return-value]


def _counted(number: object, name: str) -> str:
    return "" if not isinstance(number, int) or number < 1 else f"{number} {name}{'' if number == 1 else 's'}"
