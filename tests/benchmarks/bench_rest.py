"""REST: listing ten instances, against a FastAPI program that says hello."""

import statistics
from typing import Any

from tests.benchmarks.figures import Figure, at_least, interleaved
from tests.benchmarks.load import Load, Request, load
from tests.benchmarks.servers import product, served
from tests.benchmarks.store import fresh_store
from tests.postgres import execute

ROUNDS = 5
SECONDS = 4
INSTANCES = """
    INSERT INTO message_instances (user_id, provider, settings) SELECT 'local', 'sandbox', '{"persona": "echo"}' FROM generate_series(1, 10)"""


def median(loads: list[Load], of: str) -> float:
    return statistics.median(getattr(one, of) for one in loads)


async def measure() -> list[Figure]:
    async with fresh_store() as store:
        execute(store.url, INSTANCES)
        with product(store.url) as ours, served(["tests.benchmarks.bare_fastapi"]) as bare:
            requests = {"product": Request(f"{ours.url}/api/v1/instances"), "bare": Request(f"{bare.url}/")}
            forms: dict[str, Any] = {
                f"{name} {connections}": lambda request=request, connections=connections: load(request, connections=connections, seconds=SECONDS)
                for name, request in requests.items()
                for connections in (1, 32)
            }
            for request in requests.values():
                await load(request, connections=8, seconds=1)
            found = await interleaved(ROUNDS, forms)
    return [
        Figure(
            "REST: list of 10 instances, 32 connections", median(found["product 32"], "rate"), "/s", median(found["bare 32"], "rate"), at_least(0.6)
        ),
        Figure("REST: the same, median", median(found["product 32"], "p50"), "ms", median(found["bare 32"], "p50")),
        Figure("REST: the same, 1 connection", median(found["product 1"], "rate"), "/s", median(found["bare 1"], "rate")),
    ]
