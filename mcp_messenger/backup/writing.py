"""Writes a backup while servers run."""

import errno
import io
import os
import secrets
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO
from uuid import UUID

from db.backup import Snapshot, Table, snapshot
from mcp_messenger.backup.archive import BLOCK, FOLDERS, FORMAT, KEY, MANIFEST, Manifest, TableEntry, table_member, verify, volume_member
from mcp_messenger.backup.volumes import Volumes, VolumesOf
from mcp_messenger.errors import BackupFailed, EngineAway, EngineRefused
from mcp_messenger.version import __version__

PARTIAL = ".partial"
"""Ends the name of a file that is being written, or whose writer was killed."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC})


def _go_on() -> None:
    pass


def write_backup(
    path: Path,
    url: str,
    data_dir: Path,
    *,
    key: str | None = None,
    volumes_of: VolumesOf | None = None,
    compress: bool = False,
    force: bool = False,
    check: Callable[[], None] = _go_on,
) -> Manifest:
    """Write the database, the data folder and the volumes of containers into a file, and read it back. Blocks.

    The file has its name only when it is whole and checked: a kill leaves at most a file that ends with `.partial`. `key` is the text of
    the secret key, None to leave it out. `volumes_of` gives the volumes of an installation; None: nothing runs in containers. `check` is
    called now and then, and may raise to give up. Raises BackupFailed, also where the file exists without `force`, and StoreUnavailable.
    """
    if path.exists() and not force:
        raise BackupFailed(f"{path} exists.", hint="Choose another name, or overwrite it with --force.")
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BackupFailed(
            f"{path} cannot be written: {error.strerror}.", hint="Choose a folder that exists and that this user may write."
        ) from error
    try:
        with os.fdopen(descriptor, "w+b") as file:
            method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
            with zipfile.ZipFile(file, "w", method, compresslevel=1 if compress else None) as archive, snapshot(url) as rows:
                _Writer(archive, data_dir, path.absolute(), check).write(rows, key, volumes_of)
            file.flush()
            os.fsync(file.fileno())
        manifest = verify(partial)
        partial.replace(path)
        _sync(path.absolute().parent)
    except OSError as error:
        if error.errno in FULL:
            raise BackupFailed(f"There is no room for the backup at {path}.", hint="Make room, or write it to another disk.") from error
        raise BackupFailed(f"{path} cannot be written: {error.strerror}.", hint="Try again, or write it to another disk.") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return manifest


class _Writer:
    """Writes the members of one archive, which itself is at `inside`."""

    def __init__(self, archive: zipfile.ZipFile, data_dir: Path, inside: Path, check: Callable[[], None]) -> None:
        self._archive = archive
        self._data_dir = data_dir
        self._inside = inside
        self._check = check
        self._warnings = list[str]()

    def write(self, rows: Snapshot, key: str | None, volumes_of: VolumesOf | None) -> None:
        tables = [self._write_table(rows, table) for table in rows.tables]
        files = sum(self._write_file(file, name) for file, name in _files(self._data_dir) if not self._is_own(file))
        facts = rows.facts
        # What is in containers carries the id of the installation.
        volumes = None if volumes_of is None or facts.installation is None else volumes_of(facts.installation)
        saved = 0 if volumes is None else self._write_volumes(volumes, facts.contained)
        if key is not None:
            self._archive.writestr(zipfile.ZipInfo(KEY), key)
        manifest = Manifest(
            format=FORMAT,
            made_at=facts.taken_at,
            version=__version__,
            server_version=facts.server_version,
            installation=None if facts.installation is None else str(facts.installation),
            migrations=tuple(facts.migrations),
            last_event=facts.last_event,
            tables=tuple(tables),
            files=files,
            has_key=key is not None,
            volumes=saved,
            warnings=tuple(self._warnings),
        )
        self._archive.writestr(MANIFEST, manifest.model_dump_json(indent=1))

    def _is_own(self, file: Path) -> bool:
        # A schedule may write into the data folder itself.
        return file.parent == self._inside.parent and file.name.startswith(self._inside.name)

    def _write_table(self, rows: Snapshot, table: Table) -> TableEntry:
        with self._archive.open(table_member(table.name), "w", force_zip64=True) as member:
            blocks = rows.rows(table)
            while True:
                self._check()
                try:
                    member.write(next(blocks))
                except StopIteration as end:
                    return TableEntry(name=table.name, columns=tuple(table.columns), rows=end.value)

    def _write_file(self, path: Path, name: str) -> bool:
        """Return False where the file is gone."""
        try:
            with path.open("rb") as file, self._archive.open(name, "w", force_zip64=True) as member:
                before = os.fstat(file.fileno())
                while block := file.read(BLOCK):
                    self._check()
                    member.write(block)
                after = os.fstat(file.fileno())
        except FileNotFoundError:
            return False
        except PermissionError as error:
            raise BackupFailed(f"{path} cannot be read: {error.strerror}.", hint="Make the backup as the user that the server runs as.") from error
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            self._warnings.append(WRITTEN_TO.format(what=name))
        return True

    def _write_volumes(self, volumes: Volumes, contained: int) -> int:
        """Write the volumes of containers; return of how many instances. `contained` is how many should have one."""
        try:
            ids = volumes.listing()
        except (EngineAway, EngineRefused) as error:
            if contained:
                self._warnings.append(f"What {contained} instances in containers keep is not in it, so they have to log in again. {error.detail}")
            return 0
        for instance_id in ids:
            began = time.time()
            if any(changed >= began - 1 for changed in self._write_volume(volumes, instance_id)):
                self._warnings.append(WRITTEN_TO.format(what=f"The login of the instance {instance_id}"))
        return len(ids)

    def _write_volume(self, volumes: Volumes, instance_id: UUID) -> list[float]:
        """Return when each of the files was last written to."""
        member = self._archive.open(volume_member(instance_id), "w", force_zip64=True)
        with member, closing(volumes.read(instance_id)) as blocks:
            copied = _Copied(blocks, member, self._check)
            try:
                with tarfile.open(fileobj=copied, mode="r|") as content:
                    times = [float(one.mtime) for one in content if one.isfile()]
            except tarfile.TarError as error:
                raise BackupFailed(f"What the engine gives of the instance {instance_id} is no archive: {error}.", hint="Try again.") from error
            copied.finish()
            return times


WRITTEN_TO = "{what} was written to while it was copied. If its account has to log in again after a restore, this is why."


class _Copied(io.RawIOBase):
    """A stream that is written into the archive as far as it is read."""

    def __init__(self, blocks: Iterator[bytes], member: IO[bytes], check: Callable[[], None]) -> None:
        self._blocks = blocks
        self._member = member
        self._check = check
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._rest and (block := next(self._blocks, None)) is not None:
            self._check()
            self._member.write(block)
            self._rest = block
        end = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:end], self._rest[end:]
        return taken

    def finish(self) -> None:
        """Read what comes after the last file."""
        while self.read(BLOCK):
            pass


def _files(data_dir: Path) -> Iterator[tuple[Path, str]]:
    """The files to keep, with their names in the archive. Sockets and links are made again by the programs that need them."""
    for folder in FOLDERS:
        for at, _, names in os.walk(data_dir / folder):
            for name in sorted(names):
                file = Path(at, name)
                with suppress(OSError, UnicodeEncodeError):
                    inside = file.relative_to(data_dir).as_posix()
                    inside.encode()
                    if stat.S_ISREG(file.lstat().st_mode):
                        yield file, inside


def _sync(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
