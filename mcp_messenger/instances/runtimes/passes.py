"""The loop that makes what an instance runs in what is wanted, and reports its trouble; common to containers and services."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit
from uuid import UUID

import anyio

from mcp_messenger.errors import Conflict, EngineAway, EngineRefused
from mcp_messenger.instances.runtimes.images import Preparing
from providers.errors import Unreachable
from providers.events import StateChanged
from providers.states import InstanceState

log = logging.getLogger(__name__)

PASS_EVERY = 30.0
PASS_AGAIN = 2.0
"""Seconds, while something changes."""
TRY_AGAIN = 5.0
"""Seconds, after a refusal."""
STARTS = 5
"""In STARTS_WITHIN seconds, after it had ended by itself: then it is left alone."""
STARTS_WITHIN = 300.0
ANSWER_WITHIN = 20.0
"""Seconds, until something is said of it."""
ANSWER_PAUSE = 0.03


class CrashLoop(EngineRefused):
    """The container ends again and again."""


class Restarting(Preparing):
    """The engine is about to start it again."""


class Reconciler(ABC):
    """Makes reconcile passes. `trouble` is the state to show instead of the provider's own; `on_trouble` is awaited whenever it changes."""

    def __init__(self, instance_id: UUID, on_trouble: Callable[[StateChanged | None], Awaitable[None]]) -> None:
        self._instance_id = instance_id
        self._on_trouble = on_trouble
        self.trouble: StateChanged | None = StateChanged(state=InstanceState.PROCESSING)
        self._scope = anyio.CancelScope()
        self._changed = anyio.Event()
        self._url: str | None = None
        self._news: list[str] = []
        self._is_told = False
        self._starts: deque[float] = deque(maxlen=STARTS)

    @abstractmethod
    async def _reconcile(self) -> None:
        """Make one step. Raises Restarting while there is nothing to do but wait, and CrashLoop."""

    def wake(self) -> None:
        self._changed.set()

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
            except Exception:  # a store that is away, to which the state is written, must not end the passes: the next may succeed
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
