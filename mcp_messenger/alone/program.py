"""One messenger alone: built once, passed first to every operation of its API."""

import functools
import logging
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import anyio

from mcp_messenger.alone.database import SpoolFile, SpoolUnavailable
from mcp_messenger.alone.key import Key, key_in
from mcp_messenger.alone.runner import Runner
from mcp_messenger.alone.sends import Sends
from mcp_messenger.alone.settings import Alone
from mcp_messenger.alone.spool import Spool
from mcp_messenger.config import Config
from mcp_messenger.delivery.pacing import Pacing
from mcp_messenger.observability.logbook import Logbook
from mcp_messenger.security.rate_limiter import RateLimiter
from providers.base import Provider, ProviderContext

log = logging.getLogger(__name__)

SPOOL_FILE = "spool.sqlite3"
SESSION = "session"
STOP_WITHIN = 15.0


@dataclass(frozen=True)
class Program:
    """`folder` is all that it keeps: the spool, the provider's session, files that were downloaded."""

    config: Config
    alone: Alone
    cls: type[Provider]
    folder: Path
    instance_id: UUID
    key: Key
    spool: Spool
    runner: Runner
    sends: Sends
    pacing: Pacing
    limiter: RateLimiter
    logbook: Logbook
    tls: Callable[[], ssl.SSLContext]
    started_at: datetime

    @property
    def file(self) -> SpoolFile:
        return self.spool.file

    @property
    def downloads_dir(self) -> Path:
        return self.folder / "downloads"


@asynccontextmanager
async def running(config: Config, alone: Alone, cls: type[Provider], folder: Path) -> AsyncGenerator[Program]:
    """The program at work, its provider not started yet. On leaving the provider is stopped.

    Raises SpoolUnavailable where the folder cannot be used, but for a managed program: that one says so in its state.
    """
    spool = Spool(folder / SPOOL_FILE, alone.bounds, has_reader=alone.is_managed)
    key = Key(alone.key_digest) if alone.key_digest is not None else await anyio.to_thread.run_sync(key_in, folder)
    instance_id = await _opened(spool, alone)
    tls = functools.cache(_tls)

    def context(public_url: str | None) -> ProviderContext:
        return ProviderContext(str(instance_id), tls(), folder / SESSION, public_url)

    runner = Runner(cls, spool, str(instance_id), folder / SESSION, context)
    logbook = Logbook()
    logging.getLogger().addHandler(logbook)
    try:
        async with anyio.create_task_group() as tasks:
            sends = Sends(spool, runner.sender, tasks)
            pace = Pacing(cls.limits, time.monotonic)
            tasks.start_soon(runner.run)
            try:
                yield Program(
                    config,
                    alone,
                    cls,
                    folder,
                    instance_id,
                    key,
                    spool,
                    runner,
                    sends,
                    pace,
                    RateLimiter(None, config.rate_limit),
                    logbook,
                    tls,
                    datetime.now(UTC),
                )
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_WITHIN):
                    await runner.stop()
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await spool.file.close()
        logging.getLogger().removeHandler(logbook)


async def _opened(spool: Spool, alone: Alone) -> UUID:
    try:
        await spool.open()
        known = alone.instance_id or UUID(await spool.fact("instance_id") or str(uuid4()))
        await spool.set_fact("instance_id", str(known))
    except SpoolUnavailable as error:
        if not alone.is_managed or alone.instance_id is None:
            raise
        log.error("%s It goes on by itself when it can be.", error.detail)  # noqa: TRY400 - the reason is in the message
        return alone.instance_id
    return known


def _tls() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()
