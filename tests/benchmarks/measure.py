"""One benchmark, found by its name."""

import importlib

import anyio

from tests.benchmarks.figures import Figure

BENCHMARKS = ("stdio", "embedded", "inbound", "send", "reading", "tokens", "rest", "mcp_http", "telegram_bots")


def measure(name: str) -> list[Figure]:
    return anyio.run(importlib.import_module(f"tests.benchmarks.bench_{name}").measure)
