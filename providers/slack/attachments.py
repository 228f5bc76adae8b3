"""Files in Slack messages, and the words of blocks and attachments."""

from typing import Any

from providers.models import Media, MediaKind

Json = dict[str, Any]

_KINDS = {"image": MediaKind.IMAGE, "video": MediaKind.VIDEO, "audio": MediaKind.AUDIO}
_SUBTYPES = {"slack_audio": MediaKind.VOICE, "slack_video": MediaKind.VIDEO}


def media_of(message: Json) -> tuple[Media, ...]:
    """The files of a message that Slack keeps; deleted and hidden ones have no content any more."""
    files: list[Json] = message.get("files") or []
    return tuple(_media(file) for file in files if file.get("mode") not in {"tombstone", "hidden_by_limit", "external"})


def _media(file: Json) -> Media:
    mime = file.get("mimetype") or None
    kind = _SUBTYPES.get(file.get("subtype", "")) or _KINDS.get((mime or "").partition("/")[0], MediaKind.DOCUMENT)
    milliseconds = file.get("duration_ms")
    return Media(
        kind=kind,
        ref=file["id"],
        mime=mime,
        size=file.get("size"),
        name=file.get("name") or file.get("title"),
        duration=milliseconds / 1000 if milliseconds is not None else None,
    )


def words_of(message: Json) -> str:
    """The text of a message, in mrkdwn; apps often write theirs in blocks or attachments only."""
    text = message.get("text") or "\n".join(filter(None, map(_block, message.get("blocks") or [])))
    attachments: list[Json] = message.get("attachments") or []
    below = [_attachment(attachment) for attachment in attachments] if not text else []
    files: list[Json] = message.get("files") or []
    links = [file["permalink"] for file in files if file.get("mode") == "external" and file.get("permalink")]
    return "\n".join(filter(None, [text, *below, *(f"<{link}>" for link in links)]))


def _block(block: Json) -> str:
    match block.get("type"):
        case "section" | "header":
            texts = [block.get("text"), *block.get("fields", [])]
        case "context":
            texts = block.get("elements", [])
        case "markdown":
            texts = [block]
        case _:
            texts = []
    return "\n".join(_text(text) for text in texts if text)


def _text(element: Any) -> str:
    text = element.get("text", "")
    return text if isinstance(text, str) else text.get("text", "")


def _attachment(attachment: Json) -> str:
    parts = [attachment.get(field) for field in ("pretext", "title", "text")]
    return "\n".join(part for part in parts if part) or attachment.get("fallback", "")
