"""What it costs PostgreSQL that instances have owners: leases are renewed, and counted, every 2.5 seconds whether anything happens or not."""

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from uuid import uuid4

from psycopg import AsyncConnection

from db import leases
from db.database import Database
from db.pool import open_pool
from tests.benchmarks.figures import Figure
from tests.benchmarks.store import Store, fresh_store

OWNERS = 20
EACH = 500
"""Instances of one server."""
ROUNDS = 10
MADE = """
    INSERT INTO message_instances (id, provider, desired, runtime)
    SELECT gen_random_uuid(), 'sandbox', 'running', 'process' FROM generate_series(1, %(count)s)"""


async def measure() -> list[Figure]:
    async with fresh_store() as store:
        async with await AsyncConnection.connect(store.url, autocommit=True) as connection:
            await connection.execute(MADE, {"count": OWNERS * EACH})
            await connection.execute("ANALYZE")
        database = Database()
        pool = await open_pool(store.url, min_size=1, max_size=2)
        try:
            database.ready(pool, pool)
            held = {owner: await leases.acquire(database, owner, ["process"], limit=EACH) for owner in [uuid4() for _ in range(OWNERS)]}
            assert [len(own) for own in held.values()] == [EACH] * OWNERS
            renewal, seconds = await _cost(store, [partial(leases.renew, database, own) for own in held.values()])
            count, _ = await _cost(store, [partial(leases.capacity, database, owner, "process") for owner in held])
        finally:
            await pool.close()
    return [
        Figure(f"leases: PostgreSQL's processor for renewing those of {EACH} instances once", renewal, "ms"),
        Figure("leases: the same, from call to answer", seconds, "ms"),
        Figure(f"leases: PostgreSQL's processor for one server's look at its share of {OWNERS * EACH:,} instances", count, "ms"),
    ]


async def _cost(store: Store, calls: Sequence[Callable[[], Awaitable[object]]]) -> tuple[float, float]:
    """Milliseconds of PostgreSQL's processor for one call, and the median from call to answer."""
    taken = list[float]()
    before = store.cpu_seconds()
    for _ in range(ROUNDS):
        for call in calls:
            began = time.perf_counter()
            await call()
            taken.append(time.perf_counter() - began)
    return 1000 * (store.cpu_seconds() - before) / len(taken), 1000 * statistics.median(taken)
