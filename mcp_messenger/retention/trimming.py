"""Trims the store and the downloaded files to their rules, in small batches with pauses."""

import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from uuid import UUID

import anyio
import anyio.to_thread

from db import chores, early_reports, media_files, retention
from db.database import Database
from db.retention import Rule
from mcp_messenger.config.retention import OF_SERVER, Retained
from mcp_messenger.observability.workers import Workers

log = logging.getLogger(__name__)

CHORE = "retention"
EVERY = 3600.0
LOOK_EVERY = 300.0
FIRST_AFTER = 60.0
CLAIM = 120.0
"""Seconds; renewed between batches."""

SHARE = 0.1
"""Of the time, at most, in which a statement of ours runs: the rest belongs to those who send and receive."""
LEAST_PAUSE = 0.05
FILES = 500


class Trimming:
    """One server at a time trims the store; each trims the files on its own disk."""

    def __init__(
        self,
        database: Database,
        owner: UUID,
        limits: Mapping[str, Retained],
        data_dir: Path,
        workers: Workers,
        retire: Callable[[float], Awaitable[int]],
    ) -> None:
        """`retire` removes a batch of the audit log's rows of more than so many seconds ago, and returns how many."""
        self._database = database
        self._owner = owner
        self._limits = limits
        self._downloads = data_dir / "downloads"
        self._retire = retire
        self._worker = workers.worker("retention", vital=False)
        self._renewed = 0.0

    async def run(self) -> None:
        """Trim now and then until cancelled, but not while a server starts."""
        await anyio.sleep(FIRST_AFTER)
        await self._worker.keep(self.trim, lambda: anyio.sleep(LOOK_EVERY))

    async def trim(self, *, every: float = EVERY) -> dict[str, int]:
        """Remove all that is too old or too many, unless that was done less than `every` seconds ago; return how much, by kind."""
        removed: dict[str, int] = {}
        if await chores.claim(self._database, CHORE, self._owner, every=every, seconds=CLAIM):
            self._renewed = time.monotonic()
            removed = await self._trim_store()
            await chores.done(self._database, CHORE, self._owner)
            if removed:
                log.info("removed by age or number: %s", ", ".join(f"{count} {kind}" for kind, count in removed.items()))
        if files := await self._trim_files():
            removed["media"] = files
        return removed

    async def _trim_store(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        overrides = await retention.overrides(self._database)
        for instance_id in await retention.instances(self._database):
            for kind, rule in self._rules(overrides.get(instance_id, {})).items():
                count = await self._trim_kind(kind, instance_id, rule)
                if count:
                    counts[kind] = counts.get(kind, 0) + count
            await anyio.sleep(LEAST_PAUSE / 10)
            await self._renew()
        await retention.remove_calls(self._database)
        await early_reports.expire(self._database)
        await media_files.forget_orphans(self._database, limit=FILES)
        errors = self._limits["errors"].seconds
        if errors is not None and (count := await retention.remove_errors(self._database, errors)):
            counts["errors"] = count
        if audit := await self._trim_audit():
            counts["audit"] = audit
        return counts

    async def _trim_audit(self) -> int:
        seconds, count = self._limits["audit"].seconds, 0
        while seconds is not None and (removed := await self._retire(seconds)):
            count += removed
            await anyio.sleep(LEAST_PAUSE)
            await self._renew()
        return count

    def _rules(self, own: Mapping[str, Rule]) -> dict[str, Rule]:
        """Return those with a limit."""
        of_server = {kind: Rule(limit.seconds, limit.newest) for kind, limit in self._limits.items() if kind not in OF_SERVER}
        return {kind: rule for kind, rule in {**of_server, **own}.items() if rule != Rule() and kind in retention.REMOVALS}

    async def _trim_kind(self, kind: str, instance_id: UUID, rule: Rule) -> int:
        boundary, count = await retention.boundary(self._database, kind, instance_id, rule.newest), 0
        while True:
            began = time.monotonic()
            ids = await retention.remove(self._database, kind, instance_id, rule, boundary)
            count += len(ids)
            if kind == "messages" and ids:
                await anyio.to_thread.run_sync(_remove_folders, [self._downloads / str(instance_id) / str(id) for id in ids])
            if not ids:
                return count
            await anyio.sleep(max(LEAST_PAUSE, (time.monotonic() - began) / SHARE))
            await self._renew()

    async def _renew(self) -> None:
        if time.monotonic() - self._renewed > CLAIM / 4:
            await chores.claim(self._database, CHORE, self._owner, every=0, seconds=CLAIM)
            self._renewed = time.monotonic()

    async def _trim_files(self) -> int:
        """Remove the downloaded files of messages that are gone, and those that are too old; return of how many messages."""
        removed = 0
        # The folder may serve another database too, whose instances are not known here.
        here = [self._downloads / str(id) for id in await retention.instances(self._database)]
        for chunk in await anyio.to_thread.run_sync(lambda: list(_chunks(here))):
            kept = await retention.present(self._database, list(chunk))
            orphans = [folder for id, folder in chunk.items() if id not in kept]
            aged = await anyio.to_thread.run_sync(self._aged, chunk)
            removed += await anyio.to_thread.run_sync(_remove_folders, [*orphans, *aged])
            if aged:
                await media_files.forget(self._database, [int(folder.name) for folder in aged])
            await anyio.sleep(LEAST_PAUSE)
        return removed

    def _aged(self, chunk: Mapping[int, Path]) -> list[Path]:
        seconds = self._limits["media"].seconds
        if seconds is None:
            return []
        return [folder for folder in chunk.values() if folder.exists() and folder.stat().st_mtime < time.time() - seconds]


def _chunks(folders: list[Path]) -> Iterator[dict[int, Path]]:
    """The folders of messages by the message's id, a few hundred at a time."""
    chunk: dict[int, Path] = {}
    for folder in (message for instance in folders for message in instance.glob("*")):
        if folder.name.isascii() and folder.name.isdecimal():
            chunk[int(folder.name)] = folder
        if len(chunk) == FILES:
            yield chunk
            chunk = {}
    if chunk:
        yield chunk


def _remove_folders(folders: list[Path]) -> int:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return len(folders)
