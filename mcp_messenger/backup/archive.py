"""The file of a backup: a zip archive, not compressed unless asked, whose last member says what belongs in it."""

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from mcp_messenger.errors import BackupFailed

FORMAT = 1
MANIFEST = "manifest.json"
KEY = "secret.key"
FOLDERS = ("instances", "media", "downloads")
"""Of the data folder: logins and places in the platforms' streams, files to send, files that were received."""

BLOCK = 1 << 20


class TableEntry(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    columns: tuple[str, ...]
    rows: int


class Manifest(BaseModel):
    """`files` are those of the data folder. `warnings` are for whoever made the backup and whoever restores it."""

    model_config = ConfigDict(frozen=True)

    format: int
    made_at: datetime
    version: str
    server_version: str
    installation: str | None
    migrations: tuple[str, ...]
    last_event: int
    tables: tuple[TableEntry, ...]
    files: int
    has_key: bool
    volumes: int = 0
    """Of instances in containers."""
    warnings: tuple[str, ...] = ()

    @property
    def rows(self) -> Mapping[str, int]:
        return {table.name: table.rows for table in self.tables}


def table_member(name: str) -> str:
    """Return the name of the member with a table's rows."""
    return f"tables/{name}.copy"


VOLUMES = "volumes/"


def volume_member(instance_id: UUID) -> str:
    """Return the name of the member with what an instance's container keeps."""
    return f"{VOLUMES}{instance_id}.tar"


def volumes_in(archive: zipfile.ZipFile) -> list[UUID]:
    """Return the instances whose volumes are in it."""
    names = (PurePosixPath(name) for name in archive.namelist() if name.startswith(VOLUMES))
    return [UUID(name.stem) for name in names]


def read_manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    """Raises BackupFailed for a file that is no backup, or one of a newer version."""
    try:
        content: dict[str, Any] = json.loads(archive.read(MANIFEST))
        if content.get("format") != FORMAT:
            raise BackupFailed(f"{path} was written by a newer version.", hint="Restore it with the version that made it, or a later one.")
        return Manifest.model_validate(content)
    except (KeyError, ValueError, AttributeError, ValidationError, zipfile.BadZipFile) as error:
        raise BackupFailed(f"{path} is not a backup of mcp-messenger, or is damaged.", hint="Take another backup.") from error


def open_archive(path: Path) -> zipfile.ZipFile:
    """Raises BackupFailed where there is no such file, or it is not whole."""
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise BackupFailed(f"{path} is not a backup of mcp-messenger, or its end is missing.", hint="Take another backup.") from error
    except OSError as error:
        raise BackupFailed(f"{path} cannot be read: {error.strerror}.", hint="Check the name and who may read it.") from error


def verify(path: Path) -> Manifest:
    """Read the whole file back and compare it with its checksums and its manifest. Raises BackupFailed."""
    with open_archive(path) as archive:
        manifest = read_manifest(archive, path)
        files, volumes = 0, 0
        for member in archive.infolist():
            lines = _count_lines(archive, member, path)
            table = member.filename.removeprefix("tables/").removesuffix(".copy")
            if member.filename.startswith("tables/") and lines != manifest.rows.get(table):
                raise BackupFailed(f"{path} has {lines} rows of {table}, and should have {manifest.rows.get(table)}.", hint="Take another backup.")
            files += member.filename.startswith(tuple(f"{folder}/" for folder in FOLDERS))
            volumes += member.filename.startswith(VOLUMES)
        if (files, volumes) != (manifest.files, manifest.volumes) or not {table_member(name) for name in manifest.rows} <= set(archive.namelist()):
            raise BackupFailed(f"{path} is not complete.", hint="Take another backup.")
    return manifest


def _count_lines(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> int:
    """Read a member to its end, where its checksum is compared. PostgreSQL writes each row in one line."""
    lines = 0
    try:
        with archive.open(member) as content:
            while block := content.read(BLOCK):
                lines += block.count(b"\n")
    except (zipfile.BadZipFile, EOFError, OSError, zlib.error) as error:
        raise BackupFailed(f"{member.filename} in {path} is damaged.", hint="Take another backup.") from error
    return lines


def blocks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """Give a member's content in pieces."""
    with archive.open(name) as content:
        while block := content.read(BLOCK):
            yield block


def is_safe(name: str) -> bool:
    """Return whether a member's name stays inside the folder that it is unpacked in."""
    parts = PurePosixPath(name).parts
    return (
        bool(parts) and parts[0] in FOLDERS and not any(part in {"..", ""} or part.startswith("/") or "\\" in part or ":" in part for part in parts)
    )
