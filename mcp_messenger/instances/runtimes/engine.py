"""The Docker engine, off the event loop: its SDK blocks, and some of its calls take seconds."""

import asyncio
import importlib
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from mcp_messenger.errors import EngineAway, EngineRefused, NoSuchThing
from providers.text import clean_line

T = TypeVar("T")

CALLS_AT_ONCE = 8
CALL_TIMEOUT = 20.0
"""Seconds; creating a container on a busy machine takes three."""
WAITING_ITEMS = 1000
"""Of a stream that nobody takes from; the oldest of the rest wait in the engine."""


class Engine:
    """One client for the whole process. Everything it hands out is the engine's own JSON.

    Every method raises EngineAway when the engine cannot be reached, and EngineRefused with its words when it says no.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._client: Any = None
        self._opening = threading.Lock()
        self._limiter = anyio.CapacityLimiter(CALLS_AT_ONCE)
        self.making = anyio.Lock()
        """Held while something is made that several instances need."""

    async def call(self, work: Callable[[Any], T]) -> T:
        """`work` gets the SDK's low-level client, in a thread. It is not cut short by a cancellation: what it made would be forgotten."""

        return await anyio.to_thread.run_sync(self.call_here, work, limiter=self._limiter)

    def call_here(self, work: Callable[[Any], T]) -> T:
        """As `call`, in a thread of the caller's, which it blocks."""
        with _translated():
            return work(self._api())

    def stream_here(self, begin: Callable[[Any], Iterable[T]]) -> Generator[T]:
        """As `stream`, in a thread of the caller's."""
        with _translated():
            yield from begin(self._api())

    @asynccontextmanager
    async def stream(self, begin: Callable[[Any], Iterable[T]]) -> AsyncGenerator[MemoryObjectReceiveStream[T]]:
        """Items of a call that goes on, read in a separate thread; they end when the engine ends them, or goes away."""
        send, receive = anyio.create_memory_object_stream[T](WAITING_ITEMS)
        source = await anyio.to_thread.run_sync(lambda: self._begun(begin), limiter=self._limiter)
        # A task of asyncio's: a task group would wrap the errors of the one who reads.
        pump = asyncio.create_task(_pump(source, send))
        try:
            yield receive
        finally:
            receive.close()
            with anyio.CancelScope(shield=True):
                # The thread waits for the engine's next word.
                await anyio.to_thread.run_sync(_close, source)
                pump.cancel()
                await asyncio.wait([pump])

    def _begun(self, begin: Callable[[Any], Iterable[T]]) -> Iterable[T]:
        with _translated():
            return begin(self._api())

    def _api(self) -> Any:
        with self._opening:
            if self._client is None:
                # Imported here: it costs a third of a second.
                docker = importlib.import_module("docker")
                options = {"version": "auto", "timeout": CALL_TIMEOUT}
                client = docker.DockerClient(self._address, **options) if self._is_bare else docker.DockerClient.from_env(**options)
                self._client = client.api
            return self._client

    @property
    def _is_bare(self) -> bool:
        """TLS is set up by the environment, together with the address."""
        return self._address is not None and self._address.startswith("unix:")

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


async def _pump(source: Iterable[T], send: MemoryObjectSendStream[T]) -> None:
    def run() -> None:
        with suppress(EngineAway, EngineRefused, anyio.BrokenResourceError, anyio.ClosedResourceError), _translated():
            for item in source:
                anyio.from_thread.run(send.send, item)

    async with send:
        # Beside the limiter of the calls: a stream stays for hours.
        await anyio.to_thread.run_sync(run, limiter=anyio.CapacityLimiter(1), abandon_on_cancel=True)


def _close(source: Any) -> None:
    # A generator that another thread is in cannot be closed; it ends with its connection.
    with suppress(OSError, ValueError, AttributeError):
        source.close()


@contextmanager
def _translated() -> Generator[None]:
    """The SDK's errors as ours; none of them holds a secret, since none is ever sent to the engine."""
    try:
        yield
    except Exception as error:  # the SDK is imported late, so its errors are told apart in _ours; the others are raised as they are
        if (ours := _ours(error)) is None:
            raise
        raise ours from error


def _ours(error: Exception) -> EngineAway | EngineRefused | None:
    errors = importlib.import_module("docker.errors")
    requests: Any = importlib.import_module("requests")
    if isinstance(error, errors.NotFound):
        return NoSuchThing(_words(error))
    if isinstance(error, errors.APIError):
        return EngineRefused(_words(error))
    if isinstance(error, (errors.DockerException, requests.RequestException, OSError)):
        return EngineAway(f"Docker does not answer: {clean_line(str(error))[:200]}")
    return None


def _words(error: Any) -> str:
    return f"Docker says: {clean_line(str(error.explanation or error))[:500]}"
