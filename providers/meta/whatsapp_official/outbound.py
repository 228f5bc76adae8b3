"""Drafts into messages of the Cloud API."""

from typing import Any

from providers.errors import InvalidRequest
from providers.kit.extra import check_extra
from providers.kit.json import Json, part
from providers.meta.client import GraphClient, id_in
from providers.meta.whatsapp_official.ids import recipient_of
from providers.models import Choice, Contact, Draft, Location, MediaKind
from providers.templates import TemplateButton, TemplateUse

# Our own words in `extra`; everything else in there is Meta's.
_BUTTON = "button"
PREVIEW = "preview_url"

_TYPES = {
    MediaKind.IMAGE: "image",
    MediaKind.VIDEO: "video",
    MediaKind.AUDIO: "audio",
    MediaKind.VOICE: "audio",
    MediaKind.DOCUMENT: "document",
    MediaKind.STICKER: "sticker",
}
# What `extra` may hold in place of a text: a file by its id or link, or what the port has no field for.
_EXTRA_TYPES = frozenset({*_TYPES.values(), "template", "interactive", "contacts"})
_UNCAPTIONED = frozenset({"audio", "sticker", "location", "contacts", "template"})

# What a draft says itself: `extra` must not turn it into something that was not checked.
_SAID_BY_DRAFT = frozenset(
    {"messaging_product", "recipient_type", "to", "recipient", "type", "text", "location", "context", "biz_opaque_callback_data"}
)

_HEADERS = frozenset({MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.DOCUMENT})
_BUTTON_VALUES = {"url": ("text", "text"), "quick_reply": ("payload", "payload"), "copy_code": ("coupon_code", "coupon_code")}

_MB = 1024 * 1024
_SIZES = {
    MediaKind.IMAGE: 5 * _MB,
    MediaKind.VIDEO: 16 * _MB,
    MediaKind.AUDIO: 16 * _MB,
    MediaKind.VOICE: 16 * _MB,
    MediaKind.STICKER: 500 * 1024,
}

_BUTTONS_MAX = 3
_BUTTON_TITLE = 20
_ROWS_MAX = 10
_ROW_TITLE = 24
_ROW_DESCRIPTION = 72
_CHOICES_TEXT_MAX = 1024


def check_content(draft: Draft) -> None:
    """Refuse what WhatsApp would refuse, or show without a part of it."""
    check_extra(draft, "WhatsApp", reserved=_SAID_BY_DRAFT, known=_EXTRA_TYPES | {_BUTTON, PREVIEW})
    kinds = _kinds_of(draft)
    if len(kinds) > 1:
        raise InvalidRequest(f"A message of WhatsApp is one of {', '.join(sorted(kinds))}.", hint="Send several messages.")
    if draft.text and (kinds & _UNCAPTIONED or "interactive" in draft.extra):
        raise InvalidRequest(
            "WhatsApp shows no text with a location, a contact, a template, a voice message or a sticker.",
            hint="Send the text as a separate message; send_template and send_choices send those without extra.",
        )
    if draft.upload is not None:
        _check_size(draft.upload.kind, len(draft.upload.content))
    if draft.template is not None:
        _check_template(draft, draft.template)
    if draft.choices:
        _check_choices(draft)


def _check_template(draft: Draft, use: TemplateUse) -> None:
    if use.parameters and use.named:
        raise InvalidRequest("A template has numbered placeholders or named ones.", hint="list_templates shows which; give only those.")
    if draft.upload is not None and draft.upload.kind not in _HEADERS:
        raise InvalidRequest("The header of a template is a picture, a video or a document.", hint="Send it as one of those.")
    if draft.upload is not None and use.header is not None:
        raise InvalidRequest("The header of a template is a text or a file.", hint="list_templates shows which.")


def _kinds_of(draft: Draft) -> set[str]:
    """What a draft is besides a text, in Meta's words."""
    fields = {"location": draft.location, "contacts": draft.contact, "template": draft.template, "interactive": draft.choices or None}
    kinds = {kind for kind, content in fields.items() if content is not None} | (_EXTRA_TYPES & draft.extra.keys())
    is_header = draft.template is not None
    return kinds | ({_TYPES[draft.upload.kind]} if draft.upload is not None and not is_header else set[str]())


def _check_size(kind: MediaKind, size: int) -> None:
    limit = _SIZES.get(kind)
    if limit is not None and size > limit:
        raise InvalidRequest(f"The file has {size} bytes; WhatsApp takes {limit} for {kind}.", hint="Send it as a document, or a smaller one.")


async def message_of(graph: GraphClient, number: str, draft: Draft) -> Json:
    """The body of the call that sends it. A file is uploaded first; nothing was sent when that fails."""
    extra = {name: value for name, value in draft.extra.items() if name not in {_BUTTON, PREVIEW}}
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
    if draft.template is not None:
        header = None if draft.upload is None else await _upload(graph, number, draft)
        return "template", _template(draft.template, header)
    if draft.upload is not None:
        return await _upload(graph, number, draft)
    if draft.location is not None:
        return "location", _location(draft.location)
    if draft.contact is not None:
        return "contacts", [_card(draft.contact)]
    if draft.choices:
        return "interactive", _interactive(draft)
    if given := _EXTRA_TYPES & draft.extra.keys():
        kind = min(given)
        content = draft.extra[kind]
        return kind, {**content, "caption": draft.text} if draft.text and kind not in _UNCAPTIONED else content
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
    return _TYPES[upload.kind], content


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


def _template(use: TemplateUse, header: tuple[str, Json] | None) -> Json:
    components: list[Json] = []
    if header is not None:
        components.append({"type": "header", "parameters": [{"type": header[0], header[0]: header[1]}]})
    elif use.header is not None:
        components.append({"type": "header", "parameters": [{"type": "text", "text": use.header}]})
    body = [{"type": "text", "text": text} for text in use.parameters]
    body += [{"type": "text", "parameter_name": name, "text": text} for name, text in use.named.items()]
    if body:
        components.append({"type": "body", "parameters": body})
    components += [_template_button(button) for button in use.buttons]
    content: Json = {"name": use.name, "language": {"policy": "deterministic", "code": use.language}}
    return content | ({"components": components} if components else {})


def _template_button(button: TemplateButton) -> Json:
    kind, field = _BUTTON_VALUES[button.kind]
    return {"type": "button", "sub_type": button.kind, "index": str(button.index), "parameters": [{"type": kind, field: button.value}]}


def _are_buttons(choices: tuple[Choice, ...]) -> bool:
    return len(choices) <= _BUTTONS_MAX and all(len(one.title) <= _BUTTON_TITLE and not one.description for one in choices)


def _interactive(draft: Draft) -> Json:
    body = {"text": draft.text}
    if _are_buttons(draft.choices):
        buttons = [{"type": "reply", "reply": {"id": one.id, "title": one.title}} for one in draft.choices]
        return {"type": "button", "body": body, "action": {"buttons": buttons}}
    rows = [{"id": one.id, "title": one.title} | ({"description": one.description} if one.description else {}) for one in draft.choices]
    return {"type": "list", "body": body, "action": {"button": draft.extra.get(_BUTTON, "Choose"), "sections": [{"rows": rows}]}}


def _check_choices(draft: Draft) -> None:
    if len(draft.text) > _CHOICES_TEXT_MAX:
        raise InvalidRequest(f"A text with choices has at most {_CHOICES_TEXT_MAX} characters.", hint="Send the text as a separate message before.")
    if len(draft.choices) > _ROWS_MAX:
        raise InvalidRequest(f"WhatsApp shows at most {_ROWS_MAX} choices.", hint="Ask in two steps.")
    if _are_buttons(draft.choices):
        return
    for one in draft.choices:
        if len(one.title) > _ROW_TITLE or len(one.description or "") > _ROW_DESCRIPTION:
            raise InvalidRequest(
                f"The choice '{one.id}' is too long: a title has at most {_ROW_TITLE} characters, a description {_ROW_DESCRIPTION}.",
                hint="Shorten the title, and put the rest into the description.",
            )
