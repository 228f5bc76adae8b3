"""A relay as a process, and what a manager does to it. Run as a module, the relay ends at a named point."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import anyio.abc
import httpx
from pydantic import SecretStr

from mcp_messenger.cli import run
from mcp_messenger.instances.remote_provider import RemoteProvider, Timing
from mcp_messenger.relay.sends import Sends
from mcp_messenger.relay.spool import Spool
from providers import provider_class
from providers.base import ProviderContext, Settings
from tests.program import ROOT, environment

PATIENCE = 30.0
KEY = "mm_FAKE-KEY-OF-A-TEST-0123456789"
QUICK = Timing(wait=2, pauses=(0.05, 0.1, 0.2), ask_again=(0.05, 0.1, 0.2, 0.5, 1, 2, 4))


POINTS: dict[str, tuple[type | str, str, bool]] = {
    "before it is begun": (Sends, "_send", True),
    "after it is begun": ("telegram", "send", True),
    "after the platform": ("telegram", "send", False),
    "after it is settled": (Sends, "_settle", False),
    "before the spool": (Spool, "append", True),
    "after the spool": (Spool, "append", False),
}
"""The class, or the messenger whose provider it is, its method that is called there, and whether to die before the call or after it."""


@dataclass
class RelayProcess:
    """`start` again after a kill is the restart of its container: the same folder, another port."""

    provider: str
    folder: Path
    more: dict[str, str]
    process: anyio.abc.Process | None = None
    url: str = "http://127.0.0.1:9"
    instance_id: str = ""

    async def start(self, *, dies: str | None = None) -> None:
        env = environment(
            self.folder / "data",
            MCP_MESSENGER_MANAGED="1",
            MCP_MESSENGER_INSTANCE_ID=self.instance_id,
            MCP_MESSENGER_API_KEY_SHA256=hashlib.sha256(KEY.encode()).hexdigest(),
            **self.more,
        )
        command = [sys.executable, "-m", "tests.mcp_messenger.relay.process", dies or "", "--mode", f"{self.provider}-api", "--api-port", "0"]
        with (self.folder / "relay.log").open("a") as log:
            self.process = await anyio.open_process(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
        assert self.process.stdout is not None
        said = b""
        with anyio.fail_after(PATIENCE):
            while b"to stop." not in said:
                said += await self.process.stdout.receive()
        self.url = said.decode().partition(". Press")[0].rpartition(" ")[2]

    async def endpoint(self) -> str:
        return self.url

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.ended()

    async def ended(self) -> int:
        assert self.process is not None
        with anyio.fail_after(PATIENCE):
            return await self.process.wait()

    async def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return await self.ended()

    async def as_new(self) -> None:
        """Nobody logged in, nothing waiting: as after the first start, and cheaper."""
        async with self.http() as client:
            (await client.post("/port/stop")).raise_for_status()
            shutil.rmtree(self.folder / "data" / "session", ignore_errors=True)
            while events := (await client.get("/events")).raise_for_status().json()["events"]:
                (await client.get("/events", params={"after": events[-1]["seq"]})).raise_for_status()

    def log(self) -> str:
        return (self.folder / "relay.log").read_text()

    def remote(self, settings: Settings, tls: Any, *, key: str = KEY) -> RemoteProvider:
        context = ProviderContext(self.instance_id, tls, self.folder / "nothing-here")
        cls = provider_class(self.provider)
        return RemoteProvider(cls, settings, context, endpoint=self.endpoint, key=SecretStr(key), timing=QUICK)

    def http(self, key: str | None = KEY) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=PATIENCE)


@asynccontextmanager
async def running_relay(provider: str, folder: Path, *, dies: str | None = None, **more: str) -> AsyncGenerator[RelayProcess]:
    """Killed at the end, if it still runs."""
    relay = RelayProcess(provider, folder, more, instance_id=str(uuid4()))
    try:
        await relay.start(dies=dies)
        yield relay
    finally:
        if relay.process is not None and relay.process.returncode is None:
            relay.process.kill()
            await relay.process.wait()


def _die(point: str) -> None:
    """Make the real relay end at one place."""
    owner, name, before = POINTS[point]
    if isinstance(owner, str):
        owner = provider_class(owner)
    act: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def deadly(self: Any, *args: Any, **named: Any) -> Any:
        # Only messages are deadly: the first event of all is a state.
        is_deadly = name != "append" or any(event.type == "message" for event in args[0])
        given = None if before and is_deadly else await act(self, *args, **named)
        if is_deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return given

    setattr(owner, name, deadly)


if __name__ == "__main__":
    point, *arguments = sys.argv[1:]
    if point:
        _die(point)
    sys.exit(run(arguments))
