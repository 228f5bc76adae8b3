"""Makes one instance's container what is wanted: existing, of the newest specification, running."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

import anyio

from mcp_messenger.config.containers import ContainerConfig
from mcp_messenger.errors import Conflict, EngineAway, EngineRefused
from mcp_messenger.instances.runtimes import containers
from mcp_messenger.instances.runtimes.containers import Found
from mcp_messenger.instances.runtimes.engine import Engine
from mcp_messenger.instances.runtimes.images import Images, Preparing
from mcp_messenger.instances.runtimes.spec import PORT, RESTARTS, Spec
from providers.errors import Unreachable
from providers.events import StateChanged
from providers.models import InstanceState

log = logging.getLogger(__name__)

PASS_EVERY = 30.0
PASS_AGAIN = 2.0
"""Seconds, while something changes."""
TRY_AGAIN = 5.0
"""Seconds, after a refusal."""
STEADY = 60.0
"""Seconds that a container must have run for its end to be no crash loop."""
STARTS = 5
"""In STARTS_WITHIN seconds, after it had ended by itself: then it is left alone."""
STARTS_WITHIN = 300.0
ANSWER_WITHIN = 20.0
"""Seconds, until something is said of it."""
ANSWER_PAUSE = 0.03
KILLED = 137
"""The exit code of SIGKILL."""
GOING = frozenset({"removing", "dead"})
"""The engine's words for a container that is being removed."""


class CrashLoop(EngineRefused):
    """The container ends again and again."""


class Restarting(Preparing):
    """The engine is about to start it again."""


@dataclass(frozen=True)
class Site:
    """What all containers of one installation have in common."""

    engine: Engine
    config: ContainerConfig
    images: Images
    installation: UUID


class ContainerReconciler:
    """Makes reconcile passes. `trouble` is the state to show instead of the provider's own; `on_trouble` is awaited whenever it changes."""

    def __init__(
        self,
        site: Site,
        instance_id: UUID,
        stage: str,
        spec_of: Callable[[str], Spec],
        on_trouble: Callable[[StateChanged | None], Awaitable[None]],
        *,
        had_login: bool,
    ) -> None:
        """`stage` is of the Dockerfile. With `had_login` a missing volume means that a login was lost."""
        self._site = site
        self._instance_id = instance_id
        self._stage = stage
        self._spec_of = spec_of
        self._on_trouble = on_trouble
        self._had_login = had_login
        self.trouble: StateChanged | None = StateChanged(state=InstanceState.PROCESSING)
        self._scope = anyio.CancelScope()
        self._changed = anyio.Event()
        self._url: str | None = None
        self._container: str | None = None
        self._news: list[str] = []
        self._is_told = False
        self._is_oom = False
        self._is_end_known = False
        self._starts: deque[float] = deque(maxlen=STARTS)

    def wake(self) -> None:
        self._changed.set()

    def happened(self, action: str, container: str, attributes: Mapping[str, str]) -> None:
        """Take an event of the engine's. An event of a container that was replaced is no news."""
        if container == self._container and action in {"oom", "start"}:
            self._is_oom = action == "oom"
        if container == self._container and action == "die":
            # Its port may be another program's from now on.
            self._down()
            self._news.append(self._cause(int(attributes.get("exitCode", "0") or 0), is_oom=self._is_oom))
            self._is_oom = False
            self._is_end_known = True
        self.wake()

    async def address(self) -> str:
        """Return the relay's address. Raises Unreachable(maybe_sent=False) while the container is not up."""
        if self._url is None:
            raise Unreachable("The instance's container is not up.", maybe_sent=False, hint="get_instance says what is the matter with it.")
        return self._url

    def close(self) -> None:
        """End `run`, after the engine's present call: a container must not be started after it was stopped."""
        self._scope.cancel()

    async def run(self) -> None:
        """Until closed."""
        with self._scope:
            await self._passes()

    async def _passes(self) -> None:
        while True:
            self._changed = anyio.Event()
            try:
                pause = await self._pass()
            except Exception:
                # Such as a store that is away, to which the state is written: the next pass may succeed.
                log.exception("reconcile pass failed", extra=self._extra)
                pause = PASS_AGAIN
            with anyio.move_on_after(pause):
                await self._changed.wait()

    async def _pass(self) -> float:
        """Make one pass and report the container's trouble; return the seconds until the next pass."""
        if not self._is_told:
            await self._show(self.trouble)
        try:
            await self._say_news()
            await self._reconcile()
        except Preparing as error:
            await self._tell(InstanceState.PROCESSING, error.detail)
            return PASS_AGAIN
        except EngineAway as error:
            # A running container goes on without the engine.
            if self._url is None or self.trouble is not None:
                await self._tell(InstanceState.PROCESSING, error.detail)
            return TRY_AGAIN
        except CrashLoop as error:
            await self._tell(InstanceState.ERROR, error.detail)
            return PASS_EVERY
        except (EngineRefused, Conflict) as error:
            await self._tell(InstanceState.ERROR, f"{error.detail} {error.hint or ''}".strip())
            return TRY_AGAIN
        if self.trouble is not None:
            await self._show(None)
        return PASS_EVERY

    async def _say_news(self) -> None:
        news, self._news = self._news, []
        for line in news:
            self._down()
            await self._tell(InstanceState.DEGRADED, line)

    async def _tell(self, state: InstanceState, reason: str) -> None:
        trouble = StateChanged(state=state, reason=reason)
        if trouble != self.trouble:
            await self._show(trouble)

    async def _show(self, trouble: StateChanged | None) -> None:
        self.trouble, self._is_told = trouble, False
        await self._on_trouble(trouble)
        self._is_told = True

    async def _reconcile(self) -> None:
        site = self._site
        spec = self._spec_of(await site.images.id(self._stage))
        found = await self._find()
        if found is not None and found.listed.spec != spec.digest:
            log.info("container of an outdated specification is replaced", extra=self._extra)
            await self._remove(spec)
            found = None
        if found is None or not found.is_running:
            self._down()
            found = await self._set_going(found, spec)
        self._container, self._is_end_known = found.listed.id, False
        url = self._url_of(found)
        if url != self._url:
            self._down()
            await self._rise(url)

    async def _find(self) -> Found | None:
        return await containers.find(self._site.engine, self._site.installation, self._instance_id)

    async def _set_going(self, found: Found | None, spec: Spec) -> Found:
        """Create or start the container. Raises Restarting while there is nothing to do but wait, and CrashLoop."""
        if found is None:
            await self._create(spec)
        elif found.listed.state in GOING:
            raise Restarting("The container is being removed; another follows.")
        elif found.is_restarting:
            raise Restarting(f"{self._cause(found.exit_code, is_oom=found.is_oom)} It is being started again.")
        else:
            await self._revive(found, spec)
        now = await self._find()
        if now is None or not now.is_running:
            raise Restarting("The container ended as soon as it was started.")
        return now

    async def _create(self, spec: Spec) -> None:
        site = self._site
        if await containers.ensure_volume(site.engine, site.installation, self._instance_id) and self._had_login:
            await self._tell(InstanceState.DEGRADED, "The volume with the login was gone. A new one was made: the account has to be logged in again.")
        self._had_login = True
        await containers.create(site.engine, spec)
        try:
            await containers.start(site.engine, spec.name)
        except EngineRefused:
            await containers.remove(site.engine, spec.name)
            raise

    async def _revive(self, found: Found, spec: Spec) -> None:
        """Start a container that has ended. A new reconciler, as after restart_instance, counts its starts from zero."""
        site = self._site
        if self._starts and found.restarts >= RESTARTS and found.ran_for < STEADY:
            raise CrashLoop(await self._last_words(found))
        if len(self._starts) == STARTS and self._starts[0] > time.monotonic() - STARTS_WITHIN:
            raise CrashLoop(await self._last_words(found))
        self._starts.append(time.monotonic())
        if found.listed.id == self._container and not self._is_end_known:
            # The engine was away when it happened.
            await self._tell(InstanceState.DEGRADED, self._cause(found.exit_code, is_oom=found.is_oom))
        try:
            await containers.start(site.engine, spec.name)
        except EngineRefused as error:
            if "marked for removal" in error.detail:
                raise Restarting("The container is being removed; another follows.") from error
            raise

    async def _remove(self, spec: Spec) -> None:
        self._down()
        self._container = None
        await containers.remove(self._site.engine, spec.name)

    async def _last_words(self, found: Found) -> str:
        lines = await containers.log_lines(self._site.engine, found.listed.name, 1)
        last = f' Its last words: "{lines[-1][:300]}".' if lines else ""
        return (
            f"The container ends again and again. {self._cause(found.exit_code, is_oom=found.is_oom)}{last} It is left alone until restart_instance."
        )

    def _cause(self, exit_code: int, *, is_oom: bool) -> str:
        if is_oom:
            return f"The container ran out of memory (limit {self._site.config.memory // 2**20} MB)."
        killed = " (killed)" if exit_code == KILLED else ""
        return f"The container ended with exit code {exit_code}{killed}."

    def _url_of(self, found: Found) -> str:
        """Return the relay's address as it is now. The engine chooses a published port at each start, also when it restarts the container."""
        if self._site.config.network is not None:
            return f"http://{found.listed.name}:{PORT}"
        if found.listed.port is None:
            raise Restarting("The container is up, and the engine has not published its port yet.")
        return f"http://127.0.0.1:{found.listed.port}"

    async def _rise(self, url: str) -> None:
        """Wait until the relay answers. Raises Restarting if something happens to the container, or it takes too long."""
        if not self._starts:
            self._starts.append(time.monotonic())
        began, pause = time.monotonic(), ANSWER_PAUSE
        while not await answers(url):
            if self._news or time.monotonic() - began > ANSWER_WITHIN:
                raise Restarting("The container is up, and nothing answers in it yet.")
            await anyio.sleep(pause)
            pause = min(pause * 1.1, 1.0)
        self._url = url

    def _down(self) -> None:
        self._url = None

    @property
    def _extra(self) -> dict[str, str]:
        return {"instance_id": str(self._instance_id)}


async def answers(url: str) -> bool:
    """Return whether an HTTP server is there."""
    address = urlsplit(url)
    try:
        with anyio.fail_after(2):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                writer.write(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return (await reader.readline()).startswith(b"HTTP/")
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
