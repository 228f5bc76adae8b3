"""How often callers may come: several processes on one database, and each alone while the database is away."""

import logging

import anyio
import pytest

from db.database import Database
from db.errors import StoreUnavailable
from mcp_messenger.config.rate_limit import RateLimit
from mcp_messenger.security.rate_limiter import CALLERS_MAX, RateLimiter
from tests.proxy import proxied
from tests.stored import one, opened, rows

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def taken(limiters: list[RateLimiter], calls: int, key: bytes = b"ann") -> int:
    """How many of so many calls at once pass, with each limiter."""
    passed: list[bool] = []

    async def call(limiter: RateLimiter) -> None:
        allowance = await limiter.take(key)
        assert allowance is not None
        passed.append(allowance.retry_after is None)

    async with anyio.create_task_group() as tasks:
        for limiter in limiters:
            for _ in range(calls):
                tasks.start_soon(call, limiter)
    return sum(passed)


async def test_of_fifty_at_once_exactly_the_quota_passes(database_url: str) -> None:
    async with opened(database_url) as database:
        assert await taken([RateLimiter(database, RateLimit(10, 60))], 50) == 10


@pytest.mark.parametrize("quota", [10, 600])
async def test_two_processes_share_the_allowance(database_url: str, quota: int) -> None:
    async with opened(database_url) as one, opened(database_url) as other:
        limiters = [RateLimiter(one, RateLimit(quota, 3600)), RateLimiter(other, RateLimit(quota, 3600))]
        assert await taken(limiters, quota) == quota
        assert await taken(limiters, 5) == 0


async def test_a_caller_far_below_the_limit_seldom_asks_the_database(database_url: str) -> None:
    async with opened(database_url) as database:
        limiter = RateLimiter(database, RateLimit(600, 60))
        for left in (599, 598, 597):
            allowance = await limiter.take(b"ann")
            assert allowance is not None
            assert allowance.remaining == left
        granted = rows(database_url, "SELECT granted FROM rate_limits")
        rows(database_url, "DROP TABLE rate_limits")
        assert await taken([limiter], granted[0][0] - 3) == granted[0][0] - 3 == 27


async def test_who_was_refused_does_not_load_the_database(database_url: str) -> None:
    async with opened(database_url) as database:
        limiter = RateLimiter(database, RateLimit(2, 3600))
        assert await taken([limiter], 5) == 2
        before = one(database_url, "SELECT xmin::text FROM rate_limits")
        assert await taken([limiter], 100) == 0
        assert one(database_url, "SELECT xmin::text FROM rate_limits") == before


async def test_the_refusal_says_when_to_come_back(database_url: str) -> None:
    async with opened(database_url) as database:
        clock = Clock()
        limiter = RateLimiter(database, RateLimit(2, 60), clock)
        assert await taken([limiter], 2) == 2
        refused = await limiter.take(b"ann")
        assert refused is not None
        assert (refused.remaining, refused.retry_after is not None and 25 < refused.retry_after <= 30) == (0, True)
        rows(database_url, "UPDATE rate_limits SET spent_until = spent_until - interval '30 seconds'")
        clock.now += 30
        assert await taken([limiter], 2) == 1


async def test_what_a_process_holds_lapses(database_url: str) -> None:
    """Or a caller who pauses would have the quota and what is held besides."""
    async with opened(database_url) as database:
        clock = Clock()
        limiter = RateLimiter(database, RateLimit(100, 60), clock)
        assert await taken([limiter], 1) == 1
        rows(database_url, "UPDATE rate_limits SET spent_until = now() + interval '1 hour'")
        assert await taken([limiter], 1) == 1
        clock.now += 60
        assert await taken([limiter], 1) == 0


async def test_without_the_database_each_process_counts_alone_and_nobody_is_locked_out(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with proxied(database_url) as proxy, opened(proxy.url) as database:
        clock = Clock()
        limiter = RateLimiter(database, RateLimit(10, 60), clock)
        assert await taken([limiter], 4) == 4
        proxy.hang()
        with caplog.at_level(logging.WARNING), anyio.fail_after(15):
            assert await taken([limiter], 50) == 6
        assert caplog.text.count("counted by this process alone") == 1
        clock.now += 6
        assert await taken([limiter], 5) == 1
        proxy.flow()
        clock.now += 60
        assert await taken([limiter], 5) == 5
        assert one(database_url, "SELECT count(*) FROM rate_limits WHERE spent_until > now()") == 1


async def test_a_store_that_never_started_locks_nobody_out() -> None:
    with anyio.fail_after(15):
        assert await taken([RateLimiter(Database(), RateLimit(10, 60))], 50) == 10


async def test_made_up_callers_do_not_fill_the_memory() -> None:
    database = Database()
    database.failed(StoreUnavailable("not there"))
    limiter = RateLimiter(database, RateLimit(10, 60))
    for number in range(CALLERS_MAX + 10):
        await limiter.take(str(number).encode())
    assert len(limiter._buckets) == CALLERS_MAX


async def test_without_a_limit_nothing_is_counted(database_url: str) -> None:
    async with opened(database_url) as database:
        assert await RateLimiter(database, None).take(b"ann") is None
        assert rows(database_url, "SELECT FROM rate_limits") == []
