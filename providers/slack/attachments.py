"""Files in Slack messages, and all words of a message: its text, blocks and attachments, each said once."""

import re
from collections.abc import Iterable
from typing import Any

from providers.kit.unread import NOT_OF_ITS_FORM, if_readable, words_despite
from providers.models import Forwarded, Media, MediaKind
from providers.slack.blocks import unread_kinds, words_of_blocks
from providers.slack.ids import time_of
from providers.slack.markup import entities
from providers.slack.shapes import inner, items

Json = dict[str, Any]

_KINDS = {"image": MediaKind.IMAGE, "video": MediaKind.VIDEO, "audio": MediaKind.AUDIO}
_SUBTYPES = {"slack_audio": MediaKind.VOICE, "slack_video": MediaKind.VIDEO}
_CONTENT_MAX = 4000
"""Characters of a file's own words that are told with its message; the file has the rest."""
_GONE = frozenset({"tombstone", "hidden_by_limit"})

# Slack writes these where a program cannot show blocks.
_PLACEHOLDERS = frozenset(
    {
        "this content can't be displayed",
        "this content can’t be displayed",
        "this message contains interactive elements",
        "this message contains interactive content",
        "no preview available",
        "[no preview available]",
    }
)
_REFERENCE = re.compile(r"<([@#!])([^<>|\n]+)(?:\|[^<>\n]*)?>")
_LINK = re.compile(r"<([^<>|\n]+)(?:\|([^<>\n]*))?>")
_WORD = re.compile(r"[^\W_]+")


def media_of(message: Json) -> tuple[Media, ...]:
    """Return the files of a message, and of messages shared in it, that Slack keeps; deleted and hidden ones have no content any more."""
    shared = [file for attachment in attachments_of(message) if _is_share(attachment) for file in items(attachment, "files")]
    files = [file for file in [*_files(message), *shared] if file.get("file_access") != "access_denied"]
    kept = [file for file in files if str(file.get("mode")) not in {*_GONE, "external"}]
    found = (if_readable(lambda file=file: _media(file), None) for file in kept)
    return tuple(media for media in found if media is not None)


def _files(message: Json) -> list[Json]:
    return items(message, "files")


def attachments_of(message: Json) -> list[Json]:
    return items(message, "attachments")


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


def words_of(message: Json, *, previews: bool = True) -> str:
    """Return the words of a message in mrkdwn; without `previews`, those that its writer gave it. Empty where it has files and no words."""
    try:
        return _words(message, previews=previews)
    except NOT_OF_ITS_FORM:
        return words_despite(message.get("text"))


def _words(message: Json, *, previews: bool) -> str:
    text = str(message.get("text") or "")
    blocks = items(message, "blocks")
    parts = words_of_blocks(blocks)
    attachments = [one for one in attachments_of(message) if previews or not is_preview(one)]
    said = _once([] if _is_placeholder(text) and (parts or attachments) else [text], parts)
    for attachment in attachments:
        said = _with_attachment(said, attachment)
    files = [words for file in _files(message) if (words := _file_words(file, "\n".join(said)))]
    words = "\n".join([*said, *dict.fromkeys(files)])
    return words if words.strip() else _made_up(message, blocks)


def _file_words(file: Json, said: str) -> str:
    """Return words for a file that is kept elsewhere or not shown, and those that Slack has of its content; none where its address is `said`."""
    if file.get("mode") in _GONE:
        return "A file that Slack does not show any more."
    if file.get("file_access") == "access_denied":
        return "A file that this app may not see."
    if file.get("mode") != "external":
        return _content_words(file)
    title = str(file.get("title") or file.get("name") or "")
    address = file.get("external_url") or file.get("url_private") or file.get("permalink")
    if not address:
        return f"File: {entities(title)}" if title else ""
    if str(address) in said or entities(str(address)) in said:
        return ""
    return f"<{entities(str(address))}|{entities(title).replace('|', '¦')}>" if title else f"<{entities(str(address))}>"


def _content_words(file: Json) -> str:
    """Return the words of an e-mail, or of a clip that Slack has written down. Other files are looked at by who fetches them."""
    if file.get("mode") == "email":
        senders = ", ".join(str(one.get("original") or one.get("name") or "") for one in items(file, "from"))
        head = f"E-mail from {senders}: {file.get('subject') or file.get('title') or ''}" if senders else str(file.get("subject") or "")
        return entities(f"{head}\n{_bounded(file.get('plain_text') or file.get('preview_plain_text'))}".strip())
    spoken = inner(file, "transcription")
    said = _bounded(inner(spoken, "preview").get("content")) if spoken.get("status") == "complete" else ""
    return f"Said in it: {entities(said)}" if said else ""


def _bounded(words: object) -> str:
    text = str(words or "").strip()
    return text if len(text) <= _CONTENT_MAX else f"{text[:_CONTENT_MAX]}…"


def _once(texts: list[str], parts: list[str]) -> list[str]:
    """The texts and those of the parts that say something else. A text gives way where the parts say all of it."""
    said = [text for text in texts if text.strip()]
    if said and parts and _holds(_spoken("\n".join(parts)), _spoken(said[0])):
        said = []
    for part in parts:
        if not _holds(_spoken("\n".join(said)), _spoken(part)) or not _spoken(part):
            said.append(part)
    return said


def _is_placeholder(text: str) -> bool:
    return text.strip().rstrip(".").casefold() in _PLACEHOLDERS


def _spoken(mrkdwn: str) -> str:
    """The bare words, to compare by: addresses of links, marks and entities are left out."""
    text = _LINK.sub(lambda link: link[2] or link[1], _REFERENCE.sub(r"\2", mrkdwn))
    text = text.replace("&lt;", " ").replace("&gt;", " ").replace("&amp;", " ").replace("\u200b", "")
    return " ".join(_WORD.findall(text.casefold()))


def _holds(whole: str, part: str) -> bool:
    return f" {part} " in f" {whole} "


def is_preview(attachment: Json) -> bool:
    """Whether Slack or an app added it to a link in the text, and not the writer."""
    return not _is_share(attachment) and any(attachment.get(name) for name in ("from_url", "original_url", "is_app_unfurl", "is_msg_unfurl"))


def _is_share(attachment: Json) -> bool:
    return bool(attachment.get("is_share"))


def _with_attachment(said: list[str], attachment: Json) -> list[str]:
    if attachment.get("is_msg_unfurl") or _is_share(attachment):
        return [*said, _shared(attachment)]
    own = list(_attachment(attachment, "\n".join(said)))
    new = [part for part in own if not _holds(_spoken("\n".join(said)), _spoken(part))]
    picture = attachment.get("image_url")
    if own:
        shown = isinstance(picture, str) and not is_preview(attachment) and not items(attachment, "blocks") and picture not in "\n".join(said)
        return [*said, *new, *([f"<{entities(str(picture))}>"] if shown else [])]
    fallback = str(attachment.get("fallback") or "")
    skipped = _is_placeholder(fallback) or (bool(_spoken(fallback)) and _holds(_spoken("\n".join(said)), _spoken(fallback)))
    picture = picture or attachment.get("thumb_url")
    address = f"<{entities(picture)}>" if isinstance(picture, str) and picture else ""
    return [*said, *filter(None, ["" if skipped else fallback, address])]


def _attachment(attachment: Json, said: str) -> Iterable[str]:
    """The parts that an attachment shows, from top to bottom."""
    if blocks := items(attachment, "blocks"):
        yield from _strings([attachment.get("pretext")])
        yield from words_of_blocks(blocks)
        return
    title, address = attachment.get("title"), attachment.get("title_link")
    known = not isinstance(address, str) or address in said or entities(address) in said or address == attachment.get("from_url")
    linked = title if known else f"<{entities(str(address))}|{title}>" if title else f"<{entities(str(address))}>"
    yield from _strings([attachment.get("pretext"), attachment.get("author_name"), linked, attachment.get("text")])
    for field in items(attachment, "fields"):
        yield from _strings([": ".join(filter(None, [str(field.get("title") or ""), str(field.get("value") or "")]))])
    yield from _strings([" ".join(filter(None, map(_action, items(attachment, "actions")))), attachment.get("footer")])


def _action(action: Json) -> str:
    """Return a button in brackets, or a menu with what can be picked."""
    options = [*items(action, "options"), *(option for group in items(action, "option_groups") for option in items(group, "options"))]
    words = [str(action.get("text") or ""), " | ".join(str(option.get("text") or option.get("value") or "") for option in options)]
    shown = ": ".join(filter(None, words))
    return f"[{shown}]" if shown else ""


def _strings(parts: Iterable[Any]) -> Iterable[str]:
    return (part for part in parts if isinstance(part, str) and part.strip())


def _shared(attachment: Json) -> str:
    """A message that was shared, and whose it was, as a quote."""
    author = attachment.get("author_name") or attachment.get("author_subname") or "somebody"
    channel = attachment.get("channel_id")
    blocks = [block for part in items(attachment, "message_blocks") for block in items(inner(part, "message"), "blocks")]
    text = str(attachment.get("text") or "")
    said = _once([text], words_of_blocks(blocks or items(attachment, "blocks")))
    for deeper in items(attachment, "attachments"):
        said = _with_attachment(said, deeper)
    words = "\n".join(said) or str(attachment.get("fallback") or "")
    where = f" in <#{channel}>" if channel and attachment.get("channel_name") != "directmessage" and str(channel)[:1] != "D" else ""
    quoted = "\n".join(f"&gt; {line}" for line in words.split("\n")) if words.strip() else ""
    return "\n".join(filter(None, [f"Shared message of {author}{where}:", quoted]))


def forwarded_of(message: Json) -> Forwarded | None:
    """Return where a message came from that does nothing but share another one; None for all others. Raises ValueError for a time of another form."""
    shares = [attachment for attachment in attachments_of(message) if _is_share(attachment)]
    if len(shares) != 1 or str(message.get("text") or "").strip():
        return None
    share = shares[0]
    at = share.get("ts")
    return Forwarded(name=str(share.get("author_name") or ""), id=share.get("author_id"), at=time_of(str(at)) if at else None)


def _made_up(message: Json, blocks: list[Json]) -> str:
    """The words of a message that has none: of its type, where it has no file either."""
    subtype = message.get("subtype")
    if subtype in {"huddle_thread", "sh_room_created"}:
        return _huddle(message)
    if media_of(message):
        return ""
    if _files(message):
        return words_despite("", "files")
    if kinds := unread_kinds(blocks):
        return f"A message with a block of the type {entities(', '.join(kinds))}."
    return f"A message of the type {entities(str(subtype))}." if subtype else "A message without content."


def _huddle(message: Json) -> str:
    room = inner(message, "room")
    starter = room.get("created_by") or message.get("user")
    if room.get("has_ended") or room.get("date_end"):
        return "The huddle ended."
    return f"<@{starter}> began a huddle." if starter else "A huddle began."
