"""What a stdio server costs while nothing happens: one sandbox account, no calls."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.benchmarks.bench_stdio import INITIALIZE, Client
from tests.benchmarks.figures import Figure, at_most

ROUNDS = 3
SETTLE_SECONDS = 10.0
IDLE_SECONDS = 20.0


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def postmaster_of(folder: Path) -> psutil.Process:
    return psutil.Process(int(next(folder.glob("postgres/pg*/postmaster.pid")).read_text().split()[0]))


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "mcp_messenger", "--data-dir", str(folder / "data")]
        with (
            (folder / "log").open("wb") as errors,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors) as process,
        ):
            client = Client(process)
            client.ask("initialize", INITIALIZE)
            client.tell("notifications/initialized")
            client.ask("tools/call", {"name": "create_instance", "arguments": {"provider": "sandbox"}})
            time.sleep(SETTLE_SECONDS)
            server, postmaster = psutil.Process(process.pid), postmaster_of(folder / "data")
            ours, stores = list[float](), list[float]()
            for _ in range(ROUNDS):
                backends = postmaster.children(recursive=True)
                begun = time.perf_counter()
                before = cpu_seconds(server), sum(cpu_seconds(one) for one in [postmaster, *backends] if one.is_running())
                time.sleep(IDLE_SECONDS)
                seconds = time.perf_counter() - begun
                ours.append((cpu_seconds(server) - before[0]) / seconds * 1000)
                stores.append((sum(cpu_seconds(one) for one in [postmaster, *backends] if one.is_running()) - before[1]) / seconds * 1000)
            assert process.stdin is not None
            process.stdin.close()
    return [
        Figure("idle over stdio with one account: processor time of the server, a second", statistics.median(ours), "ms", target=at_most(1)),
        Figure("the same, PostgreSQL", statistics.median(stores), "ms", target=at_most(1)),
    ]
