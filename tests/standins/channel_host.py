"""A scripted host that speaks the contract of Claude Code's channels over stdio: it starts the server, and is strict about what it is sent.

It shakes hands in the older era, takes `notifications/claude/channel` with text and attributes alone, relays permission, and calls tools.
"""

import json
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.program import ROOT, environment
from tests.waiting import PATIENCE, until

KEY = re.compile(r"[A-Za-z0-9_]+")
LINE_MAX = 10_000_000


@dataclass
class ChannelHost:
    """`pushes` are (content, attributes), `verdicts` the answers to questions for permission by their id."""

    process: anyio.abc.Process
    pushes: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])
    verdicts: dict[str, str] = field(default_factory=dict[str, str])
    initialized: dict[str, Any] = field(default_factory=dict[str, Any])
    _answers: dict[int, Any] = field(default_factory=dict[int, Any])
    _count: int = 0

    async def read(self) -> None:
        assert self.process.stdout is not None
        lines = BufferedByteReceiveStream(self.process.stdout)
        try:
            while True:
                self._take(json.loads(await lines.receive_until(b"\n", LINE_MAX)))
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.ClosedResourceError):
            return

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._answers[message["id"]] = message
            return
        params = message.get("params", {})
        match message["method"]:
            case "notifications/claude/channel":
                assert set(params) <= {"content", "meta"}
                assert isinstance(params["content"], str)
                assert all(KEY.fullmatch(key) and isinstance(value, str) for key, value in params.get("meta", {}).items()), params
                self.pushes.append((params["content"], params.get("meta", {})))
            case "notifications/claude/channel/permission":
                assert params["behavior"] in {"allow", "deny"}
                self.verdicts[params["request_id"]] = params["behavior"]
            case _:
                pass

    async def notify(self, method: str, params: dict[str, Any] | None = None) -> None:
        await self._send({"jsonrpc": "2.0", "method": method, **({"params": params} if params is not None else {})})

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        number = self._count
        await self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        await until(lambda: number in self._answers, PATIENCE)
        answer = self._answers.pop(number)
        assert "error" not in answer, answer
        return answer["result"]

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await self.request("tools/call", {"name": tool, "arguments": arguments})
        assert not answer.get("isError"), answer
        return answer

    async def ask(self, request_id: str, tool: str) -> None:
        """Relay a question for permission, as the host words one."""
        params = {"request_id": request_id, "tool_name": tool, "description": "Run a command", "input_preview": '{"command":"ls"}'}
        await self.notify("notifications/claude/channel/permission_request", params)

    async def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send(json.dumps(message).encode() + b"\n")


@asynccontextmanager
async def channel_host(data_dir: Path, database_url: str, *arguments: str) -> AsyncGenerator[ChannelHost]:
    """A session with the server as a channel; leaving it ends the session as closing Claude Code does."""
    command = [sys.executable, "-m", "mcp_messenger", "--channel", *arguments]
    with (data_dir / "channel.log").open("ab") as log:
        async with await anyio.open_process(command, stderr=log, env=environment(data_dir, database_url), cwd=ROOT) as process:
            host = ChannelHost(process)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(host.read)
                hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "claude-code", "version": "2.1.90"}}
                host.initialized = await host.request("initialize", hello)
                await host.notify("notifications/initialized")
                yield host
                assert process.stdin is not None
                await process.stdin.aclose()
                with anyio.fail_after(PATIENCE):
                    await process.wait()
                tasks.cancel_scope.cancel()
