"""Finds what goes wrong slowly, before it stops the work: each in words, with what to do."""

import errno
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import anyio.to_thread

from db import agents, gauges, media_files
from db.errors import StoreUnavailable
from db.gauges import Standing
from mcp_messenger.config.backups import LATE
from mcp_messenger.net.server import open_files
from mcp_messenger.operations.application import App, FolderIdentity, folder_identity

PARTS = ("disk", "files", "clock", "secrets", "database", "queue", "agents", "sends", "kept_files", "transcripts", "backup")
"""All that something may be wrong with; each has a figure in /metrics."""
LEAST_FREE = 500 * 2**20
LONGEST_QUEUE = 60.0
SENDS_REFUSED = 5
"""Sends of an instance that failed one after the other, in this process."""
FILES_FREE = 0.1
"""The least part of the files that this process may open which is still free."""
LARGEST_SKEW = 30.0
"""Seconds by which the clocks of this machine and of the database may differ."""


async def troubles(app: App) -> dict[str, str]:
    """Return everything that is wrong, by part: the warnings, a store that is away or refuses, a key that is missing."""
    found = await local_warnings(app)
    if (secrets := app.vault.trouble) is not None:
        found["secrets"] = secrets
    try:
        found |= await warnings(app)
    except StoreUnavailable as error:
        return found | {"database": error.detail}
    refused = next((one.detail for one in app.workers.failing() if one.vital and one.is_store), None)
    return found if refused is None else found | {"database": refused}


async def local_warnings(app: App) -> dict[str, str]:
    """Return what somebody should look at on this machine, by part; nothing where all is well. Asks nobody else."""
    return await anyio.to_thread.run_sync(_local, app)


def _local(app: App) -> dict[str, str]:
    found = {"disk": _disk(app.config.data_dir, app.data_folder), "files": _files(), "clock": app.clock.trouble}
    return {part: words for part, words in found.items() if words is not None}


async def warnings(app: App) -> dict[str, str]:
    """Return what somebody should look at of the work, by part; nothing where all is well. Raises StoreUnavailable."""
    found: dict[str, str] = {}
    standing = await gauges.standing(app.database)
    if standing.queue_age > LONGEST_QUEUE:
        found["queue"] = (
            f"A send of a ready instance has waited for {standing.queue_age:.0f} s. Its owner lags, or the platform's pace holds it up: "
            "look at its message's error, or call restart_instance."
        )
    if (silent := await _agents(app, standing)) is not None:
        found["agents"] = silent
    if refused := app.metrics.refused_in_a_row(SENDS_REFUSED):
        found["sends"] = (
            f"The last {SENDS_REFUSED} sends or more of {refused} instances failed. Look at their messages' errors, and at get_instance_health."
        )
    found |= await _lacking(app)
    skew = time.time() - standing.now
    if abs(skew) > LARGEST_SKEW:
        found["clock"] = f"The clock of this machine is {skew:+.0f} s from the database's. Let both follow a time server."
    if (backup := _backup(app, standing)) is not None:
        found["backup"] = backup
    return found


async def _agents(app: App, standing: Standing) -> str | None:
    if standing.silent_agents:
        return f"The agents of {standing.silent_agents} instances do not answer. Their get_instance_health says why."
    troubles = (app.agents.directory.trouble_of(agent_id, routes) for agent_id, routes in await agents.enabled(app.database))
    return next((words for words in troubles if words is not None), None)


async def _lacking(app: App) -> dict[str, str]:
    """Return what is lacking of the files of the last day."""
    lacking, found = await media_files.lacking(app.database), dict[str, str]()
    if lacking.not_kept:
        found["kept_files"] = (
            f"{lacking.not_kept} files of messages of the last day are not kept, the newest for this reason: {lacking.reason} "
            "Fetch what is needed with download_media while the messenger has it."
        )
    if lacking.unheard:
        found["transcripts"] = (
            f"{lacking.unheard} voice messages of the last day have no transcript, the newest for this reason: {lacking.unheard_reason} "
            "Look at MCP_MESSENGER_TRANSCRIBER."
        )
    return found


def _backup(app: App, standing: Standing) -> str | None:
    plan = app.config.backups
    if plan is None:
        return None
    age = standing.backup_age
    newest = "There is none yet." if age is None else f"The newest is {age / 3600:.0f} h old."
    if standing.backup_trouble is not None:
        return f"The last backup failed: {standing.backup_trouble} {newest}"
    # A server that has just been set up has its first one soon.
    if (time.monotonic() - app.started if age is None else age) > LATE * plan.every:
        return f"No backup was made in time. {newest} Look at the server's log, and try 'mcp-messenger backup'."
    return None


def _files() -> str | None:
    """Look for room for connections: each is an open file."""
    used, most = open_files()
    if most - used >= most * FILES_FREE:
        return None
    return f"{used} of the {most} files that this process may open are open: it takes no more connections soon. Raise the limit (ulimit -n)."


def _disk(folder: Path, known: FolderIdentity | None) -> str | None:
    """Look for room, for a file system that refuses writes, and for a folder that is not the one with which the server began."""
    if not folder.exists():
        return f"{folder} is gone. Put it back, or start the server again with another data folder."
    if known is not None and folder_identity(folder) != known:
        return f"{folder} was moved or replaced while the server ran. Put the former folder back, or start the server again."
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        return f"Only {free >> 20} MB are free at {folder}. Make room: without it nothing can be stored."
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.write_bytes(b"x")
    except OSError as error:
        reason = "it is read-only" if error.errno == errno.EROFS else error.strerror
        return f"{folder} cannot be written: {reason}. Mount it for writing, and give it to the server's user."
    finally:
        # On a read-only file system this fails even where there is nothing to remove.
        with suppress(OSError):
            probe.unlink()
    return None
