"""Builds the application and runs it."""

import functools
import logging
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import anyio
import anyio.abc

from db.database import Database
from db.errors import Reason, StoreUnavailable
from mcp_messenger.agents.agents import Agents
from mcp_messenger.agents.agno import AgentOs
from mcp_messenger.agents.answer import Ways
from mcp_messenger.config import Config
from mcp_messenger.delivery.feed import POLL_WITH_WAKEUPS, POLL_WITHOUT_WAKEUPS, Feed
from mcp_messenger.delivery.inbound import Inbound
from mcp_messenger.delivery.outbox import Outbox
from mcp_messenger.delivery.webhooks import Webhooks
from mcp_messenger.instances.calls import Calls
from mcp_messenger.instances.memory import Memory
from mcp_messenger.instances.runtimes.docker import DockerRuntime
from mcp_messenger.instances.runtimes.process import ProcessRuntime
from mcp_messenger.instances.supervisor import Supervisor
from mcp_messenger.net.network_policy import NetworkPolicy
from mcp_messenger.observability.logbook import Logbook
from mcp_messenger.observability.metrics import Metrics
from mcp_messenger.operations.application import App
from mcp_messenger.security.rate_limiter import RateLimiter
from mcp_messenger.security.vault import Vault
from providers.base import ProviderContext

if TYPE_CHECKING:
    from db.embedded import EmbeddedPostgres

log = logging.getLogger(__name__)

POOL_MAX = 10
RETRY_STORE_EVERY = 3.0
STOP_STORE_WITHIN = 20.0


def build(config: Config, *, shares: bool = False) -> App:
    """All parts, none of them running yet. `shares`: it is there to stay, and takes its share of the instances."""
    owner = uuid4()
    database = Database()
    vault = functools.cache(functools.partial(Vault.open, config.data_dir, config.secret_key))
    tls = functools.cache(_tls)
    feed = Feed(database)
    metrics = Metrics()
    inbound = Inbound(database, feed, metrics)
    outbox = Outbox(database, feed, inbound, metrics, config.timing)
    policy = NetworkPolicy(allowed_networks=config.allowed_networks)
    webhooks = Webhooks(database, vault=vault, policy=policy, tls=tls, metrics=metrics)
    memory = Memory(time.monotonic)
    feed.listeners.append(memory)

    def context(instance_id: UUID) -> ProviderContext:
        return ProviderContext(str(instance_id), tls(), config.data_dir / "instances" / str(instance_id), config.public_url)

    docker = DockerRuntime(database, config, vault) if config.containers.enabled else None
    supervisor = Supervisor(
        database,
        vault=vault,
        feed=feed,
        inbound=inbound,
        outbox=outbox,
        owner=owner,
        context=context,
        runtimes={"process": ProcessRuntime()} | ({"docker": docker} if docker is not None else {}),
        only=UUID(config.instance_id) if config.instance_id else None,
        shares=shares,
        stop_within=config.timing.stop,
    )
    if docker is not None:
        docker.changed = supervisor.wake
    calls = Calls(database, feed, supervisor, claim_within=config.timing.claim)
    ways = Ways(database, outbox, inbound, supervisor)
    agents = Agents(ways, calls=calls, agent_os=_agent_os(config), quiet=config.quiet_hours)
    feed.listeners.append(calls)
    feed.growth += [webhooks.wake, agents.wake]
    limiter = RateLimiter(database, config.rate_limit)
    return App(
        config=config,
        database=database,
        feed=feed,
        inbound=inbound,
        outbox=outbox,
        webhooks=webhooks,
        agents=agents,
        supervisor=supervisor,
        calls=calls,
        memory=memory,
        limiter=limiter,
        metrics=metrics,
        docker=docker,
        vault=vault,
        tls=tls,
        logbook=Logbook(),
        started=time.monotonic(),
    )


def _agent_os(config: Config) -> AgentOs | None:
    key = config.agno_key
    return None if config.agno_url is None else AgentOs(config.agno_url, None if key is None else key.get_secret_value())


def _tls() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()


@asynccontextmanager
async def running(config: Config, *, quiet: float = 0.0, shares: bool = False) -> AsyncGenerator[App]:
    """The application at work: at once, while the store comes up behind it. On leaving, instances are given up and the store is closed.

    For `quiet` seconds the store is started only for somebody who asks for it. `shares` is as for `build`.
    """
    async with stored(config, quiet=quiet, shares=shares) as app:
        logging.getLogger().addHandler(app.logbook)
        try:
            # Providers are stopped by the supervisor while inbound still writes what they deliver.
            beside = [] if app.docker is None else [app.docker.run]
            async with (
                _at_work(app, app.feed.run, app.inbound.run, app.memory.run, app.limiter.run, app.webhooks.run, *beside),
                _at_work(app, app.supervisor.run, app.calls.run, app.agents.run),
            ):
                yield app
        finally:
            logging.getLogger().removeHandler(app.logbook)


@asynccontextmanager
async def stored(config: Config, *, quiet: float = 0.0, shares: bool = False) -> AsyncGenerator[App]:
    """The application with nothing but its store, which comes up behind it."""
    config.check()
    app = build(config, shares=shares)
    async with anyio.create_task_group() as background:
        store = await background.start(_keep_store, app, quiet)
        try:
            yield app
        finally:
            store.cancel()


@asynccontextmanager
async def _at_work(app: App, *workers: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    async with anyio.create_task_group() as group:
        for worker in workers:
            group.start_soon(_when_stored, app, worker)
        try:
            yield
        finally:
            group.cancel_scope.cancel()


async def _when_stored(app: App, worker: Callable[[], Awaitable[None]]) -> None:
    await app.database.wanted.wait()
    while True:
        try:
            await app.database.started()
            break
        except StoreUnavailable:
            await anyio.sleep(RETRY_STORE_EVERY)
    await worker()


async def _keep_store(app: App, quiet: float, *, task_status: "anyio.abc.TaskStatus[anyio.CancelScope]") -> None:
    with anyio.CancelScope() as scope:
        task_status.started(scope)
        with anyio.move_on_after(quiet):
            await app.database.wanted.wait()
        app.database.wanted.set()
        await _run_store(app)


async def _run_store(app: App) -> None:
    embedded: EmbeddedPostgres | None = None
    try:
        while True:
            try:
                embedded = embedded or await _embedded(app.config)
                await _serve_store(app, embedded)
            except StoreUnavailable as error:
                log.error("store unavailable: %s", reason_of(error))  # noqa: TRY400 - the reason is in the message; a traceback adds nothing
                app.database.failed(error if app.config.database_url is None else with_url_hint(error))
            await anyio.sleep(RETRY_STORE_EVERY)
    finally:
        if embedded is not None:
            with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_STORE_WITHIN):
                await embedded.stop()


def with_url_hint(error: StoreUnavailable) -> StoreUnavailable:
    """Return the error with a hint for whoever set DATABASE_URL, where nothing answers there."""
    if type(error) is not StoreUnavailable or error.reason is not Reason.UNREACHABLE:
        return error
    return StoreUnavailable(error.detail, hint="Check that PostgreSQL runs and that DATABASE_URL is right, then try again.", reason=error.reason)


def reason_of(error: StoreUnavailable) -> str:
    """With PostgreSQL's own words, which name at most host, port and user: for the log, not for callers."""
    words = str(error.__cause__ or "").strip()
    return f"{error.detail} {words}".strip()


def _url(config: Config) -> str:
    assert config.database_url is not None
    return config.database_url.get_secret_value()


async def _embedded(config: Config) -> "EmbeddedPostgres | None":
    if config.database_url is not None:
        return None
    from db.embedded import start_embedded

    return await start_embedded(config.data_dir / "postgres")


async def _migrated(config: Config, url: str) -> tuple[str, list[str]]:
    """Bring the schema up to date; return the URL for wake-ups, and the migrations that were applied.

    DIRECT_DATABASE_URL is used where it answers. The pooler's URL does as well, but for wake-ups.
    """
    from db.connection_settings import connection_string
    from db.errors import MigrationFailed
    from db.migrate import migrate

    direct = config.direct_database_url
    if direct is not None:
        connection_string(direct.get_secret_value(), setting="DIRECT_DATABASE_URL")
        try:
            return direct.get_secret_value(), await migrate(direct.get_secret_value())
        except MigrationFailed:
            raise
        except StoreUnavailable as error:
            log.warning("DIRECT_DATABASE_URL does not answer, so DATABASE_URL is used instead, without wake-ups: %s", reason_of(error))
    return url, await migrate(url)


async def _serve_store(app: App, embedded: "EmbeddedPostgres | None") -> None:
    """Migrate, open the pool, and pass wake-ups on until cancelled. An embedded server that dies meanwhile is started again."""
    from db.pool import open_pool

    url = _url(app.config) if embedded is None else embedded.url
    direct_url, applied = await _migrated(app.config, url)
    if applied:
        log.info("migrations applied: %s", ", ".join(applied))
    pool = await open_pool(url, min_size=1, max_size=POOL_MAX)
    try:
        app.database.ready(pool)
        while True:
            try:
                await _pass_wakeups_on(app, direct_url)
            except StoreUnavailable as error:
                log.warning("wake-ups interrupted: %s", error)
                if embedded is not None:
                    await embedded.ensure()
            app.feed.poll_every = POLL_WITHOUT_WAKEUPS
            await anyio.sleep(RETRY_STORE_EVERY)
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_STORE_WITHIN):
            await pool.close()


def _wake_outbox(app: App, payload: str) -> None:
    """Anybody may send such a wake-up: one that names no instance is for none."""
    try:
        owned = app.supervisor.get(UUID(payload))
    except ValueError:
        return
    if owned is not None:
        owned.wake_outbox()


async def _pass_wakeups_on(app: App, url: str) -> None:
    from db.listen import wakeups

    async for channel, payload in wakeups(url):
        match channel:
            case "":
                app.feed.poll_every = POLL_WITH_WAKEUPS
                app.feed.grew()
            case "mcp_messenger_events":
                app.feed.grew(int(payload) if payload.isascii() and payload.isdecimal() else None)
            case "mcp_messenger_calls":
                app.calls.wake(payload)
            case "mcp_messenger_outbox":
                _wake_outbox(app, payload)
            case _:
                app.supervisor.told()
    await anyio.sleep_forever()
