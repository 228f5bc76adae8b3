"""Keeps background work going. An error ends one pass: it is logged once for each kind, counted, and the work is tried again.

A store that fails is logged once for all who work with it: each of them meets the same failure.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import anyio

from db.errors import StoreUnavailable
from providers.errors import MessengerError

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two tries; the pause doubles. Short, since a store that works again must find everybody at work."""
STORE = "store"
LOG_AGAIN = 60.0
"""Seconds in which a kind of error is only counted after it was logged."""


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Failing:
    """Work that fails at present. `detail` is for callers: it holds no words of the driver's."""

    name: str
    detail: str
    is_store: bool
    vital: bool
    since: float
    """Of the monotonic clock."""


@dataclass
class _Kind:
    logged_at: float
    unlogged: int = 0


class Workers:
    """All background work of the process, for its log, its metrics and its health."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.failures: Counter[tuple[str, str]] = Counter()
        """By the worker's name and the kind of error."""
        self._clock = clock
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._failing: dict[Worker, Failing] = {}
        self._store_failed_at: float | None = None

    def worker(self, name: str, *, vital: bool = True, **about: object) -> "Worker":
        """Return one that logs under this name; `about` are fields of its log lines, such as `instance_id`.

        Without what is `vital` this process cannot do its work.
        """
        return Worker(self, name, about, vital=vital)

    def failing(self, *, seconds: float = 0.0) -> list[Failing]:
        """Return what fails at every try since so many seconds, the longest first."""
        horizon = self._clock() - seconds
        return sorted((one for one in self._failing.values() if one.since <= horizon), key=lambda one: one.since)

    def note(self, worker: "Worker", error: Exception, about: dict[str, object]) -> None:
        """Count an error, and log it unless its kind was logged a short while ago."""
        name = worker.name
        kind = kind_of(error)
        self.failures[name, kind] += 1
        is_store = isinstance(error, StoreUnavailable)
        logged_as = (STORE if is_store else name, kind)
        now = self._clock()
        known = self._kinds.get(logged_as)
        if known is not None and now - known.logged_at < LOG_AGAIN:
            known.unlogged += 1
            return
        extra = {**({} if is_store else about), "worker": name, "repeated": known.unlogged if known else 0}
        self._kinds[logged_as] = _Kind(now)
        if isinstance(error, MessengerError):
            cause = str(error.__cause__ or "").strip()
            words = error.detail if cause in {"", error.detail} else f"{error.detail} ({cause})"
            log.warning("%s: %s", logged_as[0], words, extra=extra)
        else:
            log.error("%s broke down", name, exc_info=error, extra=extra)

    def fails(self, worker: "Worker", error: Exception) -> None:
        since = self._failing[worker].since if worker in self._failing else self._clock()
        detail = error.detail if isinstance(error, MessengerError) else "Something broke; the server's log says what."
        self._failing[worker] = Failing(worker.name, detail, isinstance(error, StoreUnavailable), worker.vital, since)

    def works(self, worker: "Worker") -> None:
        before = self._failing.pop(worker, None)
        if before is None:
            return
        if not before.is_store:
            log.info("%s works again after %.1f s", worker.name, self._clock() - before.since, extra=worker.about)
            return
        self._store_failed_at = min(before.since, self._store_failed_at or before.since)
        if not any(one.is_store for one in self._failing.values()):
            log.info("store works again after %.1f s", self._clock() - self._store_failed_at)
            self._store_failed_at = None

    def ended(self, worker: "Worker") -> None:
        self._failing.pop(worker, None)


class Worker:
    """One piece of background work. Cancellation passes through all of its methods."""

    def __init__(self, workers: Workers, name: str, about: dict[str, object], *, vital: bool) -> None:
        self._workers = workers
        self.vital = vital
        self.name = name
        self.about = about

    async def keep(
        self,
        work: Callable[[], Awaitable[object]],
        wait: Callable[[], Awaitable[object]] | None = None,
        *,
        going: Callable[[], bool] = _always,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Do `work` and `wait` again and again while `going`. An error is given to `failed`, and the next try comes a little later each time."""
        failures = 0
        try:
            while going():
                with self.contained() as contained:
                    await work()
                    self.works()
                    if wait is not None:
                        await wait()
                if contained.error is None:
                    failures = 0
                    continue
                failures += 1
                self._workers.fails(self, contained.error)
                if failed is not None:
                    failed(contained.error)
                await anyio.sleep(_pause(failures))
        finally:
            self._workers.ended(self)

    async def until_done(self, work: Callable[[], Awaitable[object]], *, failed: Callable[[Exception], None] | None = None) -> None:
        """Do `work` until it succeeds once. Each error is given to `failed`, and the next try waits a little longer."""
        failures = 0
        try:
            while True:
                with self.contained() as contained:
                    await work()
                if contained.error is None:
                    return
                failures += 1
                self._workers.fails(self, contained.error)
                if failed is not None:
                    failed(contained.error)
                await anyio.sleep(_pause(failures))
        finally:
            self._workers.ended(self)

    def works(self) -> None:
        """Say that the work goes well. For work that does not return for long; `keep` says it for the other."""
        self._workers.works(self)

    def contained(self, **about: object) -> "Contained":
        """Let an error end what is inside and nothing else; it is logged with `about`."""
        return Contained(self, {**self.about, **about})

    def note(self, error: Exception, about: dict[str, object]) -> None:
        self._workers.note(self, error, about)


class Contained:
    """A piece of background work, and the error that ended it; None where it was done."""

    def __init__(self, worker: Worker, about: dict[str, object]) -> None:
        self._worker = worker
        self._about = about
        self.error: Exception | None = None

    def __enter__(self) -> "Contained":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self.error = _single(error)
        self._worker.note(self.error, self._about)
        return True


def kind_of(error: Exception) -> str:
    """Return a short name under which errors are counted together."""
    if isinstance(error, StoreUnavailable):
        return f"store_{error.reason}"
    return error.code if isinstance(error, MessengerError) else type(error).__name__


def _single(error: Exception) -> Exception:
    """Return the error inside a task group's group of one, or of several of one kind: a store that is away fails all tasks at once."""
    inside = [_single(one) for one in cast("tuple[Exception, ...]", getattr(error, "exceptions", ()))]
    alike = len(inside) == 1 or (len({kind_of(one) for one in inside}) == 1 and isinstance(inside[0], MessengerError))
    return inside[0] if alike else error


def _pause(failures: int) -> float:
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10))
    return pause * random.uniform(0.8, 1.2)  # noqa: S311 - nobody gains by guessing it
