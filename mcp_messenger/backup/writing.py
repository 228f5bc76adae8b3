"""Writes a backup while servers run."""

import errno
import os
import secrets
import stat
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from db.backup import Snapshot, Table, snapshot
from mcp_messenger.backup.archive import BLOCK, FOLDERS, FORMAT, KEY, MANIFEST, Manifest, TableEntry, table_member, verify
from mcp_messenger.errors import BackupFailed
from mcp_messenger.version import __version__

PARTIAL = ".partial"
"""Ends the name of a file that is being written, or whose writer was killed."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC})


def write_backup(path: Path, url: str, data_dir: Path, *, key: str | None = None, compress: bool = False, force: bool = False) -> Manifest:
    """Write the database and the data folder into a file, and read it back. Blocks.

    The file has its name only when it is whole and checked: a kill leaves at most a file that ends with `.partial`. `key` is the text of
    the secret key, None to leave it out. Raises BackupFailed, also where the file exists without `force`, and StoreUnavailable.
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
                _write(archive, rows, data_dir, key, inside=path.absolute())
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


def _write(archive: zipfile.ZipFile, rows: Snapshot, data_dir: Path, key: str | None, *, inside: Path) -> None:
    tables = [_write_table(archive, rows, table) for table in rows.tables]
    files, warnings = 0, list[str]()
    for file, name in _files(data_dir):
        # A schedule may write into the data folder itself.
        if file.parent == inside.parent and file.name.startswith(inside.name):
            continue
        written = _write_file(archive, file, name)
        files += written is not None
        if written == "changed":
            warnings.append(f"{name} was written to while it was copied. If its account has to log in again after a restore, this is why.")
    if key is not None:
        archive.writestr(zipfile.ZipInfo(KEY), key)
    facts = rows.facts
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
        warnings=tuple(warnings),
    )
    archive.writestr(MANIFEST, manifest.model_dump_json(indent=1))


def _write_table(archive: zipfile.ZipFile, rows: Snapshot, table: Table) -> TableEntry:
    with archive.open(table_member(table.name), "w", force_zip64=True) as member:
        blocks = rows.rows(table)
        while True:
            try:
                member.write(next(blocks))
            except StopIteration as end:
                return TableEntry(name=table.name, columns=tuple(table.columns), rows=end.value)


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


def _write_file(archive: zipfile.ZipFile, path: Path, name: str) -> str | None:
    """Return "written", "changed" where the file was written to meanwhile, or None where it is gone."""
    try:
        with path.open("rb") as file, archive.open(name, "w", force_zip64=True) as member:
            before = os.fstat(file.fileno())
            while block := file.read(BLOCK):
                member.write(block)
            after = os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise BackupFailed(f"{path} cannot be read: {error.strerror}.", hint="Make the backup as the user that the server runs as.") from error
    return "written" if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns) else "changed"


def _sync(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
