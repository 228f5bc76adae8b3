"""Files in Telegram messages."""

from typing import Any

from providers.models import Media, MediaKind

# In this order: an animation also comes as a document.
_KINDS = {
    "animation": (MediaKind.VIDEO, "video/mp4"),
    "document": (MediaKind.DOCUMENT, None),
    "audio": (MediaKind.AUDIO, "audio/mpeg"),
    "video": (MediaKind.VIDEO, "video/mp4"),
    "voice": (MediaKind.VOICE, "audio/ogg"),
    "video_note": (MediaKind.VIDEO, "video/mp4"),
}


def media_of(message: dict[str, Any]) -> tuple[Media, ...]:
    """The file of a message: Telegram puts at most one into each."""
    if sizes := message.get("photo"):
        return (_media(MediaKind.IMAGE, max(sizes, key=lambda size: size["width"] * size["height"]), "image/jpeg"),)
    if sticker := message.get("sticker"):
        mime = "video/webm" if sticker["is_video"] else "application/x-tgsticker" if sticker["is_animated"] else "image/webp"
        return (_media(MediaKind.STICKER, sticker, mime),)
    return tuple(_media(kind, message[field], mime) for field, (kind, mime) in _KINDS.items() if field in message)[:1]


def _media(kind: MediaKind, file: dict[str, Any], mime: str | None) -> Media:
    return Media(
        kind=kind,
        ref=file["file_id"],
        mime=file.get("mime_type", mime),
        size=file.get("file_size"),
        name=file.get("file_name"),
        duration=file.get("duration"),
    )
