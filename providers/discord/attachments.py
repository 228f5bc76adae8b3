"""Files in Discord messages. A `ref` names the message too: addresses of files expire, and the message has fresh ones."""

from typing import Any

from providers.discord.content import holders
from providers.discord.fields import many
from providers.discord.ids import MessageRef, message_ref
from providers.errors import NotFound
from providers.kit.unread import if_readable
from providers.models import Media, MediaKind

Json = dict[str, Any]

_VOICE_MESSAGE = 1 << 13
_KINDS = {"image": MediaKind.IMAGE, "video": MediaKind.VIDEO, "audio": MediaKind.AUDIO}


def attachments_of(message: Json) -> list[Json]:
    """Return those of the message itself, and of a message that it forwards."""
    return [attachment for holder in holders(message) for attachment in many(holder, "attachments")]


def media_of(message: Json) -> tuple[Media, ...]:
    """Return the files of a message."""
    found = [
        if_readable(lambda holder=holder, file=file: _media(message, holder, file), None)
        for holder in if_readable(lambda: holders(message), [message])
        for file in if_readable(lambda holder=holder: many(holder, "attachments"), [])
    ]
    return tuple(media for media in found if media is not None)


def _media(message: Json, holder: Json, attachment: Json) -> Media:
    """Return a file of the `holder`: the message itself, or one that it forwards."""
    is_voice = bool(holder.get("flags", 0) & _VOICE_MESSAGE)
    mime = attachment.get("content_type")
    kind = _KINDS.get((mime or "").partition("/")[0], MediaKind.DOCUMENT)
    return Media(
        kind=MediaKind.VOICE if is_voice and kind is MediaKind.AUDIO else kind,
        ref=f"{message['channel_id']}:{message['id']}:{attachment['id']}",
        mime=mime,
        size=attachment["size"],
        name=attachment["filename"],
        duration=attachment.get("duration_secs"),
    )


def file_ref(media: Media) -> tuple[MessageRef, str]:
    """Return the message that a file is in, and the file's own id. Raises NotFound for a ref of another shape."""
    message, _, attachment = media.ref.rpartition(":")
    if message.count(":") != 1:
        raise NotFound("This is no file of a Discord message.", hint="get_message shows the files of a message.")
    return message_ref(message), attachment
