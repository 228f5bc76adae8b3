"""Messages that are no plain text or file: answers by button or list, offers, events, and WhatsApp's notes of albums, calls, pins and invitations."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from providers.kit.vcards import read_card
from providers.models import Quoted
from providers.whatsappweb.ids import serialized

Json = dict[str, Any]

NOTES = frozenset({"call_log", "album", "pinned_message"})
"""Types of messages that say what happened, and wake nobody."""

_UNPINNED = 2
_QUOTED_MAX = 1000


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
    if is_new_number(raw):
        return "This person has a new number."
    words = _WORDS.get(raw["type"])
    return None if words is None else words(raw)


def buttons_of(raw: Json) -> list[str]:
    """Return a line for each button under a message of a business."""
    titles = [_part(button, "buttonText").get("displayText") for button in _parts(raw, "dynamicReplyButtons")]
    return [f"[Button: {title}]" for title in titles if title]


def unknown_of(raw: Json) -> str:
    """Return the words of a message of a type that is new: those that it has, and otherwise the type."""
    return _lines(*(raw.get(name) for name in ("title", "body", "description", "footer"))) or f"A message of the type {raw['type']}."


def quoted_of(raw: Json) -> Quoted | None:
    """Return the words that a message answers, or the ad that its writer came from; None where WhatsApp brings neither along."""
    if answered := _part(raw, "quotedMsg"):
        words = str(answered.get("caption") or answered.get("pollName") or answered.get("body") or "")
        # The body of a file is its thumbnail.
        text = words if answered.get("type") in {None, "chat", "poll_creation"} or answered.get("caption") else f"[{answered['type']}]"
        return Quoted(text=text if len(text) <= _QUOTED_MAX else f"{text[:_QUOTED_MAX]}…") if text else None
    ad = _part(raw, "ctwaContext")
    text = _lines(ad.get("title"), ad.get("description"), ad.get("sourceUrl"))
    return Quoted(of="ad", text=text) if text else None


def _call(raw: Json) -> str:
    outcome = raw.get("callOutcome")
    return f"A {'video' if raw.get('isVideoCall') else 'voice'} call{f' ({outcome})' if outcome else ''}."


def _album(raw: Json) -> str:
    parts = [_counted(raw.get("expectedImageCount"), "picture"), _counted(raw.get("expectedVideoCount"), "video")]
    held = " and ".join(part for part in parts if part)
    return f"An album of {held}." if held else "An album."


def _pin(raw: Json) -> str:
    return "A pin was taken off a message." if raw.get("pinMessageType") == _UNPINNED else "A message was pinned."


def _picked(raw: Json) -> str:
    return _part(raw, "listResponse").get("title") or raw.get("body") or chosen_of(raw) or "Something was picked."


def _invitation(raw: Json) -> str:
    return _lines(f"An invitation to the group {raw.get('inviteGrpName') or ''}".rstrip() + ".", raw.get("comment"))


def _cards(raw: Json) -> str:
    cards = [read_card(str(card.get("vcard") or "")).words(str(card.get("displayName") or "")) for card in _parts(raw, "vcardList")]
    return "; ".join(filter(None, cards)) or "Several contacts."


def _product(raw: Json) -> str:
    return _lines(f"A product: {raw.get('title') or 'without a title'}", raw.get("description"), raw.get("body"))


def _order(raw: Json) -> str:
    what = f"An order of {_counted(raw.get('itemCount'), 'item') or 'unknown length'}"
    return _lines(f"{what}: {raw.get('orderTitle') or raw.get('title') or 'without a title'}", raw.get("message") or raw.get("body"))


def _event(raw: Json) -> str:
    start, place = raw.get("eventStartTime"), _part(raw, "eventLocation").get("name")
    at = f", {datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M} UTC" if isinstance(start, int) else ""
    where = f", {place}" if place else ""
    over = " (cancelled)" if raw.get("isEventCanceled") else ""
    return _lines(f"An event: {raw.get('eventName') or 'without a name'}{at}{where}{over}", raw.get("eventDescription"), raw.get("eventJoinLink"))


def _list(raw: Json) -> str:
    menu = _part(raw, "list")
    rows = [str(row["title"]) for section in _parts(menu, "sections") for row in _parts(section, "rows") if row.get("title")]
    said = _lines(menu.get("title") or raw.get("title"), menu.get("description") or raw.get("body"), raw.get("footer"))
    return _lines(said, f"[Menu: {menu.get('buttonText') or ''}: {', '.join(rows)}]" if rows else "") or "A menu."


def _lines(*parts: object) -> str:
    """Return the texts among the parts, each once, one under the other."""
    return "\n".join(dict.fromkeys(part for part in parts if isinstance(part, str) and part.strip()))


def is_new_number(raw: Json) -> bool:
    """Whether WhatsApp notes that a person has another number."""
    return raw.get("type") == "notification_template" and raw.get("subtype") == "change_number"


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


def _parts(raw: Json, name: str) -> list[Json]:
    found: Any = raw.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []  # type: ignore[reportUnknownVariableType]


def _counted(number: object, name: str) -> str:
    return "" if not isinstance(number, int) or number < 1 else f"{number} {name}{'' if number == 1 else 's'}"


_WORDS: dict[str, Callable[[Json], str]] = {
    "call_log": _call,
    "album": _album,
    "pinned_message": _pin,
    "list_response": _picked,
    "buttons_response": _picked,
    "template_button_reply": _picked,
    "groups_v4_invite": _invitation,
    "multi_vcard": _cards,
    "event_creation": _event,
    "scheduled_event_creation": _event,
    "product": _product,
    "order": _order,
    "list": _list,
}
