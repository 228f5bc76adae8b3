"""What is in a message of the Cloud API, by its type."""

from collections.abc import Callable

from providers.kit.json import Json, parts
from providers.meta.errors import words_of
from providers.models import Contact, Location, Media, MediaKind, MessageKind

_MEDIA = {
    "image": MediaKind.IMAGE,
    "video": MediaKind.VIDEO,
    "audio": MediaKind.AUDIO,
    "document": MediaKind.DOCUMENT,
    "sticker": MediaKind.STICKER,
}


def content_of(message: Json) -> Json:
    """Fields of Message. A type that is not known, or not of the known form, is UNKNOWN with what can be said of it."""
    read = _READERS.get(message["type"], _unknown)
    try:
        return read(message)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return _unknown(message)


def _text(message: Json) -> Json:
    return {"text": message["text"]["body"]}


def _media(message: Json) -> Json:
    file = message[message["type"]]
    kind = MediaKind.VOICE if file.get("voice") else _MEDIA[message["type"]]
    media = Media(kind=kind, ref=file["id"], mime=_plain(file.get("mime_type")), name=file.get("filename"))
    return {"kind": MessageKind.MEDIA, "text": file.get("caption", ""), "media": (media,)}


def _plain(mime: str | None) -> str | None:
    return mime and mime.partition(";")[0].strip()


def _location(message: Json) -> Json:
    place = message["location"]
    name = ", ".join(place[part] for part in ("name", "address") if place.get(part))
    return {
        "kind": MessageKind.LOCATION,
        "location": Location(latitude=float(place["latitude"]), longitude=float(place["longitude"]), name=name or None),
    }


def _contacts(message: Json) -> Json:
    cards = [_card(card) for card in message["contacts"]]
    text = "\n".join(f"{card.name} {card.phone or ''}".strip() for card in cards)
    return {"kind": MessageKind.CONTACT, "text": text, "contact": cards[0]}


def _card(card: Json) -> Contact:
    phones = parts(card, "phones")
    phone: Json = phones[0] if phones else {}
    return Contact(id=phone.get("wa_id", ""), name=card["name"]["formatted_name"], phone=phone.get("phone"))


def _interactive(message: Json) -> Json:
    answer = message["interactive"]
    picked = answer[answer["type"]]
    if answer["type"] in {"button_reply", "list_reply"}:
        return {"text": picked["title"], "chosen": picked["id"]}
    return {"text": picked.get("body", ""), "kind": MessageKind.UNKNOWN}


def _button(message: Json) -> Json:
    """Of a template."""
    return {"text": message["button"]["text"], "chosen": message["button"].get("payload")}


def _order(message: Json) -> Json:
    order = message["order"]
    items = [f"{item['quantity']} × {item['product_retailer_id']}" for item in order["product_items"]]
    return {"kind": MessageKind.UNKNOWN, "text": f"Order: {', '.join(items)}. {order.get('text', '')}".strip()}


def _system(message: Json) -> Json:
    return {"kind": MessageKind.SYSTEM, "text": message["system"].get("body", "")}


def _unknown(message: Json) -> Json:
    errors = parts(message, "errors")
    text = "; ".join(words_of(error) for error in errors) if errors else f"A message of the type {message['type']}."
    return {"kind": MessageKind.UNKNOWN, "text": text}


_READERS: dict[str, Callable[[Json], Json]] = {
    "text": _text,
    **dict.fromkeys(_MEDIA, _media),
    "location": _location,
    "contacts": _contacts,
    "interactive": _interactive,
    "button": _button,
    "order": _order,
    "system": _system,
}
