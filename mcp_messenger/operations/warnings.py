"""Finds what goes wrong slowly, before it stops the work: each in words, with what to do."""

import errno
import os
import shutil
import time
from pathlib import Path

import anyio.to_thread

from db import gauges
from mcp_messenger.operations.application import App

LEAST_FREE = 500 * 2**20
LONGEST_QUEUE = 60.0
LARGEST_SKEW = 30.0
"""Seconds by which the clocks of this machine and of the database may differ."""


async def warnings(app: App) -> dict[str, str]:
    """Return what somebody should look at, by part; nothing where all is well. Raises StoreUnavailable."""
    found: dict[str, str] = {}
    if (disk := await anyio.to_thread.run_sync(_disk, app.config.data_dir)) is not None:
        found["disk"] = disk
    standing = await gauges.standing(app.database)
    if standing.queue_age > LONGEST_QUEUE:
        found["queue"] = (
            f"A send of a ready instance has waited for {standing.queue_age:.0f} s. Its owner lags, or the platform's pace holds it up: "
            "look at its message's error, or call restart_instance."
        )
    if standing.silent_agents:
        found["agents"] = f"The agents of {standing.silent_agents} instances do not answer. Look at the AgentOS and at list_deliveries."
    skew = time.time() - standing.now
    if abs(skew) > LARGEST_SKEW:
        found["clock"] = f"The clock of this machine is {skew:+.0f} s from the database's. Let both follow a time server."
    return found


def _disk(folder: Path) -> str | None:
    """Look for room, and for a file system that refuses writes."""
    if not folder.exists():
        return f"{folder} is gone. Put it back, or start the server again with another data folder."
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
        probe.unlink(missing_ok=True)
    return None
