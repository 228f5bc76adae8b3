"""Drafts into messages of the Cloud API."""

from typing import Any

from providers.errors import InvalidRequest
from providers.meta.graph import GraphClient, id_in
from providers.meta.json import Json, part
from providers.meta.parts import SPLIT
from providers.meta.whatsapp_official.ids import recipient_of
from providers.models import Choice, Contact, Draft, Location, MediaKind, TemplateUse

# Our own words in `extra`; everything else in there is Meta's.
BUTTON = "button"
PREVIEW = "preview_url"

TYPES = {
    MediaKind.IMAGE: "image",
    MediaKind.VIDEO: "video",
    MediaKind.AUDIO: "audio",
    MediaKind.VOICE: "audio",
    MediaKind.DOCUMENT: "document",
    MediaKind.STICKER: "sticker",
}
# What `extra` may hold in place of a text: a file by its id or link, or what the port has no field for.
EXTRA_TYPES = frozenset({*TYPES.values(), "template", "interactive", "contacts"})
UNCAPTIONED = frozenset({"audio", "sticker", "contacts", "interactive", "template"})

_BUTTONS_MAX = 3
_BUTTON_TITLE = 20
_ROWS_MAX = 10
_ROW_TITLE = 24
_ROW_DESCRIPTION = 72
CHOICES_TEXT_MAX = 1024


async def message_of(graph: GraphClient, number: str, draft: Draft) -> Json:
    """The body of the call that sends it. A file is uploaded first; nothing was sent when that fails."""
    extra = {name: value for name, value in draft.extra.items() if name not in {BUTTON, PREVIEW, SPLIT}}
    recipient = recipient_of(draft.chat_id)
    kind, content = await _content(graph, number, draft)
    if more := part(extra, kind):
        content = {**content, **more}
    extra.pop(kind, None)
    body: Json = {
        "messaging_product": "whatsapp",
        **recipient,
        "type": kind,
        kind: content,
    }
    if draft.reply_to is not None:
        body["context"] = {"message_id": draft.reply_to}
    return body | extra


async def _content(graph: GraphClient, number: str, draft: Draft) -> tuple[str, Any]:
    if draft.upload is not None:
        return await _upload(graph, number, draft)
    if draft.location is not None:
        return "location", _location(draft.location)
    if draft.contact is not None:
        return "contacts", [_card(draft.contact)]
    if draft.template is not None:
        return "template", _template(draft.template)
    if draft.choices:
        return "interactive", _interactive(draft)
    if given := EXTRA_TYPES & draft.extra.keys():
        kind = min(given)
        content = draft.extra[kind]
        return kind, {**content, "caption": draft.text} if draft.text and kind not in UNCAPTIONED else content
    return "text", {"body": draft.text, PREVIEW: bool(draft.extra.get(PREVIEW, True))}


async def _upload(graph: GraphClient, number: str, draft: Draft) -> tuple[str, Json]:
    upload = draft.upload
    assert upload is not None
    answer = await graph.upload(f"{number}/media", {"messaging_product": "whatsapp", "type": upload.mime}, upload, field="file")
    content: Json = {"id": id_in(answer, "id", sent=False)}
    if draft.text:
        content["caption"] = draft.text
    if upload.kind is MediaKind.DOCUMENT:
        content["filename"] = upload.name
    if upload.kind is MediaKind.VOICE:
        content["voice"] = True
    return TYPES[upload.kind], content


def _location(place: Location) -> Json:
    content: Json = {"latitude": str(place.latitude), "longitude": str(place.longitude)}
    return content | ({"name": place.name} if place.name else {})


def _card(contact: Contact) -> Json:
    first, _, last = contact.name.partition(" ")
    name = {"formatted_name": contact.name, "first_name": first} | ({"last_name": last} if last else {})
    if contact.phone is None:
        return {"name": name}
    phone = {"phone": contact.phone, "type": "HOME"} | ({"wa_id": contact.id} if contact.id.isdecimal() else {})
    return {"name": name, "phones": [phone]}


def _template(use: TemplateUse) -> Json:
    content: Json = {"name": use.name, "language": {"policy": "deterministic", "code": use.language}}
    if use.parameters:
        content["components"] = [{"type": "body", "parameters": [{"type": "text", "text": text} for text in use.parameters]}]
    return content


def are_buttons(choices: tuple[Choice, ...]) -> bool:
    return len(choices) <= _BUTTONS_MAX and all(len(one.title) <= _BUTTON_TITLE and not one.description for one in choices)


def _interactive(draft: Draft) -> Json:
    body = {"text": draft.text}
    if are_buttons(draft.choices):
        buttons = [{"type": "reply", "reply": {"id": one.id, "title": one.title}} for one in draft.choices]
        return {"type": "button", "body": body, "action": {"buttons": buttons}}
    rows = [{"id": one.id, "title": one.title} | ({"description": one.description} if one.description else {}) for one in draft.choices]
    return {"type": "list", "body": body, "action": {"button": draft.extra.get(BUTTON, "Choose"), "sections": [{"rows": rows}]}}


def check_choices(draft: Draft) -> None:
    if len(draft.text) > CHOICES_TEXT_MAX:
        raise InvalidRequest(f"A text with choices has at most {CHOICES_TEXT_MAX} characters.", hint="Send the text as a message of its own before.")
    if len(draft.choices) > _ROWS_MAX:
        raise InvalidRequest(f"WhatsApp shows at most {_ROWS_MAX} choices.", hint="Ask in two steps.")
    if are_buttons(draft.choices):
        return
    for one in draft.choices:
        if len(one.title) > _ROW_TITLE or len(one.description or "") > _ROW_DESCRIPTION:
            raise InvalidRequest(
                f"The choice '{one.id}' is too long: a title has at most {_ROW_TITLE} characters, a description {_ROW_DESCRIPTION}.",
                hint="Shorten the title, and put the rest into the description.",
            )
