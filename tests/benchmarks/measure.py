"""One benchmark, found by its name."""

import importlib

import anyio

from tests.benchmarks.figures import Figure

BENCHMARKS = (
    "stdio",
    "calls",
    "inbound",
    "reading",
    "tokens",
    "rest",
    "mcp_http",
    "sandbox",
    "send",
    "webhooks",
    "streams",
    "docker",
    "whatsapp",
    "takeover",
    "leases",
    "waiting",
    "backup",
    "retention",
    "idle",
)
"""bench_growth, bench_embedded, bench_swarm, bench_telegram_bots and bench_whatsapp_containers are programs of their own: their conditions are
not those of the others."""


def measure(name: str) -> list[Figure]:
    return anyio.run(importlib.import_module(f"tests.benchmarks.bench_{name}").measure)
