"""Keeps the files of messages that come in, for the messengers' links to them die within days.

A worker behind the inbound path reads the event log, fetches each file once from the process that runs the instance, and puts it into the folder
of downloads. What a process left when it died is fetched by the next one. A file that is not kept may still be fetched from the messenger by
whoever asks for it in time.
"""

import errno
import json
import logging
import shutil
from collections.abc import Callable
from functools import partial
from uuid import UUID

import anyio
import anyio.to_thread

from db import media_files, retention
from db.errors import StoreUnavailable
from db.media_files import Waiting
from mcp_messenger.config import MB
from mcp_messenger.config.quotas import Quota
from mcp_messenger.config.retention import KEPT_MB
from mcp_messenger.errors import NotReady
from mcp_messenger.instances import classes
from mcp_messenger.operations.application import App
from mcp_messenger.operations.kept_files import store_file
from mcp_messenger.operations.quotas import media_of_user
from providers.capabilities import Capability
from providers.errors import InvalidRequest, MessengerError, NotFound, RateLimited, Unsupported
from providers.models import Media
from providers.states import WORKING, InstanceState

log = logging.getLogger(__name__)

AT_ONCE = 3
"""Files that are fetched at a time; one messenger that is slow holds up no other."""
WITHIN = 120.0
"""Seconds for a file."""
PAUSES = (10.0, 60.0, 300.0, 1800.0, 7200.0)
"""Seconds after each try that failed; then the file is not kept."""
UNREADY = 30.0
"""Seconds after which an instance that is not connected is looked at again; that counts as no try."""
LATEST = 7 * 86400.0
"""Seconds after which no link is worth a try."""
POLL = 15.0
GATHER = 0.5
"""Seconds in which new messages gather: nobody waits for a file to be kept."""


class Keeper:
    """Fetches the files of messages that came in, and calls `kept` when one is there that is to be heard."""

    def __init__(self, app: App, kept: Callable[[], None]) -> None:
        self._app = app
        self._kept = kept
        self._grown = anyio.Event()
        self._after: int | None = None
        self._worker = app.workers.worker("kept files", vital=False)

    def wake(self) -> None:
        """Look for new files soon."""
        self._grown.set()

    async def run(self) -> None:
        """Keep files until cancelled; none where the settings say so."""
        if self._app.config.keep_files:
            await self._worker.keep(self.work, self._wait)

    async def _wait(self) -> None:
        with anyio.move_on_after(POLL):
            await self._grown.wait()
            await anyio.sleep(GATHER)
        self._grown = anyio.Event()

    async def work(self) -> None:
        """Note the files that are new, and fetch all that are due."""
        if self._after is None:
            self._after = await media_files.start(self._app.database)
        is_more = True
        while is_more:
            self._after, is_more = await media_files.enqueue(self._app.database, self._after)
        if self._app.supervisor.owned:
            async with anyio.create_task_group() as tasks:
                for _ in range(AT_ONCE):
                    tasks.start_soon(self._fetch_all)

    async def _fetch_all(self) -> None:
        while True:
            found = await media_files.claim(self._app.database, list(self._app.supervisor.owned), seconds=2 * WITHIN)
            if found is None:
                return
            await self._settle(found)

    async def _settle(self, file: Waiting) -> None:
        """Fetch a file, or note why it cannot be: for good, or for now."""
        try:
            await self._require_room(file, (file.media or {}).get("size"))
            if await self._is_unready(file.instance_id):
                await media_files.again(self._app.database, file, seconds=UNREADY, reason="The instance is not connected.", counts=False)
                return
            with anyio.fail_after(WITHIN):
                await self._fetch(file)
        except _Unwanted as unwanted:
            await self._give_up(file, unwanted.reason, is_usual=unwanted.is_usual)
        except StoreUnavailable:
            raise
        except (NotFound, InvalidRequest, Unsupported) as error:
            await self._give_up(file, error.detail)
        except MessengerError as error:
            await self._try_again(file, error.detail, error.retry_after if isinstance(error, RateLimited) else None)
        except (TimeoutError, OSError) as error:
            await self._try_again(file, _words(error))

    async def _require_room(self, file: Waiting, size: object) -> None:
        """Raise _Unwanted where a file of this size is not kept."""
        config = self._app.config
        if file.media is None:
            raise _Unwanted("The message or its file is gone.", is_usual=True)
        if file.age > LATEST:
            raise _Unwanted("The instance was not connected for a week.")
        if not isinstance(size, int):
            return
        if size > config.keep_files:
            raise _Unwanted(f"It has {size / MB:.1f} MB; files of at most {config.keep_files // MB} MB are kept.", is_usual=True)
        rules = await retention.rules_of(self._app.database, file.instance_id)
        most = rules[KEPT_MB].newest if KEPT_MB in rules else config.retention[KEPT_MB].newest
        if most is not None and await media_files.size_of(self._app.database, file.instance_id) + size > most * MB:
            raise _Unwanted("The room for files of this instance is full.")
        owned = self._app.supervisor.get(file.instance_id)
        user_id = "" if owned is None else owned.row.user_id
        most = await self._app.quotas.most(user_id, Quota.MEDIA)
        if most is not None and await media_of_user(self._app, user_id) + size > most:
            raise _Unwanted("The room for files of the instance's user is full.")

    async def _is_unready(self, instance_id: UUID) -> bool:
        owned = self._app.supervisor.get(instance_id)
        return owned is None or owned.provider.state.state not in WORKING

    async def _fetch(self, file: Waiting) -> None:
        """Fetch and keep a file. Raises _Unwanted, MessengerError, OSError."""
        owned = self._app.supervisor.get(file.instance_id)
        if owned is None:
            raise NotReady(str(file.instance_id), InstanceState.STOPPED)
        if Capability.DOWNLOAD not in (await classes.load(owned.row.provider)).capabilities:
            raise _Unwanted(f"{owned.row.provider} gives no files.", is_usual=True)
        download = await owned.provider.download(Media.model_validate_json(json.dumps(file.media)))
        await self._require_room(file, len(download.content))
        folder = self._app.downloads_dir(file.instance_id) / str(file.message_id)
        await anyio.to_thread.run_sync(store_file, folder, file.position, download)
        transcriber = self._app.transcriber
        is_voice = transcriber is not None and transcriber.hears(file.media or {}, len(download.content))
        if await media_files.kept(self._app.database, file, len(download.content), is_voice=is_voice):
            self._app.metrics.files[file.instance_id, "kept"] += 1
            if is_voice:
                self._kept()
        else:
            # Erased, or deleted for everyone, while it was fetched.
            await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))

    async def _try_again(self, file: Waiting, reason: str, least: float | None = None) -> None:
        if file.tries > len(PAUSES):
            await self._give_up(file, reason)
            return
        self._app.metrics.files[file.instance_id, "failed"] += 1
        await media_files.again(self._app.database, file, seconds=max(PAUSES[file.tries - 1], least or 0.0), reason=reason)

    async def _give_up(self, file: Waiting, reason: str, *, is_usual: bool = False) -> None:
        self._app.metrics.files[file.instance_id, "not_kept"] += 1
        about = {"instance_id": str(file.instance_id)}
        level = logging.INFO if is_usual else logging.WARNING
        log.log(level, "file %d of message %d is not kept: %s", file.position, file.message_id, reason, extra=about)
        await media_files.not_kept(self._app.database, file, reason, is_usual=is_usual)


class _Unwanted(Exception):
    """A file is not kept. `is_usual`: as the settings or the sender wanted it, so nobody need look at it."""

    def __init__(self, reason: str, *, is_usual: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_usual = is_usual


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "The disk is full."
    return "It could not be fetched in time." if isinstance(error, TimeoutError) else "It could not be written to the disk."
