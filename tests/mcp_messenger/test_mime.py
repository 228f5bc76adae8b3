import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_messenger.net.mime import OCTETS, kind_of, mime_of, parse_mime, safe_name, sniffed
from providers.models import MediaKind

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
OPUS = b"OggS\x00\x02" + bytes(20) + b"\x01\x13OpusHead"
VORBIS = b"OggS\x00\x02" + bytes(20) + b"\x01\x1e\x01vorbis"
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00"
WEBM = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01"
PAGE = b"<!doctype html><script>alert(1)</script>"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a", "b")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "mime", "kind"),
    [
        (PNG, "image/png", MediaKind.IMAGE),
        (JPEG, "image/jpeg", MediaKind.IMAGE),
        (b"GIF89a\x01\x00", "image/gif", MediaKind.DOCUMENT),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp", MediaKind.IMAGE),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav", MediaKind.AUDIO),
        (MP4, "video/mp4", MediaKind.VIDEO),
        (b"\x00\x00\x00\x18ftypM4A \x00\x00\x02\x00", "audio/mp4", MediaKind.AUDIO),
        (b"\x00\x00\x00\x18ftypqt  \x00\x00\x02\x00", "video/quicktime", MediaKind.VIDEO),
        (b"\x00\x00\x00\x18ftyp3gp5\x00\x00\x02\x00", "video/3gpp", MediaKind.VIDEO),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x02\x00", "image/heic", MediaKind.DOCUMENT),
        (WEBM, "video/webm", MediaKind.VIDEO),
        (OPUS, "audio/ogg", MediaKind.VOICE),
        (VORBIS, "audio/ogg", MediaKind.AUDIO),
        (b"ID3\x04\x00", "audio/mpeg", MediaKind.AUDIO),
        (b"\xff\xfb\x90\x64", "audio/mpeg", MediaKind.AUDIO),
        (b"%PDF-1.7", "application/pdf", MediaKind.DOCUMENT),
        (archive(), "application/zip", MediaKind.DOCUMENT),
    ],
)
def test_the_first_bytes_tell(content: bytes, mime: str, kind: MediaKind) -> None:
    assert mime_of(content, None, None) == mime
    assert mime_of(content, "text/html", "x.svg") == mime
    assert kind_of(mime, content) == kind


@pytest.mark.parametrize(
    ("content", "declared", "name", "mime"),
    [
        (b"a,b\n", None, "table.csv", "text/csv"),
        (b"hello", "text/plain; charset=utf-8", None, "text/plain"),
        (b"hello", OCTETS, "notes.TXT", "text/plain"),
        (archive(), None, "letter.docx", DOCX),
        (archive(), DOCX, None, DOCX),
        (archive(), "image/png", "x.pdf", "application/zip"),
        (MP4, "audio/mp4", None, "audio/mp4"),
        (MP4, None, "voice.m4a", "audio/mp4"),
        (WEBM, "audio/webm", None, "audio/webm"),
        (b"\xff\xfe<\x00", None, None, OCTETS),
        (b"hello", "no type", "noname", OCTETS),
    ],
)
def test_what_is_said_counts_where_bytes_do_not_tell(content: bytes, declared: str | None, name: str | None, mime: str) -> None:
    assert mime_of(content, declared, name) == mime


@pytest.mark.parametrize(
    ("content", "declared", "name"),
    [
        (PAGE, "text/html", "page.html"),
        (PAGE, None, "page.htm"),
        (PAGE, "image/png", "page.png"),
        (PAGE, "audio/mp3", None),
        (b"<svg/>", "image/svg+xml", None),
        (b"<svg/>", None, "x.svg"),
        (b"<x/>", "application/xhtml+xml", None),
    ],
)
def test_what_runs_in_a_browser_or_lies_about_itself_is_an_unknown_file(content: bytes, declared: str | None, name: str | None) -> None:
    assert mime_of(content, declared, name) == OCTETS
    assert kind_of(OCTETS, content) == MediaKind.DOCUMENT


@given(st.binary(max_size=80), st.none() | st.text(), st.none() | st.text())
def test_anything_gets_a_type_a_kind_and_a_name(content: bytes, declared: str | None, name: str | None) -> None:
    mime = mime_of(content, declared, name)
    assert parse_mime(mime) == mime
    assert sniffed(content) in (None, mime) or declared or name
    safe = safe_name(name, mime)
    assert 0 < len(safe) <= 120
    assert not set(safe) & set('/\\<>:"|?*\n\0')
    assert safe.strip(" .") == safe


@pytest.mark.parametrize(
    ("name", "mime", "safe"),
    [
        ("../../etc/passwd", "text/plain", "passwd.txt"),
        ("C:\\Users\\x\\photo.png", "image/png", "photo.png"),
        (None, "image/jpeg", "file.jpg"),
        ("", OCTETS, "file.bin"),
        ("..", "audio/ogg", "file.ogg"),
        (".bashrc", OCTETS, "bashrc.bin"),
        ("отчёт за май.pdf", "application/pdf", "отчёт за май.pdf"),
        ("photo\u202egnp.exe", OCTETS, "photognp.exe"),
        ("Dr. No", "image/jpeg", "Dr. No.jpg"),
        ("a" * 300 + ".png", "image/png", "a" * 100 + ".png"),
        ("/" + "d" * 300 + "/photo.png", "image/png", "photo.png"),
        ('in"voi\r\nce:?.pdf', "application/pdf", "in_voi ce__.pdf"),
    ],
)
def test_safe_names(name: str | None, mime: str, safe: str) -> None:
    assert safe_name(name, mime) == safe
