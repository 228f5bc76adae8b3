"""Builds the application and runs it."""

import functools
import logging
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import anyio
import anyio.abc

from db.database import Database
from db.errors import EmbeddedFailed, Reason, StoreUnavailable, reason_of, with_url_hint
from mcp_messenger.agents.agents import Agents
from mcp_messenger.agents.answer import AnswerServices
from mcp_messenger.agents.directory import AgentDirectory
from mcp_messenger.backup.schedule import BackupSchedule
from mcp_messenger.config import Config
from mcp_messenger.delivery.alarm import Alarm
from mcp_messenger.delivery.feed import POLL_WITH_WAKEUPS, POLL_WITHOUT_WAKEUPS, Feed
from mcp_messenger.delivery.inbound import Inbound
from mcp_messenger.delivery.outbox import Outbox
from mcp_messenger.delivery.webhooks import Webhooks
from mcp_messenger.instances.addresses import Addresses
from mcp_messenger.instances.calls import Calls
from mcp_messenger.instances.memory import EVICT_EVERY, Memory
from mcp_messenger.instances.runtimes.docker import DockerRuntime
from mcp_messenger.instances.runtimes.process import ProcessRuntime
from mcp_messenger.instances.runtimes.runtime import Runtime
from mcp_messenger.instances.runtimes.swarm import SwarmRuntime
from mcp_messenger.instances.runtimes.volumes import EngineVolumes
from mcp_messenger.instances.supervisor import Supervisor
from mcp_messenger.media.decoding import Decoder
from mcp_messenger.media.transcribing import Transcriber
from mcp_messenger.net.byte_room import ByteRoom
from mcp_messenger.net.network_policy import NetworkPolicy
from mcp_messenger.observability.clock import CLOCK_EVERY, ClockWatch
from mcp_messenger.observability.logbook import Logbook
from mcp_messenger.observability.metrics import Metrics
from mcp_messenger.observability.workers import Worker, Workers
from mcp_messenger.operations import carrying_out, scheduling
from mcp_messenger.operations.application import App, folder_identity
from mcp_messenger.operations.carrying_out import RESUME_EVERY
from mcp_messenger.operations.hearing import Hearer
from mcp_messenger.operations.keeping import Keeper
from mcp_messenger.operations.owner_chat import OwnerChats
from mcp_messenger.operations.page_address import PageAddress
from mcp_messenger.operations.pairing import Pairing
from mcp_messenger.operations.shared_answers import SharedAnswers
from mcp_messenger.policy.judging import Judge
from mcp_messenger.retention.trimming import Trimming
from mcp_messenger.search.index import SearchIndex
from mcp_messenger.security.held import Held
from mcp_messenger.security.keyring import Keyring
from mcp_messenger.security.quotas import Quotas
from mcp_messenger.security.rate_limiter import CLEAN_EVERY, RateLimiter
from providers.base import ProviderContext

if TYPE_CHECKING:
    from db.embedded import EmbeddedPostgres

log = logging.getLogger(__name__)

POOL_MAX = 10
FORGET_EVERY = 3600.0
RETRY_STORE_EVERY = 3.0
STOP_STORE_WITHIN = 20.0
STORE_LINES_WITHIN = 2.0


def build(config: Config, *, shares: bool = False) -> App:
    """All parts, none of them running yet. `shares`: it is there to stay, and takes its share of the instances."""
    owner = uuid4()
    database = Database()
    vault = Keyring(config.data_dir, config.secret_key)
    tls = functools.cache(_tls)
    feed = Feed(database)
    metrics = Metrics()
    workers = Workers()
    inbound = Inbound(database, feed, metrics, workers)
    outbox = Outbox(database, feed, inbound, metrics, workers, config.timing)
    policy = NetworkPolicy(allowed_networks=config.allowed_networks)
    webhooks = Webhooks(database, vault=vault, policy=policy, tls=tls, metrics=metrics, workers=workers, idle=config.timing.idle)
    memory = Memory(time.monotonic)
    feed.listeners.append(memory)

    def context(instance_id: UUID) -> ProviderContext:
        return ProviderContext(str(instance_id), tls(), config.data_dir / "instances" / str(instance_id), config.public_url)

    docker = DockerRuntime(database, config, vault, workers) if config.containers.enabled else None
    swarm = None if config.containers.swarm is None else SwarmRuntime(database, config.containers, config.containers.swarm, vault, workers)
    runtimes: dict[str, Runtime | None] = {"process": ProcessRuntime(), "docker": docker, "swarm": swarm}
    supervisor = Supervisor(
        database,
        vault=vault,
        feed=feed,
        inbound=inbound,
        outbox=outbox,
        owner=owner,
        context=context,
        runtimes={name: runtime for name, runtime in runtimes.items() if runtime is not None},
        workers=workers,
        shares=shares,
        stop_within=config.timing.stop,
    )
    for engine in (docker, swarm):
        if engine is not None:
            engine.changed = supervisor.wake
    addresses = Addresses(database, owner, config.ports, workers)
    supervisor.looked = addresses.wake
    calls = Calls(database, feed, supervisor, inbound, workers, claim_within=config.timing.claim)
    judge = Judge(database, vault)
    services = AnswerServices(database, outbox, inbound, supervisor, calls, judge)
    agents = Agents(services, directory=AgentDirectory(config), quiet=config.quiet_hours, workers=workers, idle=config.timing.idle)
    feed.listeners.append(calls)
    search_index = SearchIndex(database, workers)
    feed.growth.append(search_index.wake)
    feed.deliveries += [webhooks.wake, agents.wake]
    limiter = RateLimiter(database, config.rate_limit)
    return App(
        config=config,
        database=database,
        feed=feed,
        followed=SharedAnswers(),
        inbound=inbound,
        outbox=outbox,
        alarm=Alarm(),
        webhooks=webhooks,
        agents=agents,
        supervisor=supervisor,
        addresses=addresses,
        backups=BackupSchedule(database, owner, config, None if docker is None else partial(EngineVolumes, docker.engine), workers),
        clock=ClockWatch(),
        trimming=Trimming(database, owner, config.retention, config.data_dir, workers, judge.audit.retire),
        calls=calls,
        memory=memory,
        search_index=search_index,
        limiter=limiter,
        upload_room=ByteRoom(config.upload_memory),
        held=Held(database),
        decoder=Decoder(),
        transcriber=None if config.transcriber is None else Transcriber(config.transcriber, policy, tls),
        quotas=Quotas(database, config.quotas),
        judge=judge,
        pages=PageAddress(config.own_url),
        metrics=metrics,
        workers=workers,
        docker=docker,
        swarm=swarm,
        vault=vault,
        data_folder=folder_identity(config.data_dir),
        tls=tls,
        logbook=Logbook(),
        started=time.monotonic(),
    )


def _tls() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()


@asynccontextmanager
async def running(config: Config, *, shares: bool = False) -> AsyncGenerator[App]:
    """The application at work: at once, while the store comes up behind it. On leaving, instances are given up and the store is closed.

    `shares` is as for `build`.
    """
    async with stored(config, shares=shares) as app:
        logging.getLogger().addHandler(app.logbook)
        try:
            # Providers are stopped by the supervisor while inbound still writes what they deliver.
            beside = [engine.run for engine in (app.docker, app.swarm) if engine is not None]
            follow = partial(app.workers.worker("feed").keep, app.feed.read, app.feed.wait)
            evict = partial(app.workers.worker("memory").keep, app.memory.tidy, partial(anyio.sleep, EVICT_EVERY))
            ended = partial(app.workers.worker("ended keys", vital=False).keep, app.held.look, lambda: anyio.sleep(app.feed.poll_every))
            lines = partial(app.workers.worker("logs", vital=False).keep, partial(app.logbook.write, app.database), app.logbook.wait)
            forget = partial(app.workers.worker("rate limiter").keep, app.limiter.tidy, partial(anyio.sleep, CLEAN_EVERY))
            decided = partial(app.workers.worker("approvals").keep, partial(carrying_out.resume, app), partial(anyio.sleep, RESUME_EVERY))
            old = partial(app.workers.worker("old approvals").keep, partial(carrying_out.forget, app), partial(anyio.sleep, FORGET_EVERY))
            due = partial(app.workers.worker("scheduled sends").keep, partial(scheduling.carry_out_due, app), partial(scheduling.wait, app))
            sealing = partial(app.workers.worker("audit log", vital=False).keep, app.judge.audit.seal, app.judge.audit.wait)
            clock = partial(app.workers.worker("clock", vital=False).keep, app.clock.step, partial(anyio.sleep, CLOCK_EVERY))
            owner_chats = OwnerChats(app)
            app.feed.listeners.append(owner_chats)
            owners = partial(app.workers.worker("owner's chats").keep, owner_chats.work, owner_chats.wait)
            hearer = Hearer(app)
            keeper = Keeper(app, hearer.wake)
            app.feed.growth.append(keeper.wake)
            pairing = Pairing(app)
            app.feed.listeners.append(pairing)
            strangers = partial(app.workers.worker("pairing").keep, pairing.work, pairing.wait)
            async with (
                _at_work(
                    app, follow, app.inbound.run, evict, lines, forget, ended, app.trimming.run, app.webhooks.run, app.search_index.run, *beside
                ),
                _at_work(app, app.backups.run, clock),
                _at_work(
                    app, app.supervisor.run, app.calls.run, app.agents.run, decided, old, due, owners, sealing, strangers, keeper.run, hearer.run
                ),
            ):
                yield app
        finally:
            logging.getLogger().removeHandler(app.logbook)
            # How instances ended is wanted most.
            with anyio.CancelScope(shield=True), anyio.move_on_after(STORE_LINES_WITHIN), suppress(StoreUnavailable):
                await app.logbook.write(app.database)


@asynccontextmanager
async def stored(config: Config, *, shares: bool = False) -> AsyncGenerator[App]:
    """The application with nothing but its store, which comes up behind it."""
    config.check()
    config.make_data_dir()
    app = build(config, shares=shares)
    async with anyio.create_task_group() as background:
        store = await background.start(_keep_store, app)
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
    while True:
        try:
            await app.database.started()
            break
        except StoreUnavailable:
            await anyio.sleep(RETRY_STORE_EVERY)
    await worker()


async def _keep_store(app: App, *, task_status: "anyio.abc.TaskStatus[anyio.CancelScope]") -> None:
    with anyio.CancelScope() as scope:
        task_status.started(scope)
        await _run_store(app)


async def _run_store(app: App) -> None:
    store = _Store(app)
    try:
        await app.workers.worker("store").keep(store.serve, failed=store.failed)
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_STORE_WITHIN):
            await store.stop()


class _Store:
    """The connection to PostgreSQL, and the embedded server where it is ours."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._embedded: EmbeddedPostgres | None = None
        self._is_down = False

    async def serve(self) -> None:
        """Start the embedded server where it is ours, migrate, open the pool, and pass wake-ups on until cancelled."""
        from db.own_schema import PUBLIC, schema_of, show_in_public
        from db.pool import open_pool
        from db.secrets import key_ids

        self._app.database.stage = "The store starts."
        url = await self._url()
        direct_url, applied = await _migrated(self._app.config, url, self._app.database)
        if self._app.config.public_views and schema_of(url) != PUBLIC:
            await show_in_public(url)
        if applied:
            log.info("migrations applied: %s", ", ".join(applied))
        pool = await open_pool(url, min_size=1, max_size=POOL_MAX, patience=self._app.config.timing.connection)
        # Opened when there is a lease to renew: who has lost the leases for want of a connection stops everything that runs.
        urgent = await open_pool(url, min_size=0, max_size=1, patience=self._app.config.timing.connection)
        try:
            async with pool.connection() as connection:
                stored, has_digests = await key_ids(connection)
            self._app.vault.check(stored, has_digests=has_digests)
            self._app.database.ready(pool, urgent)
            self._app.workers.worker("store").works()
            listener = self._app.workers.worker("wake-ups", vital=False)
            await listener.keep(partial(self._listen, direct_url, listener), failed=self._no_wakeups)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_STORE_WITHIN):
                await urgent.close()
                await pool.close()

    async def _listen(self, url: str, worker: Worker) -> None:
        if self._is_down and self._embedded is not None:
            # Its address stays the same, so the pool recovers by itself.
            await self._embedded.ensure()
            self._app.database.recovered()
        self._is_down = False
        await _pass_wakeups_on(self._app, url, worker)

    def _no_wakeups(self, error: Exception) -> None:
        self._app.feed.poll_every = POLL_WITHOUT_WAKEUPS
        self._is_down = self._embedded is not None
        if isinstance(error, EmbeddedFailed):
            self._app.database.failed(error)

    def failed(self, error: Exception) -> None:
        """Give the reason to everybody who asks for the store."""
        if not isinstance(error, StoreUnavailable):
            error = StoreUnavailable("The store could not be opened; the server's log says why.", reason=Reason.BROKEN)
        self._app.database.failed(error if self._app.config.database_url is None else with_url_hint(error))

    async def stop(self) -> None:
        """End the embedded server unless another process uses it."""
        if self._embedded is not None:
            await self._embedded.stop()

    async def _url(self) -> str:
        config = self._app.config
        if config.database_url is not None:
            return config.database_url.get_secret_value()
        if self._embedded is None:
            from db.embedded import start_embedded

            self._embedded = await start_embedded(config.data_dir / "postgres")
        else:
            await self._embedded.ensure()
        return self._embedded.url


async def _migrated(config: Config, url: str, database: Database) -> tuple[str, list[str]]:
    """Bring the schema up to date; return the URL for wake-ups, and the migrations that were applied.

    DIRECT_DATABASE_URL is used where it answers. The pooler's URL does as well for migrations; wake-ups come through the direct one alone,
    which is tried again until it answers.
    """
    from db.connection_settings import connection_string, explained
    from db.errors import MigrationFailed
    from db.migrate import migrate

    def told(version: str, number: int, of: int) -> None:
        database.stage = f"Migration {number} of {of} is applied: {version}."

    direct = config.direct_database_url
    if direct is not None:
        connection_string(direct.get_secret_value(), setting="DIRECT_DATABASE_URL")
        try:
            return direct.get_secret_value(), await migrate(direct.get_secret_value(), told=told)
        except MigrationFailed:
            raise
        except StoreUnavailable as error:
            reason = await explained(error, direct.get_secret_value(), "DIRECT_DATABASE_URL")
            words = "DIRECT_DATABASE_URL does not answer, so DATABASE_URL is used instead, and the log is polled until it does: %s"
            log.warning(words, reason_of(error) if reason is error else f"{reason.detail} {reason.hint}")
            return direct.get_secret_value(), await migrate(url, told=told)
    try:
        return url, await migrate(url, told=told)
    except StoreUnavailable as error:
        raise await explained(error, url, "DATABASE_URL") from error


def _wake_outbox(app: App, payload: str) -> None:
    """Anybody may send such a wake-up: one that names no instance is for none."""
    try:
        owned = app.supervisor.get(UUID(payload))
    except ValueError:
        return
    if owned is not None:
        owned.wake_outbox()


async def _pass_wakeups_on(app: App, url: str, worker: Worker) -> None:
    from db.listen import wakeups

    async for channel, payload in wakeups(url):
        match channel:
            case "":
                worker.works()
                app.feed.poll_every = POLL_WITH_WAKEUPS
                app.feed.reconnected()
            case "mcp_messenger_events":
                app.feed.grew(int(payload) if payload.isascii() and payload.isdecimal() else None)
            case "mcp_messenger_calls":
                app.calls.wake(payload)
            case "mcp_messenger_keys":
                app.held.end(payload)
            case "mcp_messenger_outbox":
                _wake_outbox(app, payload)
            case _:
                app.supervisor.changed_elsewhere()
    worker.works()
    await anyio.sleep_forever()
