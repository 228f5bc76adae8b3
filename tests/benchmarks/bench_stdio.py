"""From starting the stdio server until a client has its tools, and the memory it takes by then."""

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.figures import Figure, at_most, interleaved

ROUNDS = 11
LATER = 2.5
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}


@dataclass(frozen=True)
class Start:
    seconds: float
    cpu_seconds: float
    megabytes: float
    megabytes_later: float
    tools: int


class Client:
    """Speaks JSON-RPC with a server's stdin and stdout, one request at a time."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, process.stdout
        self._numbers = itertools.count()

    def tell(self, method: str, **fields: Any) -> None:
        self._to.write(json.dumps({"jsonrpc": "2.0", "method": method, **fields}).encode() + b"\n")
        self._to.flush()

    def ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        self.tell(method, id=number, params=params)
        while True:
            line = self._from.readline()
            if not line:
                raise EOFError("The server ended.")
            message = json.loads(line)
            if message.get("id") == number:
                return message["result"]


def start(command: Sequence[str], log: Path, later: float) -> Start:
    """Start a server until it has listed its tools, and so many seconds more."""
    begun = time.perf_counter()
    with log.open("wb") as errors, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors) as process:
        client = Client(process)
        client.ask("initialize", INITIALIZE)
        client.tell("notifications/initialized")
        tools = client.ask("tools/list", {})["tools"]
        seconds = time.perf_counter() - begun
        server = psutil.Process(process.pid)
        times, resident = server.cpu_times(), server.memory_info().rss
        time.sleep(later)
        return Start(seconds, times.user + times.system, resident / 1e6, server.memory_info().rss / 1e6, len(tools))


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "product": [sys.executable, "-m", "mcp_messenger", "--data-dir", f"{folder}/data"],
            "bare": [sys.executable, "-m", "tests.benchmarks.bare_mcp"],
        }

        async def started(name: str, later: float = 0.0) -> Start:
            try:
                return start(commands[name], Path(folder) / "log", later)
            except EOFError as error:
                raise RuntimeError(f"{name}: {(Path(folder) / 'log').read_text()}") from error

        forms = {name: (lambda name=name: started(name)) for name in commands}
        # The first round makes the store and the bytecode.
        await interleaved(1, forms)
        found = await interleaved(ROUNDS, forms)
        at_work = [(await started("product", LATER)).megabytes_later for _ in range(3)]

    def median(of: str) -> dict[str, float]:
        return {name: statistics.median(getattr(one, of) for one in starts) for name, starts in found.items()}

    seconds, cpu, memory, tools = (median(of) for of in ("seconds", "cpu_seconds", "megabytes", "tools"))
    return [
        Figure("stdio: start to tools/list answered", seconds["product"], "s", seconds["bare"], at_most(1.1, "ratio")),
        Figure("stdio: processor time by then", cpu["product"], "s", cpu["bare"]),
        Figure("stdio: resident by then", memory["product"], "MB", memory["bare"], at_most(85)),
        Figure(f"stdio: resident {LATER:g} s later, at work", statistics.median(at_work), "MB", target=at_most(85)),
        Figure("stdio: tools listed", tools["product"], "", tools["bare"]),
    ]
