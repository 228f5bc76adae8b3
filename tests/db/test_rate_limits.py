"""What callers may still do, counted by the database."""

from datetime import timedelta

import anyio
import pytest

from db import rate_limits
from db.database import Database
from db.errors import StoreUnavailable
from tests.stored import opened

pytestmark = pytest.mark.anyio

SIX_SECONDS = timedelta(seconds=6)


async def granted(database: Database, key: bytes, wanted: int = 1, *, quota: int = 10) -> int:
    return (await rate_limits.take(database, key, wanted, quota=quota, each=SIX_SECONDS)).granted


async def pass_by(database: Database, seconds: float) -> None:
    """As if so much time had passed."""
    await database.execute("UPDATE rate_limits SET spent_until = spent_until - make_interval(secs => %(seconds)s)", {"seconds": seconds})


async def test_of_fifty_at_once_exactly_the_quota_passes(database_url: str) -> None:
    async with opened(database_url, connections=10) as database:
        answers: list[int] = []

        async def one() -> None:
            answers.append(await granted(database, b"ann"))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(one)
        assert sorted(answers) == [0] * 40 + [1] * 10


async def test_calls_come_back_one_by_one(database: Database) -> None:
    assert await granted(database, b"ann", 10) == 10
    taken = await rate_limits.take(database, b"ann", 1, quota=10, each=SIX_SECONDS)
    assert taken.granted == 0
    assert 50 < taken.ahead <= 60
    await pass_by(database, 6)
    assert [await granted(database, b"ann") for _ in range(2)] == [1, 0]
    await pass_by(database, 3600)
    assert [await granted(database, b"ann", 7) for _ in range(2)] == [7, 3]


async def test_each_caller_has_a_quota_of_its_own(database: Database) -> None:
    assert await granted(database, b"ann", 99) == 10
    assert await granted(database, b"bob", 4) == 4


async def test_a_quota_that_was_made_smaller_waits_and_never_goes_back(database: Database) -> None:
    assert await granted(database, b"ann", 10) == 10
    assert await granted(database, b"ann", 1, quota=2) == 0
    await pass_by(database, 54)
    assert await granted(database, b"ann", 5, quota=2) == 1


async def test_only_who_has_everything_again_is_forgotten(database: Database) -> None:
    await granted(database, b"ann")
    await pass_by(database, 7)
    await granted(database, b"bob")
    assert await rate_limits.forget_idle(database) == 1
    assert await database.rows("SELECT key FROM rate_limits") == [(b"bob",)]


async def test_a_table_that_is_not_there_is_an_unavailable_store(database: Database) -> None:
    await database.execute("DROP TABLE rate_limits")
    with pytest.raises(StoreUnavailable):
        await granted(database, b"ann")
