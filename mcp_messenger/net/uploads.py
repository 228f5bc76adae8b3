"""Files to send, from wherever a caller has them.

A source is, by how it begins (in any case of letters):
- `http://` or `https://`: fetched through the guard in mcp_messenger.net.fetch;
- `data:`: a data URI, in base64 or percent-encoded;
- `base64:`: the content in base64, in the standard or the URL alphabet (bare base64 is not taken: that of a JPEG looks like the path `/9j/…`);
- `file://`, or anything without `://`: a path, inside one of the media folders. A relative one is looked for in each of them in turn.
"""

import base64
import binascii
import os
import re
import ssl
import stat
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from anyio import to_thread

from mcp_messenger.errors import InvalidInput, NotAllowed, PayloadTooLarge, quoted
from mcp_messenger.net.mime import kind_of, mime_of, parse_mime, safe_name
from mcp_messenger.net.network_policy import NetworkPolicy
from mcp_messenger.progress import doing
from providers.models import MediaKind, Upload

Room = Callable[[int], Awaitable[None]]
SPOOLED = 1024 * 1024
"""Bytes of a fetched file that are kept in memory while the rest comes."""
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class MediaPolicy:
    """Where files may come from. `seconds` is for a whole fetch."""

    roots: tuple[Path, ...]
    network: NetworkPolicy
    tls: ssl.SSLContext
    seconds: float = 60.0
    spool: Path | None = None
    """Where what is fetched lies until it is whole; the memory is for whole files."""
    closed: Path | None = None
    """A folder that only a root inside it opens: there are files of single users."""


async def load_upload(
    source: str,
    *,
    policy: MediaPolicy,
    max_bytes: int,
    name: str | None = None,
    mime: str | None = None,
    kind: MediaKind | None = None,
    room: Room | None = None,
) -> Upload:
    """The file at `source`, of at most `max_bytes`. `name`, `mime` and `kind` are what the caller says of it; the content corrects `mime`.
    `room` waits until so many bytes may be in memory.

    Raises InvalidInput (no such file, not base64, empty), NotAllowed (outside the media folders), PayloadTooLarge, FetchRefused, FetchFailed.
    """
    if mime is not None and parse_mime(mime) is None:
        raise InvalidInput(f"{quoted(mime)} is not a media type.", hint="Write one like image/png, or leave it out.")
    content, told_mime, told_name = await _load(source, policy, max_bytes, room or _at_once)
    if not content:
        raise InvalidInput("The file is empty.", hint="Check the source.")
    name = name or told_name
    found = mime_of(content, mime or told_mime, name)
    return Upload(kind=kind or kind_of(found, content), content=content, mime=found, name=safe_name(name, found))


async def _at_once(size: int) -> None:
    pass


async def _load(source: str, policy: MediaPolicy, max_bytes: int, room: Room) -> tuple[bytes, str | None, str | None]:
    """Content, type and name as far as the source tells them."""
    start = source[:8].lower()
    if start.startswith(("http://", "https://")):
        from mcp_messenger.net.fetch import fetch

        with SpooledTemporaryFile(max_size=SPOOLED, dir=None if policy.spool is None else str(policy.spool)) as spool:
            doing(lambda: f"The file is fetched: {spool.tell() / 1e6:.1f} MB so far.")
            try:
                fetched = await fetch(source, max_bytes=max_bytes, seconds=policy.seconds, allow=policy.network, tls=policy.tls, into=spool)
            finally:
                doing("")
            await room(spool.tell())
            spool.seek(0)
            return spool.read(), fetched.mime, fetched.name
    if start.startswith(("data:", "base64:")):
        await room(len(source))
    if start.startswith("data:"):
        return await to_thread.run_sync(_data_uri, source, max_bytes)
    if start.startswith("base64:"):
        return await to_thread.run_sync(_from_base64, source[len("base64:") :], max_bytes), None, None
    path = _path(source)
    file, size = await to_thread.run_sync(_opened, path, policy, max_bytes)
    with file:
        await room(size)
        return await to_thread.run_sync(file.read, size), None, Path(path).name


def _data_uri(uri: str, max_bytes: int) -> tuple[bytes, str | None, None]:
    head, comma, body = uri[len("data:") :].partition(",")
    if not comma:
        raise InvalidInput("The data URI has no comma before its content.", hint="Write it as data:image/png;base64,<content>.")
    mime, *parameters = (part.strip() for part in head.split(";"))
    if parameters and parameters[-1].lower() == "base64":
        return _from_base64(unquote_to_bytes(body).decode("ascii", "replace"), max_bytes), mime or None, None
    content = unquote_to_bytes(body)
    if len(content) > max_bytes:
        raise PayloadTooLarge(max_bytes)
    return content, mime or "text/plain", None


def _from_base64(text: str, max_bytes: int) -> bytes:
    text = _SPACE.sub("", text).rstrip("=")
    if len(text) * 3 // 4 > max_bytes:
        raise PayloadTooLarge(max_bytes)
    try:
        standard = text.translate(str.maketrans("-_", "+/"))
        return base64.b64decode(standard + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise InvalidInput("The content is not base64.", hint="Encode the whole file, and send nothing but the encoded text.") from None


def _path(source: str) -> str:
    scheme = _SCHEME.match(source)
    if scheme is None:
        return source
    if scheme[1].lower() != "file":
        raise InvalidInput(f"Sources with {quoted(scheme[0])} are not known.", hint="Use an http(s) or data: URL, base64:<content>, or a path.")
    parts = urlsplit(source)
    if parts.netloc not in ("", "localhost"):
        raise InvalidInput("Files of other hosts cannot be read.", hint="Write it as file:///path.")
    return url2pathname(parts.path)


def _opened(path: str, policy: MediaPolicy, max_bytes: int) -> tuple[BinaryIO, int]:
    """Return a file in one of the folders, open, with its size."""
    roots = policy.roots
    inside = [] if "\0" in path else list(_inside(path, roots, policy.closed))
    if not inside:
        # The same words whether the file exists or not: what lies outside is nobody's business.
        folders = ", ".join(str(root) for root in roots)
        raise NotAllowed(
            f"{quoted(path)} is not in a media folder.",
            hint=f"Put the file into {folders}." if folders else "Send it as a URL or as base64:<content>.",
        )
    failure: OSError | None = None
    for root, parts in inside:
        try:
            return _checked(_open_beneath(root, parts), path, max_bytes)
        except OSError as error:
            failure = error
    reason = (failure and failure.strerror) or "not found"
    hint = "Content in base64 is sent as base64:<content>." if len(path) > 200 else "Check the path."
    raise InvalidInput(f"{quoted(path)} cannot be read: {reason}.", hint=hint)


def _checked(descriptor: int, path: str, max_bytes: int) -> tuple[BinaryIO, int]:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise InvalidInput(f"{quoted(path)} is not a file.", hint="Name one file; folders are not sent.")
    if status.st_size > max_bytes:
        os.close(descriptor)
        raise PayloadTooLarge(max_bytes)
    return os.fdopen(descriptor, "rb"), status.st_size


def _inside(path: str, roots: tuple[Path, ...], closed: Path | None) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The real folder and the real way from it to the file, for each root the path leads into after all links."""
    for root in roots:
        folder = Path(os.path.realpath(root))
        real = Path(os.path.realpath(folder / path))
        if real.is_relative_to(folder) and real != folder and (closed is None or not _is_closed(real, folder, Path(os.path.realpath(closed)))):
            yield folder, real.relative_to(folder).parts


def _is_closed(file: Path, root: Path, closed: Path) -> bool:
    return file.is_relative_to(closed) and not (root.is_relative_to(closed) and root != closed)


def _open_beneath(folder: Path, parts: tuple[str, ...]) -> int:
    """Opens step by step without following links, so one put there after the check leads nowhere. Does not wait for the writer of a pipe."""
    if os.name == "nt":
        # No opening relative to a folder there: a link put there after the check would be followed.
        return os.open(folder.joinpath(*parts), os.O_RDONLY | getattr(os, "O_BINARY", 0))
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        return os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
    finally:
        os.close(here)
