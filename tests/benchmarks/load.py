"""Load from another process: wrk where it is installed, else a small generator of our own.

python -m tests.benchmarks.load REQUEST, with the request as JSON.
"""

import asyncio
import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

import anyio.to_thread

from tests.benchmarks.figures import percentile

WRK = re.compile(r"50%\s+([\d.]+)(us|ms|s)\s*\n.*?99%\s+([\d.]+)(us|ms|s)\s*\n.*?Requests/sec:\s+([\d.]+)", re.DOTALL)
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


NUMBER = "@NUMBER@"


@dataclass(frozen=True)
class Request:
    """The same request again and again. In its body, NUMBER stands for the number of the request."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    in_turn: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """Headers whose values take turns, request by request."""
    body: str = ""

    def number(self, number: int) -> tuple[dict[str, str], str]:
        """Headers and body of one request."""
        turns = {name: values[number % len(values)] for name, values in self.in_turn.items()}
        return {**self.headers, **turns}, self.body.replace(NUMBER, str(number))


@dataclass(frozen=True)
class Load:
    """`rate` is in requests a second, the others in milliseconds."""

    rate: float
    p50: float
    p99: float


async def load(request: Request, *, connections: int, seconds: int) -> Load:
    """Raises RuntimeError when an answer was not a success."""
    return await anyio.to_thread.run_sync(_with_wrk if shutil.which("wrk") else _with_our_own, request, connections, seconds)


def _with_wrk(request: Request, connections: int, seconds: int) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_script(request))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s", script.name, request.url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = WRK.search(said)
    if found is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    p50, p50_unit, p99, p99_unit, rate = found.groups()
    return Load(float(rate), float(p50) * MILLISECONDS[p50_unit], float(p99) * MILLISECONDS[p99_unit])


def _script(request: Request) -> str:
    """For wrk. Text in JSON is text in Lua, as long as it is ASCII."""
    lines = [f"wrk.method = {json.dumps(request.method)}", *(f"wrk.headers[{json.dumps(n)}] = {json.dumps(v)}" for n, v in request.headers.items())]
    if request.body:
        before, _, after = request.body.partition(NUMBER)
        lines += [f"local before, after, number = {json.dumps(before)}, {json.dumps(after)}, 0"]
        lines += [f"local turn{i} = {{{', '.join(map(json.dumps, values))}}}" for i, values in enumerate(request.in_turn.values())]
        lines += ["request = function()", "  number = number + 1"]
        lines += [f"  wrk.headers[{json.dumps(name)}] = turn{i}[number % #turn{i} + 1]" for i, name in enumerate(request.in_turn)]
        lines += ["  return wrk.format(nil, nil, nil, before .. number .. after)", "end"]
    return "\n".join(lines)


def _with_our_own(request: Request, connections: int, seconds: int) -> Load:
    order = json.dumps({"request": asdict(request), "connections": connections, "seconds": seconds})
    said = subprocess.run([sys.executable, "-m", "tests.benchmarks.load", order], capture_output=True, text=True, check=True).stdout
    return Load(**json.loads(said))


async def _generate(request: Request, connections: int, seconds: int) -> Load:
    address, numbers = urlsplit(request.url), itertools.count()
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while (begun := time.perf_counter()) < end:
            headers, body = request.number(next(numbers))
            headers = {"Host": address.netloc, **({"Content-Length": str(len(body))} if body else {}), **headers}
            lines = [f"{request.method} {address.path}?{address.query} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
            writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
            await _read_answer(reader)
            taken.append((time.perf_counter() - begun) * 1000)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return Load(len(taken) / seconds, percentile(taken, 50), percentile(taken, 99))


async def _read_answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 2"):
        raise RuntimeError(head.decode())
    length = re.search(rb"content-length: (\d+)", head)
    if length is not None:
        await reader.readexactly(int(length[1]))
        return
    while (size := int(await reader.readline(), 16)) > 0:
        await reader.readexactly(size + 2)
    await reader.readline()


def main() -> None:
    order = json.loads(sys.argv[1])
    found = asyncio.run(_generate(Request(**order["request"]), order["connections"], order["seconds"]))
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
