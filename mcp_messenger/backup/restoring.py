"""Puts a backup back: into an empty database and data folder, or in place of others."""

import os
import secrets
import shutil
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import anyio.to_thread

from db import migrate as migrations
from db.backup import Contents, Notes, Table, identify, is_in_use, replace_rows
from mcp_messenger.backup.archive import (
    FOLDERS,
    KEY,
    Manifest,
    blocks,
    is_safe,
    open_archive,
    read_manifest,
    table_member,
    verify,
    volume_member,
    volumes_in,
)
from mcp_messenger.backup.volumes import Volumes, VolumesOf
from mcp_messenger.errors import BackupFailed

UNFINISHED = ".restoring-"


@dataclass(frozen=True)
class Restored:
    """`set_aside` are folders of before, which nobody needs once all is well. `left_alone` are instances whose volume was there already."""

    manifest: Manifest
    set_aside: tuple[Path, ...]
    left_alone: tuple[UUID, ...] = ()


async def restore(
    path: Path,
    url: str,
    data_dir: Path,
    *,
    take_over: bool = False,
    force: bool = False,
    volumes_of: VolumesOf | None = None,
) -> Restored:
    """Put a backup into the database, the data folder and the volumes of containers.

    A copy starts with all instances stopped, for the original may still run; with `take_over` it is the original's successor, and they run
    as they did. Sends and deliveries that were waiting are not done again in either. `volumes_of` gives the volumes of an installation; None
    leaves those of the backup out. Raises BackupFailed where something would be overwritten without `force`, EngineAway, and StoreUnavailable;
    the database is changed as a whole or not at all.
    """
    manifest = await anyio.to_thread.run_sync(verify, path)
    if unknown := sorted(set(manifest.migrations) - set(migrations.packaged())):
        raise BackupFailed(
            f"{path} was made by a newer version ({manifest.version}), with migrations that this one does not know: {', '.join(unknown)}.",
            hint="Restore it with that version or a later one.",
        )
    await anyio.to_thread.run_sync(partial(_refuse_overwriting, path, manifest, data_dir, force))
    if await anyio.to_thread.run_sync(is_in_use, url) and not force:
        raise BackupFailed("The database holds instances or messages.", hint="Restore into an empty database, or replace what it holds with --force.")
    if volumes_of is not None and manifest.volumes:
        # Before anything is changed: whether an engine answers.
        await anyio.to_thread.run_sync(volumes_of(UUID(int=0)).listing)
    unpacked = await anyio.to_thread.run_sync(partial(_unpack, path, data_dir))
    try:
        newest = manifest.migrations[-1]
        await migrations.migrate(url, to=newest)
        await migrations.rollback(url, newest)
        await anyio.to_thread.run_sync(partial(_replace, path, url, manifest, take_over))
        await migrations.migrate(url)
        set_aside = await anyio.to_thread.run_sync(partial(_move_into_place, unpacked, data_dir))
        left_alone: tuple[UUID, ...] = ()
        if volumes_of is not None and manifest.volumes:
            volumes = volumes_of(await anyio.to_thread.run_sync(identify, url))
            left_alone = await anyio.to_thread.run_sync(partial(_put_volumes_back, path, volumes, replace=force))
    finally:
        await anyio.to_thread.run_sync(partial(shutil.rmtree, unpacked, ignore_errors=True))
    return Restored(manifest, set_aside, left_alone)


def _put_volumes_back(path: Path, volumes: Volumes, *, replace: bool) -> tuple[UUID, ...]:
    """Return the instances whose volume was there already and stays."""
    with open_archive(path) as archive:
        return tuple(
            instance_id
            for instance_id in volumes_in(archive)
            if not volumes.write(instance_id, blocks(archive, volume_member(instance_id)), replace=replace)
        )


def _refuse_overwriting(path: Path, manifest: Manifest, data_dir: Path, force: bool) -> None:
    present = [name for name in FOLDERS if (data_dir / name).is_dir() and any((data_dir / name).iterdir())]
    if manifest.has_key and (data_dir / KEY).exists():
        with open_archive(path) as archive:
            if archive.read(KEY).strip() != (data_dir / KEY).read_bytes().strip():
                present.append(KEY)
    if present and not force:
        raise BackupFailed(
            f"{data_dir} holds {', '.join(present)} already.",
            hint="Restore into another data folder, or set them aside and replace them with --force.",
        )


def _unpack(path: Path, data_dir: Path) -> Path:
    """Unpack the files beside their place; return the folder."""
    unpacked = data_dir / f"{UNFINISHED}{secrets.token_hex(4)}"
    try:
        if not data_dir.exists():
            data_dir.mkdir(mode=0o700, parents=True)
        unpacked.mkdir(mode=0o700)
        with open_archive(path) as archive:
            for name in archive.namelist():
                if name == KEY or (is_safe(name) and not name.endswith("/")):
                    _unpack_member(archive, name, unpacked)
    except OSError as error:
        shutil.rmtree(unpacked, ignore_errors=True)
        raise BackupFailed(f"{data_dir} cannot be written: {error.strerror}.", hint="Make room there, or choose another data folder.") from error
    return unpacked


def _unpack_member(archive: zipfile.ZipFile, name: str, into: Path) -> None:
    target = into / name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for block in blocks(archive, name):
            file.write(block)


def _replace(path: Path, url: str, manifest: Manifest, take_over: bool) -> None:
    made = f"{manifest.made_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    notes = Notes(
        unsettled=f"This was being sent when the backup of {made} was made, so it may have arrived. Look at the chat before you send it again.",
        undelivered=f"It was due when the backup of {made} was made, so it may have been delivered since. Replay it where it was not.",
        stopped=f"Restored from the backup of {made}. Start it when the original no longer runs: two at once answer twice, or lose the login.",
    )
    with open_archive(path) as archive:
        read_manifest(archive, path)
        contents = Contents(
            tables=[Table(table.name, table.columns) for table in manifest.tables],
            rows=manifest.rows,
            last_event=manifest.last_event,
            blocks=lambda name: blocks(archive, table_member(name)),
        )
        replace_rows(url, contents, notes, take_over=take_over)


def _move_into_place(unpacked: Path, data_dir: Path) -> tuple[Path, ...]:
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    set_aside: list[Path] = []
    for name in (*FOLDERS, KEY):
        new, place = unpacked / name, data_dir / name
        if not new.exists():
            continue
        if place.exists():
            former = place.with_name(f"{name}.before-restore-{stamp}")
            place.rename(former)
            set_aside.append(former)
        new.rename(place)
    return tuple(set_aside)
