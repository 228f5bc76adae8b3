"""Backups that servers make by themselves: one server at a time, into a folder where the newest few stay."""

import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import anyio
import anyio.from_thread
import anyio.to_thread

from db import chores
from db.database import Database
from db.embedded import running_url
from db.errors import StoreUnavailable
from mcp_messenger.backup.archive import Manifest
from mcp_messenger.backup.volumes import VolumesOf
from mcp_messenger.backup.writing import PARTIAL, write_backup
from mcp_messenger.config import Config
from mcp_messenger.errors import BackupFailed
from mcp_messenger.observability.workers import Workers
from providers.errors import MessengerError

log = logging.getLogger(__name__)

CHORE = "backup"
LOOK_EVERY = 60.0
FIRST_AFTER = 60.0
"""Seconds: not while a server starts."""
AGAIN = 600.0
"""Seconds after a failure, for a backup costs the disk and the database some work."""
CLAIM = 120.0
HOLD_EVERY = 30.0
NAME = re.compile(r"mcp-messenger-\d{8}-\d{6}\.backup")


class BackupSchedule:
    """Makes the backups of the plan in `config`. `volumes_of` is as for `write_backup`."""

    def __init__(self, database: Database, owner: UUID, config: Config, volumes_of: VolumesOf | None, workers: Workers) -> None:
        self._database = database
        self._owner = owner
        self._config = config
        self._volumes_of = volumes_of
        self._worker = workers.worker("backups", vital=False)

    async def run(self) -> None:
        """Make backups when they are due, until cancelled; nothing where there is no plan."""
        if self._config.backups is None:
            return
        await anyio.sleep(FIRST_AFTER)
        await self._worker.keep(self.back_up, lambda: anyio.sleep(LOOK_EVERY))

    async def back_up(self) -> Path | None:
        """Write a backup if one is due, and remove those that are too many; return the file.

        A failure is stored for everybody who asks how things stand. Raises StoreUnavailable where not even that can be done.
        """
        plan = self._config.backups
        if plan is None or not await chores.claim(self._database, CHORE, self._owner, every=plan.every, seconds=CLAIM, again=AGAIN):
            return None
        folder = plan.folder_in(self._config.data_dir)
        path = folder / f"mcp-messenger-{datetime.now(UTC):%Y%m%d-%H%M%S}.backup"
        manifest: Manifest | None = None
        with self._worker.contained() as contained:
            manifest = await self._written(path)
        if manifest is None:
            await chores.failed(self._database, CHORE, self._owner, _words(contained.error))
            return None
        await chores.done(self._database, CHORE, self._owner)
        for warning in manifest.warnings:
            log.warning("%s: %s", path, warning)
        for old in await anyio.to_thread.run_sync(rotate, folder, plan.keep):
            log.info("removed the old backup %s", old.name)
        return path

    async def _written(self, path: Path) -> Manifest:
        """Write the file in a thread, and keep the claim meanwhile, which may be long."""
        made = list[Manifest]()
        async with anyio.create_task_group() as group:
            group.start_soon(self._hold)
            made.append(await anyio.to_thread.run_sync(self._write, path))
            group.cancel_scope.cancel()
        return made[0]

    async def _hold(self) -> None:
        while True:
            await anyio.sleep(HOLD_EVERY)
            with self._worker.contained():
                await chores.hold(self._database, CHORE, self._owner, seconds=CLAIM)

    def _write(self, path: Path) -> Manifest:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for former in path.parent.glob(f"*.backup.*{PARTIAL}"):
                if NAME.fullmatch(former.name.partition(".backup")[0] + ".backup"):
                    former.unlink(missing_ok=True)  # of a server that was killed: the claim is ours now
        except OSError as error:
            raise BackupFailed(f"{path.parent} cannot be written: {error.strerror}.", hint="Give the folder to the server's user.") from error
        check = anyio.from_thread.check_cancelled
        return write_backup(path, self._url(), self._config.data_dir, volumes_of=self._volumes_of, check=check)

    def _url(self) -> str:
        url = self._config.direct_database_url or self._config.database_url
        found = running_url(self._config.data_dir / "postgres") if url is None else url.get_secret_value()
        if found is None:
            raise StoreUnavailable("The embedded store does not run.")
        return found


def _words(error: Exception | None) -> str:
    if isinstance(error, MessengerError):
        return f"{error.detail} {error.hint or ''}".strip()
    return "Something broke; the server's log says what."


def backups_in(folder: Path) -> list[Path]:
    """Return the files that schedules have written, the oldest first."""
    return sorted(path for path in folder.glob("mcp-messenger-*.backup") if NAME.fullmatch(path.name))


def rotate(folder: Path, keep: int) -> list[Path]:
    """Remove all backups of schedules but the newest, and no other file; return those that are gone."""
    old = backups_in(folder)[:-keep]
    for path in old:
        path.unlink(missing_ok=True)
    return old
