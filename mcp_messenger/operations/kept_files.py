"""The files of messages on the disk: written whole, and found again by message and place."""

from pathlib import Path
from uuid import UUID

import anyio.to_thread

from db import media_files
from mcp_messenger.net.mime import mime_of, safe_name
from mcp_messenger.operations.application import App
from providers.models import Download, Media


def store_file(folder: Path, index: int, download: Download) -> Path:
    """Write a file of a message, in place of a former one; return its path. Readers find it whole or not at all, also after a crash."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{index}-{safe_name(download.name, download.mime)}"
    part = folder / f".{index}.part"
    part.write_bytes(download.content)
    part.replace(path)
    for former in folder.glob(f"{index}-*"):
        if former != path:
            former.unlink(missing_ok=True)
    return path


async def kept_path(app: App, instance_id: UUID, message_id: int, index: int, ref: str) -> Path | None:
    """Return where a file of a message is kept; None: nowhere here, or an edit has put another file in its place."""
    folder = app.downloads_dir(instance_id) / str(message_id)

    def find() -> Path | None:
        return next(iter(sorted(folder.glob(f"{index}-*"))), None)

    path = await anyio.to_thread.run_sync(find)
    if path is None:
        return None
    known = (await media_files.of_message(app.database, message_id)).get(index)
    return path if known is None or (known.ref, known.status) == (ref, "kept") else None


async def kept_file(app: App, instance_id: UUID, message_id: int, index: int, media: Media) -> Download | None:
    """Return a file of a message from the disk; None where it is not kept here."""
    path = await kept_path(app, instance_id, message_id, index, media.ref)
    if path is None:
        return None
    try:
        content = await anyio.to_thread.run_sync(path.read_bytes)
    except FileNotFoundError:
        return None
    name = path.name.partition("-")[2]
    return Download(content=content, mime=mime_of(content, media.mime, name), name=media.name or name)
