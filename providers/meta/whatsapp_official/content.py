"""The content of a message of the Cloud API, by its type."""

from collections.abc import Callable
from datetime import UTC, datetime

from providers.kit.json import Json, object_in, part, parts
from providers.kit.unread import NOT_OF_ITS_FORM
from providers.meta.errors import words_of
from providers.meta.words import quoted_of, words_for
from providers.models import Contact, Forwarded, Location, Media, MediaKind, MessageKind

_MEDIA = {
    "image": MediaKind.IMAGE,
    "video": MediaKind.VIDEO,
    "audio": MediaKind.AUDIO,
    "document": MediaKind.DOCUMENT,
    "sticker": MediaKind.STICKER,
}


_OF_ADDRESS = ("street", "zip", "city", "state", "country")


def content_of(message: Json) -> Json:
    """Return fields of Message. A type that is not known, or not of the known form, is UNKNOWN with what can be said of it."""
    read = _READERS.get(message["type"], _unknown)
    try:
        content = read(message)
    except NOT_OF_ITS_FORM:
        content = _unknown(message)
    return {**content, "forwarded": _forwarded(message), "quoted": quoted_of(*_beside(message))}


def _forwarded(message: Json) -> Forwarded | None:
    """Meta marks what was forwarded, and names nobody."""
    context = part(message, "context")
    if context.get("frequently_forwarded"):
        return Forwarded(mark="forwarded many times")
    return Forwarded(mark="forwarded") if context.get("forwarded") else None


def _beside(message: Json) -> list[tuple[str, str]]:
    """Return what a message is about, by kind: the picked line, the product asked about, the ad or post it comes from."""
    choice = str(part(message, "interactive", "list_reply").get("description", ""))
    product, referral = part(message, "context", "referred_product"), part(message, "referral")
    shown = [str(referral[name]) for name in ("headline", "body", "source_url") if referral.get(name)]
    shown += [f"Greeted with: {greeting}"] if (greeting := part(referral, "welcome_message").get("text")) else []
    return [("choice", choice), ("product", words_for(product)), (str(referral.get("source_type") or "ad"), "\n".join(shown))]


def _text(message: Json) -> Json:
    body = message["text"]["body"]
    return {"text": body} if body.strip() else _unknown(message)


def _media(message: Json) -> Json:
    file = message[message["type"]]
    kind = MediaKind.VOICE if file.get("voice") else _MEDIA[message["type"]]
    media = Media(kind=kind, ref=file["id"], mime=_plain(file.get("mime_type")), name=file.get("filename"))
    return {"kind": MessageKind.MEDIA, "text": file.get("caption") or "", "media": (media,)}


def _plain(mime: str | None) -> str | None:
    return mime and mime.partition(";")[0].strip()


def _location(message: Json) -> Json:
    place = message["location"]
    name = ", ".join(place[part] for part in ("name", "address") if place.get(part))
    return {
        "kind": MessageKind.LOCATION,
        "text": place.get("url") or "",
        "location": Location(latitude=float(place["latitude"]), longitude=float(place["longitude"]), name=name or None),
    }


def _contacts(message: Json) -> Json:
    cards = parts(message, "contacts")
    return {"kind": MessageKind.CONTACT, "text": "\n".join(map(_card_words, cards)), "contact": _card(cards[0])}


def _card_words(card: Json) -> str:
    """Return name, company, and every number and address of a card."""
    company = part(card, "org").get("company", "")
    found = [one.get(name, "") for kind, name in (("phones", "phone"), ("emails", "email"), ("urls", "url")) for one in parts(card, kind)]
    found += [" ".join(str(one[name]) for name in _OF_ADDRESS if one.get(name)) for one in parts(card, "addresses")]
    found += [f"born {card['birthday']}"] if card.get("birthday") else []
    name = card["name"]["formatted_name"] + (f" ({company})" if company else "")
    return f"{name} {', '.join(filter(None, found))}".strip()


def _card(card: Json) -> Contact:
    phones = parts(card, "phones")
    phone: Json = phones[0] if phones else {}
    return Contact(id=phone.get("wa_id", ""), name=card["name"]["formatted_name"], phone=phone.get("phone"))


def _interactive(message: Json) -> Json:
    answer = message["interactive"]
    picked = answer[answer["type"]]
    if answer["type"] in {"button_reply", "list_reply"}:
        return {"text": picked["title"], "chosen": picked["id"]}
    if answer["type"] == "nfm_reply":
        return _form(picked)
    if answer["type"] == "call_permission_reply":
        return {"kind": MessageKind.UNKNOWN, "text": _call_permission(picked)}
    return {"kind": MessageKind.UNKNOWN, "text": picked.get("body") or _named(f"An answer of the type {answer['type']}", picked)}


def _form(picked: Json) -> Json:
    """Return the answers of a Flow, or of a form for an address, one in a line; as they came where they are no JSON."""
    given = str(picked.get("response_json") or "")
    answers = object_in(given)
    words = given if answers is None else words_for(answers, between="\n")
    if not words:
        return {"kind": MessageKind.UNKNOWN, "text": picked.get("body") or "An answer to a form, without any answers in it."}
    return {"text": f"Answers to a form:\n{words}"}


def _call_permission(picked: Json) -> str:
    response = picked["response"]
    if response != "accept":
        return f"Does not allow calls ({response})."
    until = picked.get("expiration_timestamp")
    if picked.get("is_permanent") or not until:
        return f"Allows calls ({response})."
    return f"Allows calls ({response}) until {datetime.fromtimestamp(int(until), UTC):%Y-%m-%d %H:%M} UTC."


def _button(message: Json) -> Json:
    """Of a template."""
    return {"text": message["button"]["text"], "chosen": message["button"].get("payload")}


def _order(message: Json) -> Json:
    order = message["order"]
    items = [_item(item) for item in order["product_items"]]
    return {"kind": MessageKind.UNKNOWN, "text": f"Order: {', '.join(items)}. {order.get('text', '')}".strip()}


def _item(item: Json) -> str:
    price = f" at {_price(item['item_price'])} {item.get('currency', '')}".rstrip() if "item_price" in item else ""
    return f"{item['quantity']} × {item['product_retailer_id']}{price}"


def _price(amount: object) -> str:
    """Return a price as Meta wrote it, with every digit; a whole one without a fraction."""
    return f"{amount:.0f}" if isinstance(amount, float) and amount.is_integer() else str(amount)


def _system(message: Json) -> Json:
    system = message["system"]
    return {"kind": MessageKind.SYSTEM, "text": system.get("body") or _named(f"A notice of the type {system.get('type', 'system')}", system)}


def _welcome(message: Json) -> Json:
    """Return the notice that somebody opened the chat: they have not written."""
    return {"kind": MessageKind.SYSTEM, "text": "Opened the chat for the first time, and has not written yet."}


def _unknown(message: Json) -> Json:
    said = [words_of(error) for error in parts(message, "errors")]
    if kind := part(message, "unsupported").get("type"):
        said.append(f"The message is of the type {kind}.")
    name = str(message["type"])
    return {"kind": MessageKind.UNKNOWN, "text": "; ".join(said) or _named(f"A message of the type {name}", message.get(name))}


def _named(what: str, content: object) -> str:
    """Return what there is, with all words in it."""
    words = words_for(content)
    return f"{what}: {words}" if words else f"{what}."


_READERS: dict[str, Callable[[Json], Json]] = {
    "text": _text,
    **dict.fromkeys(_MEDIA, _media),
    "location": _location,
    "contacts": _contacts,
    "interactive": _interactive,
    "button": _button,
    "order": _order,
    "system": _system,
    "request_welcome": _welcome,
}
