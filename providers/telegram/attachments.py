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
    """Return the files of a message: at most one, unless they are to be paid for. Those that are not paid yet have no file."""
    if paid := message.get("paid_media"):
        return tuple(media for one in paid["paid_media"] for media in media_in(one))
    return media_in(message)


def media_in(message: dict[str, Any]) -> tuple[Media, ...]:
    """Return the file of a message, a paid medium or a block. A live photo is its picture."""
    if live := message.get("live_photo"):
        return media_in(live) or media_in({"photo": message.get("photo", [])}) or (_media(MediaKind.VIDEO, live, "video/mp4"),)
    if sizes := message.get("photo"):
        return (_media(MediaKind.IMAGE, max(sizes, key=lambda size: size["width"] * size["height"]), "image/jpeg"),)
    if sticker := message.get("sticker"):
        mime = "video/webm" if sticker.get("is_video") else "application/x-tgsticker" if sticker.get("is_animated") else "image/webp"
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
