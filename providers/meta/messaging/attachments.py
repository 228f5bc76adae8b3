"""Files in messages. A reference is `<message id>#<position>#<address>`: addresses grow stale, and the message then knows a new one."""

from providers.errors import NotFound
from providers.kit.json import Json, part, parts
from providers.meta.client import GraphClient, segment
from providers.meta.words import words_for
from providers.models import Download, Media, MediaKind, Upload

_KINDS = {
    "image": MediaKind.IMAGE,
    "video": MediaKind.VIDEO,
    "audio": MediaKind.AUDIO,
    "file": MediaKind.DOCUMENT,
    "sticker": MediaKind.STICKER,
    "story_mention": MediaKind.IMAGE,
    "ig_story": MediaKind.IMAGE,
    "ig_reel": MediaKind.VIDEO,
    "reel": MediaKind.VIDEO,
}
_TYPES = {
    MediaKind.IMAGE: "image",
    MediaKind.STICKER: "image",
    MediaKind.VIDEO: "video",
    MediaKind.AUDIO: "audio",
    MediaKind.VOICE: "audio",
    MediaKind.DOCUMENT: "file",
}


_NAMES = {"fallback": "link", "share": "link", "ig_post": "post", "template": "template"}
_WORDS = {
    "like_heart": "❤️",
    "ephemeral": "A picture or video that disappears once it was seen; the platform shows it in its own app alone.",
    "unsupported_type": "Content that the platform does not support in its interface; its own app shows it.",
}
MENTIONED = "Mentioned this account in a story."
UNSUPPORTED = "A message that the platform does not support in its interface; its own app shows it."
HIDDEN = frozenset({"ephemeral", "unsupported_type"})
_SHOWN = ("text", "title", "subtitle", "url")


def media_of(message_id: str, attachments: list[Json]) -> tuple[Media, ...]:
    """Return the files among the attachments of a delivery; each once, since a sticker may come in its former and its present form together."""
    found = (
        Media(kind=_kind(one), ref=f"{message_id}#{position}#{url}", name=one["payload"].get("title"))
        for position, one in enumerate(attachments)
        if one.get("type") in _KINDS and (url := _url(one))
    )
    # The address follows the position in the ref.
    return tuple({media.ref.split("#", 2)[2]: media for media in found}.values())


def story_of(message_id: str, message: Json) -> tuple[Media, ...]:
    """The story that a message answers."""
    url = part(message, "reply_to", "story").get("url")
    return (Media(kind=MediaKind.IMAGE, ref=f"{message_id}#0#{url}", name="story"),) if url else ()


def _url(attachment: Json) -> str:
    """Return the address of a file; a shared story has it under a name of its own."""
    payload = part(attachment, "payload")
    return str(payload.get("url") or payload.get("story_media_url") or "")


def _kind(attachment: Json) -> MediaKind:
    return MediaKind.STICKER if attachment["payload"].get("sticker_id") else _KINDS[attachment["type"]]


def words_beside(attachments: list[Json]) -> tuple[str, str]:
    """Return the kind and the words of what is shared and is no file: links, posts, products, cards."""
    shared = [
        one for one in attachments if one.get("type") not in _KINDS and not (one.get("type") == "location" and part(one, "payload", "coordinates"))
    ]
    # A post or a reel without an address that leads to a file.
    shared += [one for one in attachments if one.get("type") in _KINDS and not _url(one)]
    kind = next((_NAMES.get(str(one.get("type")), str(one.get("type"))) for one in shared), "")
    return kind, "\n".join(dict.fromkeys(words for one in shared if (words := _words(one))))


def _words(attachment: Json) -> str:
    kind, payload = str(attachment.get("type")), part(attachment, "payload")
    if kind in _WORDS:
        return _WORDS[kind]
    cards = [payload, *_elements(payload)] if payload else [attachment]
    lines = [" ".join(dict.fromkeys(str(card[name]) for name in _SHOWN if card.get(name))) for card in cards]
    if payload and not payload.get("title") and attachment.get("title"):
        lines[0] = f"{attachment['title']} {lines[0]}".rstrip()
    if payload and not payload.get("url") and attachment.get("url"):
        lines[0] = f"{lines[0]} {attachment['url']}".lstrip()
    said = "\n".join(filter(None, lines))
    details = words_for(payload)
    return said or (f"An attachment of the type {kind}: {details}" if details else f"An attachment of the type {kind}.")


def _elements(payload: Json) -> list[Json]:
    """Return the cards of a template, with their buttons."""
    found = [*parts(payload, "elements"), *parts(payload, "product", "elements"), *parts(payload, "generic", "elements")]
    return [inner for one in found for inner in (one, *parts(one, "buttons"))] + parts(payload, "buttons")


def sent_media(message_id: str, upload: Upload) -> Media:
    return Media(kind=upload.kind, ref=f"{message_id}#0#", mime=upload.mime, size=len(upload.content), name=upload.name)


def attachment_type(kind: MediaKind) -> str:
    return _TYPES[kind]


async def download(graph: GraphClient, media: Media, limit: int) -> Download:
    message_id, _, rest = media.ref.partition("#")
    position, _, url = rest.partition("#")
    if url:
        try:
            return await _fetch(graph, media, url, limit)
        except NotFound:
            if media.name == "story":
                raise
    found = await graph.get(segment(message_id), fields="attachments")
    return await _fetch(graph, media, _address(found, int(position or 0)), limit)


def _address(message: Json, position: int) -> str:
    files = parts(message, "attachments", "data")
    if position >= len(files):
        raise NotFound("Meta does not have this file any more.", hint="Ask for it to be sent again.")
    file = files[position]
    url = part(file, "image_data").get("url") or part(file, "video_data").get("url") or file.get("file_url")
    if not url:
        raise NotFound("Meta does not give out this file.", hint="Ask for it to be sent again.")
    return str(url)


async def _fetch(graph: GraphClient, media: Media, url: str, limit: int) -> Download:
    content, mime = await graph.download(url, limit=limit)
    name = media.name or url.partition("?")[0].rpartition("/")[2] or "file"
    return Download(content=content, mime=media.mime or mime, name=name)


def kept_kind(file: Json) -> MediaKind:
    """Of a file as a conversation tells of it."""
    mime = str(file.get("mime_type", ""))
    if "image_data" in file or mime.startswith("image/"):
        return MediaKind.IMAGE
    if "video_data" in file or mime.startswith("video/"):
        return MediaKind.VIDEO
    return MediaKind.AUDIO if mime.startswith("audio/") else MediaKind.DOCUMENT
