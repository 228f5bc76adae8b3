"""How much of the disk the messages take, and how long the rest lasts; and the backups."""

import shutil
import time

import anyio.to_thread

from db.diagnosis import Room
from mcp_messenger.backup.schedule import backups_in
from mcp_messenger.checks.finding import Finding, ok, warning
from mcp_messenger.config import PREFIX, Config
from mcp_messenger.config.backups import LATE

ROOM, BACKUPS = "room", "backups"
ENOUGH = 1000
"""Messages below which the size of empty tables would say more than that of messages."""
SOON = 60
"""Days that a disk should last."""


async def check_room(config: Config, room: Room | None) -> list[Finding]:
    """`room` None: no messages, or no database that answers."""
    if room is None or room.messages < ENOUGH:
        return []
    each = room.size / room.messages
    said = f"{room.messages} messages take {_size(room.size)}, {each / 1000:.2f} kB each with events and indexes"
    daily = room.week * each / 7
    if not daily:
        return [ok(ROOM, f"{said}; none came in the last 7 days.")]
    said += f"; {room.week} came in the last 7 days, which is {_size(daily)} a day"
    if config.database_url is not None:
        return [ok(ROOM, f"{said}, or {_size(365 * daily)} a year on the database's disk.")]
    free = (await anyio.to_thread.run_sync(shutil.disk_usage, config.data_dir)).free
    days = free / daily
    said += f". {_size(free)} are free at {config.data_dir}, enough for {days:.0f} days"
    if days < SOON:
        hint = f"Make room, or let old messages go: {PREFIX}RETENTION (docs/operating.md, Retention)."
        return [warning(ROOM, f"{said}.", hint)]
    return [ok(ROOM, f"{said}.")]


async def check_backups(config: Config) -> list[Finding]:
    """Look at the files of the schedule."""
    plan = config.backups
    if plan is None:
        return [ok(BACKUPS, f"The server makes none by itself; with {PREFIX}BACKUP_EVERY=1d it does.")]
    folder = plan.folder_in(config.data_dir)
    found = await anyio.to_thread.run_sync(backups_in, folder)
    age = time.time() - found[-1].stat().st_mtime if found else None
    if age is None:
        hint = "The server makes the first one a minute after it has started; its log says more."
        return [warning(BACKUPS, f"There is none in {folder} yet.", hint)]
    said = f"{len(found)} in {folder}, the newest {age / 3600:.0f} h old."
    if age > LATE * plan.every:
        return [warning(BACKUPS, said, "It is overdue: the server's log, or GET /health, says why.")]
    return [ok(BACKUPS, said)]


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
