"""The program over stdio: its output is the protocol, its end is clean."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.types import INVALID_PARAMS

from tests.mcp_clients import call, over_stdio, stdio_server
from tests.program import PATIENCE, ROOT, environment
from tests.waiting import until_blocking

pytestmark = pytest.mark.anyio

INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
SOON = 10.0
"""Seconds, on a busy machine: it takes half of one. Clients kill a server that takes long to end."""


class Wire:
    """A client that sees every line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._number = 0
        self.request("initialize", **INITIALIZE["params"])
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def write(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result, or the error."""
        self._number += 1
        self.write({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            message = json.loads(line)
            if message.get("id") == self._number:
                return message["result"] if "result" in message else message["error"]
        raise AssertionError("the server ended without an answer")

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return self.request("tools/call", name=tool, arguments=arguments)

    def ready_sandbox(self, **credentials: Any) -> str:
        made = self.call("create_instance", provider="sandbox", credentials={"auto_scan": True, **credentials})
        instance = made["structuredContent"]["instance_id"]
        until_blocking(lambda: self.state(instance) == "ready")
        return instance

    def state(self, instance: str) -> str:
        return self.call("login", instance_id=instance)["structuredContent"]["state"]

    def close(self) -> None:
        """Close the client's end, and take what is still said."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.lines += self.process.stdout


@contextmanager
def started(data_dir: Path, log: Path, *arguments: str, database_url: str | None = None, **env: str) -> Generator[Wire]:
    with (
        log.open("w", encoding="utf-8") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "mcp_messenger", *arguments],
            cwd=ROOT,
            env=environment(data_dir, database_url, **env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
        ) as process,
    ):
        try:
            yield Wire(process)
        finally:
            if process.poll() is None:
                process.kill()


def test_every_line_is_of_the_protocol_while_everything_logs(tmp_path: Path) -> None:
    """Meanwhile the embedded store starts, and the sandbox a web server of its own."""
    log = tmp_path / "log"
    with started(tmp_path / "data", log, "--log-level", "DEBUG") as wire:
        instance = wire.ready_sandbox()
        sent = wire.call("send_message", instance_id=instance, to="ann", message="Hello.")["structuredContent"]
        wire.call("wait_for_reply", instance_id=instance, message_id=sent["message_id"], timeout=20)
        assert wire.call("no_such_tool")["code"] == INVALID_PARAMS
        wire.close()
        assert wire.process.wait(PATIENCE) == 0
    assert len(wire.lines) >= 6
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in wire.lines)
    logged = log.read_text(encoding="utf-8")
    assert "level=debug" in logged
    assert "state: ready" in logged


def test_logs_hold_no_secret_and_no_message(tmp_path: Path, database_url: str) -> None:
    log = tmp_path / "log"
    token = "123456789:AAtests-invented-this-token-0000000"
    with started(tmp_path / "data", log, database_url=database_url) as wire:
        instance = wire.ready_sandbox(access_code="sandbox-hunter2", webhook_secret="hunter2-hunter2")
        for text in ("violet elephants", "violet " * 1000):
            wire.call("send_message", instance_id=instance, to="ann", message=text)
        wire.call("send_message", instance_id=instance, to="nobody", message="violet elephants")
        wire.call("search_messages", instance_id=instance, query="violet")
        wire.call("send_message", instance_id=instance, to="ann", text="violet elephants")
        wire.call("send_message", instance_id=instance, to=["violet"], message="x")
        wire.call("create_instance", provider="telegram", credentials={"token": token, "hunter2": "hunter2"})
        made = wire.call("create_instance", provider="telegram", credentials={"token": token, "base_url": "http://127.0.0.1:9"})
        telegram = made["structuredContent"]["instance_id"]
        until_blocking(lambda: wire.state(telegram) not in {"created", "starting"})
        wire.close()
        assert wire.process.wait(PATIENCE) == 0
    logged = log.read_text(encoding="utf-8")
    assert "state: ready" in logged
    assert telegram in logged
    assert not [line for line in logged.splitlines() if "violet" in line or "hunter2" in line or token[10:] in line or "mm_" in line]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to end a program with")
def test_it_ends_soon_and_takes_its_store_along(tmp_path: Path) -> None:
    """From the second start on the store is there sooner than its driver is imported, and calls come meanwhile."""
    data = tmp_path / "data"
    for how in ("closed", "SIGTERM", "SIGINT"):
        with started(data, tmp_path / how) as wire:
            instance = wire.ready_sandbox()
            assert list(data.glob("postgres/*/postmaster.pid"))
            wire.write(
                {
                    "jsonrpc": "2.0",
                    "id": "left",
                    "method": "tools/call",
                    "params": {"name": "wait_for_messages", "arguments": {"instance_id": instance, "timeout": 300}},
                }
            )
            began = time.monotonic()
            if how == "closed":
                wire.close()
            else:
                wire.process.send_signal(signal.Signals[how])
            assert wire.process.wait(PATIENCE) == 0
            took = time.monotonic() - began
        assert took < SOON, how
        assert not list(data.glob("postgres/*/postmaster.pid")), how
        assert "Traceback" not in (tmp_path / how).read_text(encoding="utf-8")
        assert instance in (tmp_path / how).read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals to sit at")
def test_a_person_at_a_terminal_is_told_what_it_waits_for(tmp_path: Path, database_url: str) -> None:
    import pty

    theirs, ours = pty.openpty()
    env = environment(tmp_path / "data", database_url)
    with subprocess.Popen(
        [sys.executable, "-m", "mcp_messenger"], cwd=ROOT, env=env, stdin=ours, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(ours)
        assert process.stderr is not None
        told = ""
        for line in process.stderr:
            told += line
            if "Ctrl+C" in line:
                break
        os.write(theirs, json.dumps(INITIALIZE).encode() + b"\n")
        assert process.stdout is not None
        said = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=PATIENCE)
        os.close(theirs)
    assert "waiting for an MCP client" in told
    assert '"mcpServers"' in told
    assert "mcp-messenger demo" in told
    assert json.loads(said)["result"]["serverInfo"]["name"] == "mcp-messenger"
    assert (process.returncode, "Traceback" in complaint) == (0, False)


async def test_a_real_client_works_over_it(tmp_path: Path, database_url: str, era: str) -> None:
    server = stdio_server(tmp_path / "data", database_url, "--toolsets", "all")
    with anyio.fail_after(PATIENCE):
        async with over_stdio(server, era, log=tmp_path / "log") as client:
            assert len((await client.list_tools()).tools) > 25
            made = await call(client, "create_instance", provider="sandbox", credentials={"auto_scan": True, "page": False})
            instance = made["instance_id"]
            sent = await call(client, "send_message", instance_id=instance, to="ann", message="Grüße, 小林 👋")
            (reply,) = (await call(client, "wait_for_reply", instance_id=instance, message_id=sent["message_id"], timeout=20))["replies"]
            assert reply["text"] == "echo: Grüße, 小林 👋"
            assert (await client.read_resource(f"messenger://instances/{instance}/status")).contents
