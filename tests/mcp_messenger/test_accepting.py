"""A server that has no descriptor left for a connection waits quietly, and serves again as soon as it has one."""

import re
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import pytest

from tests.program import ROOT
from tests.waiting import until_blocking

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no limit of descriptors there")

DESCRIPTORS = 64
SERVER = """
import asyncio, logging, resource, sys
from mcp_messenger.net import server
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[1])))
logging.basicConfig(level=logging.WARNING)

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

listener = server.listening_socket("127.0.0.1", 0)
asyncio.run(server.run_server(asgi, listener, welcome=lambda: print(listener.getsockname()[1], flush=True)))
"""


@contextmanager
def served() -> Generator[tuple[int, "subprocess.Popen[str]"]]:
    command = [sys.executable, "-c", SERVER, str(DESCRIPTORS)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process
        process.terminate()


def seconds_used(process: "subprocess.Popen[str]") -> float:
    import psutil

    return sum(psutil.Process(process.pid).cpu_times()[:2])


def test_it_neither_spins_nor_floods_its_log() -> None:
    with served() as (port, process), ExitStack() as idle:
        for _ in range(DESCRIPTORS + 16):
            idle.enter_context(socket.create_connection(("127.0.0.1", port)))
        before = seconds_used(process)
        with socket.create_connection(("127.0.0.1", port), timeout=3) as waiting:
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(TimeoutError):
                waiting.recv(100)
            used = seconds_used(process) - before
            idle.close()
            waiting.settimeout(10)
            assert waiting.recv(100).startswith(b"HTTP/1.1 204")
        process.terminate()
        assert process.stderr is not None
        logged = process.stderr.read()
    assert used < 1
    assert re.findall(r"no connection could be accepted: (.*?);", logged) == ["Too many open files"]
    assert "Traceback" not in logged


def test_it_takes_many_connections_at_once() -> None:
    with served() as (port, _), ExitStack() as open_ones:
        waiting = [open_ones.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(40)]
        for one in waiting:
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        until_blocking(lambda: all(one.recv(100).startswith(b"HTTP/1.1 204") for one in waiting))
