"""Serves the relay of one instance until it is stopped."""

import functools
import logging
import os
import ssl

import anyio

from mcp_messenger.config import Config
from mcp_messenger.net.server import bind, run_server
from mcp_messenger.relay.http import RelayHttp
from mcp_messenger.relay.runner import Runner
from mcp_messenger.relay.sends import Sends
from mcp_messenger.relay.settings import RelaySettings
from mcp_messenger.relay.spool import Spool
from mcp_messenger.relay.spool_file import SpoolUnavailable
from providers import provider_class
from providers.base import ProviderContext

log = logging.getLogger(__name__)

SPOOL_FILE = "spool.sqlite3"
SESSION = "session"
STOP_WITHIN = 15.0
LET_GO = 3
"""The exit code of a relay that has let go of its account for want of a manager."""
WELCOME = "Relay of the {title} instance {id}: {url}. Press Ctrl+C to stop."


async def serve_relay(config: Config, settings: RelaySettings, provider: str) -> None:
    """Serve until SIGINT or SIGTERM. A spool that cannot be used is a state, and no error: the manager reads it. Raises Conflict."""
    cls = provider_class(provider)
    listener, config = bind(config, "--api-port")
    spool = Spool(config.data_dir / SPOOL_FILE, settings.bounds)
    tls = functools.cache(_tls)

    def context_for(public_url: str | None) -> ProviderContext:
        return ProviderContext(str(settings.instance_id), tls(), config.data_dir / SESSION, public_url)

    runner = Runner(cls, spool, context_for, fence=settings.fence, end=_end)
    try:
        await spool.open()
    except SpoolUnavailable as error:
        log.error("%s The relay goes on by itself when it can.", error.detail)  # noqa: TRY400 - the reason is in the message
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run)
            http = RelayHttp(cls, settings.instance_id, settings.key_digest, spool, runner, Sends(spool, runner.sender, tasks))
            welcome = WELCOME.format(title=cls.title, id=settings.instance_id, url=config.own_url)
            try:
                await run_server(http.app(), listener, begins=http.served_by, welcome=functools.partial(print, welcome, flush=True))
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_WITHIN):
                    await runner.stop()
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await spool.file.close()


def _end() -> None:
    """End at once. What was under way is as after a crash: the spool and the ledger are synced at each commit."""
    os._exit(LET_GO)


def _tls() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()
