"""How often each caller may call, counted over all processes; most calls are counted here alone.

The store gives a process a twentieth of the quota at a time, so a caller takes at most that much more from each process in one go, and a
quota below forty is counted exactly. Without the store each process counts for itself: nobody is locked out, nobody is let loose.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from db import rate_limits
from db.database import Database
from db.errors import StoreUnavailable
from mcp_messenger.config.rate_limit import RateLimit

log = logging.getLogger(__name__)

BATCHES = 20
CALLERS_MAX = 10_000
STORE_WITHIN = 0.5
STORE_PAUSE = 5.0
"""Seconds in which a store that did not answer is not asked again: not every call is to wait for it."""

CLEAN_EVERY = 600.0


@dataclass(frozen=True)
class Allowance:
    """What is left after a call; `reset` in seconds until all of it is back, `retry_after` until the next call of one that was refused."""

    rate: RateLimit
    remaining: int
    reset: float
    retry_after: float | None = None


@dataclass
class _Bucket:
    """Of one caller, in this process. Times are of the process's clock."""

    owned: int = 0
    held_until: float = 0.0
    spent_until: float = 0.0
    refused_until: float = 0.0
    filling: anyio.Lock = field(default_factory=anyio.Lock)

    def needs_filling(self, now: float) -> bool:
        return (self.owned == 0 or now >= self.held_until) and now >= self.refused_until


class RateLimiter:
    """The calls of every caller of this process, which counts for itself alone where there is no database. `clock` counts seconds."""

    def __init__(self, database: Database | None, rate: RateLimit | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._rate = rate
        self._clock = clock
        self._buckets: OrderedDict[bytes, _Bucket] = OrderedDict()
        self._ask_again_at = 0.0

    async def take(self, key: bytes) -> Allowance | None:
        """Count one call; None where there is no limit."""
        rate = self._rate
        if rate is None:
            return None
        bucket = self._bucket(key)
        if bucket.needs_filling(self._clock()):
            async with bucket.filling:
                if bucket.needs_filling(self._clock()):
                    await self._fill(bucket, key, rate)
        return _spend(bucket, rate, self._clock())

    async def tidy(self) -> None:
        """Forget callers who have not come for long."""
        if self._database is not None:
            await rate_limits.forget_idle(self._database)

    def _bucket(self, key: bytes) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket()
            if len(self._buckets) > CALLERS_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket

    async def _fill(self, bucket: _Bucket, key: bytes, rate: RateLimit) -> None:
        if self._database is not None and self._clock() >= self._ask_again_at:
            try:
                with anyio.fail_after(STORE_WITHIN):
                    wanted = max(1, rate.calls // BATCHES)
                    taken = await rate_limits.take(self._database, key, wanted, quota=rate.calls, each=rate.each)
            except (StoreUnavailable, TimeoutError) as error:
                log.warning("calls are counted by this process alone: %s", error or "the store does not answer in time")
                self._ask_again_at = self._clock() + STORE_PAUSE
            else:
                _keep(bucket, rate, self._clock(), taken.granted, taken.ahead)
                return
        self._fill_locally(bucket, rate)

    def _fill_locally(self, bucket: _Bucket, rate: RateLimit) -> None:
        now, each = self._clock(), rate.each.total_seconds()
        ahead = max(0.0, bucket.spent_until - now)
        granted = int(ahead + each <= _whole(rate) + each / 2)  # half a call for what floating point loses
        _keep(bucket, rate, now, granted, ahead + granted * each)


def _whole(rate: RateLimit) -> float:
    """Seconds in which the whole quota comes back."""
    return rate.calls * rate.each.total_seconds()


def _keep(bucket: _Bucket, rate: RateLimit, now: float, granted: int, ahead: float) -> None:
    bucket.owned = granted
    bucket.held_until = now + rate.seconds
    bucket.spent_until = now + ahead
    bucket.refused_until = 0.0 if granted else now + ahead + rate.each.total_seconds() - _whole(rate)


def _spend(bucket: _Bucket, rate: RateLimit, now: float) -> Allowance:
    ahead = max(0.0, bucket.spent_until - now)
    if bucket.owned == 0:
        return Allowance(rate, 0, ahead, max(rate.each.total_seconds() / 2, bucket.refused_until - now))
    bucket.owned -= 1
    in_store = int(max(0.0, _whole(rate) - ahead) / rate.each.total_seconds() + 0.01)
    return Allowance(rate, min(rate.calls - 1, bucket.owned + in_store), ahead)
