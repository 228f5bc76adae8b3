"""HTTP servers in processes of their own: the product's, and bare ones."""

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import uvicorn
from starlette.types import ASGIApp

STOP_WITHIN = 20.0


@dataclass(frozen=True)
class Server:
    url: str
    """Without a slash at the end."""
    process: psutil.Process

    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system


@contextmanager
def served(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Generator[Server]:
    """`python -m` with the arguments; the server prints its address when it listens."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **(environment or {})}
        ) as process,
    ):
        assert process.stdout is not None
        found = next((found for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line))), None)
        if found is None:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(arguments)} did not start: {errors.read()}")
        try:
            yield Server(found[0], psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(STOP_WITHIN)


@contextmanager
def product(database_url: str, *arguments: str, module: str = "mcp_messenger") -> Generator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        # Counted as always, never refused.
        settings = {"MCP_MESSENGER_RATE_LIMIT": "1000000/s", "DATABASE_URL": database_url, "MCP_MESSENGER_DATA_DIR": folder}
        with served([module, "serve", "--port", "0", "--log-level", "WARNING", *arguments], settings) as server:
            yield server


def serve_bare(asgi: ASGIApp) -> None:
    """As a bare program would: uvicorn as it comes, without a log line for each request."""
    # TCP by name, as when uvicorn binds by itself: see mcp_messenger/serve.py.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(asgi, log_config=None, access_log=False)).run(sockets=[listener])
