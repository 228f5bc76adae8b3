"""Has the voice messages that came in written down, where a transcriber is set, one at a time.

It comes after the file is kept, so a message wakes whoever waits at once, and its transcript follows as an event of its own kind.
"""

import logging

import anyio

from db import media_files
from db.media_files import Waiting
from mcp_messenger.media.transcribing import NotHeard, Transcriber
from mcp_messenger.operations.application import App
from mcp_messenger.operations.kept_files import kept_path

log = logging.getLogger(__name__)

PAUSES = (30.0, 300.0, 3600.0)
"""Seconds after each try that failed; then there is no transcript."""
POLL = 15.0
CLAIM = 600.0
"""Seconds; longer than a transcript may take."""


class Hearer:
    """Writes the transcripts of kept voice messages."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._kept = anyio.Event()
        self._worker = app.workers.worker("transcripts", vital=False)

    def wake(self) -> None:
        """Look for voice messages soon."""
        self._kept.set()

    async def run(self) -> None:
        """Write transcripts until cancelled; none where no transcriber is set."""
        transcriber = self._app.transcriber
        if transcriber is not None:

            async def work() -> None:
                await self._hear_all(transcriber)

            await self._worker.keep(work, self._wait)

    async def _wait(self) -> None:
        with anyio.move_on_after(POLL):
            await self._kept.wait()
        self._kept = anyio.Event()

    async def _hear_all(self, transcriber: Transcriber) -> None:
        while True:
            instance_ids = list(self._app.supervisor.owned)
            found = await media_files.claim_voice(self._app.database, instance_ids, seconds=CLAIM) if instance_ids else None
            if found is None:
                return
            try:
                await self._hear(transcriber, found)
            except NotHeard as error:
                await self._failed(found, error)

    async def _hear(self, transcriber: Transcriber, file: Waiting) -> None:
        path = await kept_path(self._app, file.instance_id, file.message_id, file.position, file.ref)
        if path is None or file.media is None:
            raise NotHeard("The file is gone.", may_come=False)
        text = await transcriber.hear(path)
        event_id = await media_files.store_transcript(self._app.database, file, text)
        self._app.metrics.files[file.instance_id, "heard"] += 1
        if event_id is not None:
            self._app.feed.grew(event_id)

    async def _failed(self, file: Waiting, error: NotHeard) -> None:
        self._app.metrics.files[file.instance_id, "not_heard"] += 1
        if error.may_come and file.tries <= len(PAUSES):
            await media_files.again(self._app.database, file, seconds=PAUSES[file.tries - 1], reason=error.reason)
            return
        about = {"instance_id": str(file.instance_id)}
        log.warning("file %d of message %d has no transcript: %s", file.position, file.message_id, error.reason, extra=about)
        await media_files.not_heard(self._app.database, file, error.reason)
