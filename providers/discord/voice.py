"""Voice messages: Discord wants the length of the recording and a picture of its loudness, which a file of Ogg Opus tells by itself.

Source: https://docs.discord.com/developers/resources/message#message-object-message-flags (IS_VOICE_MESSAGE).
"""

import base64
from collections.abc import Iterator

from providers.models import MediaKind, Upload

IS_VOICE_MESSAGE = 1 << 13
_RATE = 48_000
"""Samples a second, in which Opus always counts."""
_POINTS = 256
_HEADER = 27
_HEADS = 2
"""Packets before the sound: OpusHead and OpusTags."""


def voice_fields(upload: Upload | None) -> dict[str, object] | None:
    """Return what an attachment needs to be a voice message; None for what is none, or is no Ogg Opus: that goes as a file."""
    if upload is None or upload.kind is not MediaKind.VOICE:
        return None
    pages = list(_pages(upload.content))
    packets = [packet for _, page in pages for packet in page]
    head = packets[0] if packets else b""
    if not head.startswith(b"OpusHead") or len(head) < 12 or len(packets) <= _HEADS:
        return None
    samples = pages[-1][0] - int.from_bytes(head[10:12], "little")
    if samples <= 0:
        return None
    return {"duration_secs": round(samples / _RATE, 3), "waveform": base64.b64encode(_loudness(packets[_HEADS:])).decode()}


def _pages(content: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the position in samples at the end of each page, and the packets that end in it. Stops at what is no page."""
    at, begun = 0, b""
    while content[at : at + 4] == b"OggS" and at + _HEADER <= len(content):
        sizes = content[at + _HEADER : at + _HEADER + content[at + 26]]
        position, at = int.from_bytes(content[at + 6 : at + 14], "little", signed=True), at + _HEADER + len(sizes)
        packets: list[bytes] = []
        for size in sizes:
            begun += content[at : at + size]
            at += size
            if size < 255:
                packets.append(begun)
                begun = b""
        yield position, packets


def _loudness(packets: list[bytes]) -> bytes:
    """Return a byte for each part of the recording. Opus spends more bytes where there is more to hear."""
    step = max(1, -(-len(packets) // _POINTS))
    sizes = [max(map(len, packets[at : at + step])) for at in range(0, len(packets), step)]
    largest = max(sizes) or 1
    return bytes(255 * size // largest for size in sizes)
