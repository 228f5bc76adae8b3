"""What the embedded PostgreSQL costs: the first start, a later one, joining a running server, coming back after a kill, and stopping.

python -m tests.benchmarks.bench_embedded [rounds]
"""

import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg  # the program has imported it long before

from db.embedded import EmbeddedPostgres, open_embedded

LIMITS = {"first start": 1.2, "later start": 0.3, "join": 0.05, "start after kill -9": 1.5, "stop": 0.3}
"""Seconds."""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    measured: dict[str, list[float]] = {name: [] for name in LIMITS}

    def timed(name: str, folder: Path) -> EmbeddedPostgres:
        begun = time.perf_counter()
        server = open_embedded(folder)
        measured[name].append(time.perf_counter() - begun)
        return server

    def timed_stop(stop: Callable[[], None]) -> None:
        begun = time.perf_counter()
        stop()
        measured["stop"].append(time.perf_counter() - begun)

    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "store"
            timed_stop(timed("first start", folder).close)
            server = timed("later start", folder)
            timed("join", folder).close()
            os.kill(int(next(folder.glob("pg*/postmaster.pid")).read_text().split()[0]), signal.SIGKILL)
            again = timed("start after kill -9", folder)
            server.close()
            timed_stop(again.close)
    print(f"psycopg {psycopg.__version__}, {rounds} rounds, {os.cpu_count()} cores")
    print(f"{'':>22}{'median':>10}{'worst':>10}{'limit':>10}")
    for name, seconds in measured.items():
        print(f"{name:>22}{statistics.median(seconds):9.3f}s{max(seconds):9.3f}s{LIMITS[name]:9.3f}s")


if __name__ == "__main__":
    main()
