"""What a file is, by its first bytes and then by what is said of it; and how to name and show it."""

import mimetypes
import re
from pathlib import PurePosixPath

from providers.models import MediaKind
from providers.text import clean_line

OCTETS = "application/octet-stream"
"""A file of no known kind: nothing shows or runs it."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"#!AMR", "audio/amr"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_BRANDS = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heic",
    b"avif": "image/avif",
}
_SIGNED = {mime for _, mime in _SIGNATURES} | set(_RIFF.values()) | set(_BRANDS.values()) | {"video/mp4", "audio/ogg"}

# Containers: what is said may be narrower than what the first bytes show.
_MAY_HOLD = {
    "application/zip": re.compile(r"application/(?!pdf$)"),
    "video/mp4": re.compile(r"audio/mp4$|video/(3gpp|quicktime)$"),
    "video/webm": re.compile(r"audio/webm$|video/(x-)?matroska$"),
    "audio/ogg": re.compile(r"video/ogg$"),
}
_ALIASES = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/x-wav": "audio/wav",
    "audio/opus": "audio/ogg",
    "application/x-zip-compressed": "application/zip",
}
_RUNS_IN_BROWSERS = {"text/html", "application/xhtml+xml", "image/svg+xml"}

_SHOWN_AS = {
    "image/png": MediaKind.IMAGE,
    "image/jpeg": MediaKind.IMAGE,
    "image/webp": MediaKind.IMAGE,
    "video/mp4": MediaKind.VIDEO,
    "video/3gpp": MediaKind.VIDEO,
    "video/quicktime": MediaKind.VIDEO,
    "video/webm": MediaKind.VIDEO,
    "audio/mpeg": MediaKind.AUDIO,
    "audio/mp4": MediaKind.AUDIO,
    "audio/ogg": MediaKind.AUDIO,
    "audio/wav": MediaKind.AUDIO,
    "audio/flac": MediaKind.AUDIO,
    "audio/amr": MediaKind.AUDIO,
    "audio/aac": MediaKind.AUDIO,
    "audio/webm": MediaKind.AUDIO,
}

_EXTENSIONS = {
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "audio/flac": ".flac",
    "audio/amr": ".amr",
    "video/3gpp": ".3gp",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "text/markdown": ".md",
}
_BY_NAME = {extension: mime for mime, extension in _EXTENSIONS.items()} | {".opus": "audio/ogg"}
_KNOWN_NAMES = mimetypes.MimeTypes()  # the built-in table alone: the system's differs from machine to machine

_MIME = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,127}")
_SEPARATORS = re.compile(r"[/\\]")
_EXTENSION = re.compile(r"[A-Za-z0-9]{1,10}")
_AWKWARD = re.compile(r'[<>:"|?*]')


def parse_mime(text: str | None) -> str | None:
    """The type in `text` in its usual spelling, without parameters; None when it is none."""
    mime = (text or "").partition(";")[0].strip().lower()
    return _ALIASES.get(mime, mime) if _MIME.fullmatch(mime) else None


def sniffed(content: bytes) -> str | None:
    """The type that the first bytes show."""
    if content[:4] == b"RIFF":
        return _RIFF.get(content[8:12])
    if content[:4] == b"OggS":
        return "video/ogg" if b"theora" in content[:64] else "audio/ogg"
    if content[4:8] == b"ftyp":
        return "video/3gpp" if content[8:11] == b"3gp" else _BRANDS.get(content[8:12], "video/mp4")
    if len(content) > 2 and content[0] == 0xFF and content[1] & 0xE6 == 0xE2 and content[2] & 0xF0 != 0xF0:
        return "audio/mpeg"  # a frame of layer III
    return next((mime for signature, mime in _SIGNATURES if content.startswith(signature)), None)


def mime_of(content: bytes, declared: str | None, name: str | None) -> str:
    """The type by content where that shows it, else as declared, else by the name. What would run in a browser is OCTETS."""
    named = parse_mime(declared)
    if named in (None, OCTETS):
        named = _by_name(name)
    seen = sniffed(content)
    if seen is None:
        # A web page that calls itself a photo is no photo.
        mime = OCTETS if named is None or named in _SIGNED else named
    else:
        mime = named if named and seen in _MAY_HOLD and _MAY_HOLD[seen].match(named) else seen
    return OCTETS if mime in _RUNS_IN_BROWSERS else mime


def kind_of(mime: str, content: bytes) -> MediaKind:
    """How to show it: what messengers do not show in place (an animated or a vector picture, an unknown type) is a document."""
    if mime == "audio/ogg" and b"OpusHead" in content[:64]:
        return MediaKind.VOICE
    return _SHOWN_AS.get(mime, MediaKind.DOCUMENT)


def safe_name(name: str | None, mime: str) -> str:
    """A file name of one part, without what file systems and headers trip over, with an extension; `file` where nothing is left."""
    last = _AWKWARD.sub("_", clean_line(_SEPARATORS.split(name or "")[-1])).strip(" .") or "file"
    stem, _, extension = last.rpartition(".")
    if stem and _EXTENSION.fullmatch(extension):
        return stem[:100].rstrip(" .") + "." + extension
    return last[:100].rstrip(" .") + (_EXTENSIONS.get(mime) or _KNOWN_NAMES.guess_extension(mime) or "")


def _by_name(name: str | None) -> str | None:
    suffix = PurePosixPath(name or "").suffix.lower()
    return parse_mime(_BY_NAME.get(suffix) or _KNOWN_NAMES.types_map[True].get(suffix))
