"""Drafts into what the bridge sends."""

import base64
from typing import Any

from providers.errors import InvalidRequest
from providers.models import Contact, Draft, MediaKind, SentMessage, TextFormat, Upload
from providers.whatsappweb.ids import require_chat, require_message
from providers.whatsappweb.inbound import chat_id_of, id_of, media_of, time_of
from providers.whatsappweb.markup import to_whatsapp

Json = dict[str, Any]

_OPTIONS = {
    MediaKind.VOICE: {"sendAudioAsVoice": True},
    MediaKind.DOCUMENT: {"sendMediaAsDocument": True},
    MediaKind.STICKER: {"sendMediaAsSticker": True},
}
POLL_OPTIONS_MAX = 12


def check_content(draft: Draft) -> None:
    """Raise InvalidRequest for what WhatsApp cannot show."""
    if draft.forward is not None:
        return
    if draft.format is TextFormat.HTML:
        raise InvalidRequest("WhatsApp has no HTML.", hint="Use Markdown.")
    alone = (draft.location, draft.poll, draft.contact)
    if draft.text and (any(part is not None for part in alone) or _shows_no_caption(draft)):
        raise InvalidRequest(
            "WhatsApp shows no text with a location, a poll, a contact, a sticker or a sound.", hint="Send the text as a separate message."
        )
    if draft.poll is not None and len(draft.poll.options) > POLL_OPTIONS_MAX:
        raise InvalidRequest(f"A poll of WhatsApp has at most {POLL_OPTIONS_MAX} options.", hint="Ask in two polls.")
    if draft.contact is not None and not draft.contact.phone:
        raise InvalidRequest("A contact card needs a phone number.", hint="Give the contact's phone.")
    if draft.upload is not None and draft.upload.kind is MediaKind.STICKER and draft.upload.mime != "image/webp":
        raise InvalidRequest("A sticker is a WebP picture.", hint="Convert it, or send it as an image.")


def _shows_no_caption(draft: Draft) -> bool:
    return draft.upload is not None and draft.upload.kind in {MediaKind.STICKER, MediaKind.VOICE, MediaKind.AUDIO}


def send_args(draft: Draft) -> Json:
    """Return the arguments of the bridge's `send`. Raises NotFound and InvalidRequest."""
    if draft.forward is not None:
        return {"client_id": draft.client_id, "chat_id": require_chat(draft.chat_id), "forward": require_message(draft.forward.message_id)}
    if draft.format is TextFormat.MARKDOWN:
        draft = draft.model_copy(update={"text": to_whatsapp(draft.text)})
    args: Json = {
        "client_id": draft.client_id,
        "chat_id": require_chat(draft.chat_id),
        "reply_to": draft.reply_to and require_message(draft.reply_to),
    }
    if draft.upload is not None:
        upload = draft.upload
        media = {**file_args(upload), "size": len(upload.content)}
        return {**args, "media": media, "options": {**_OPTIONS.get(upload.kind, {}), **({"caption": draft.text} if draft.text else {})}}
    if draft.location is not None:
        return {**args, "location": draft.location.model_dump(mode="json")}
    if draft.poll is not None:
        return {**args, "poll": draft.poll.model_dump(mode="json")}
    if draft.contact is not None:
        return {**args, "text": vcard(draft.contact), "options": {"parseVCards": True}}
    if not draft.text.strip():
        raise InvalidRequest("The message is empty.", hint="Give it a text, a file, a poll, a location or a contact.")
    return {**args, "text": draft.text}


def file_args(upload: Upload) -> Json:
    """Return a file as the bridge takes it."""
    return {"mime": upload.mime, "name": upload.name, "data": base64.b64encode(upload.content).decode()}


def sent_of(raw: Json) -> SentMessage:
    return SentMessage(id=id_of(raw), at=time_of(raw), chat_id=chat_id_of(raw), media=media_of(raw))


def vcard(contact: Contact) -> str:
    """WhatsApp makes a number that can be written to of `waid`."""
    phone = contact.phone or ""
    digits = "".join(filter(str.isdigit, phone))
    name = _escaped(contact.name or phone)
    return "\n".join(["BEGIN:VCARD", "VERSION:3.0", f"N:;{name};;;", f"FN:{name}", f"TEL;type=CELL;waid={digits}:{phone}", "END:VCARD"])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(",", "\\,").replace(";", "\\;")
