"""A sandbox on a folder of its own, and a clock that goes when the test says so."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from providers.base import ProviderContext
from providers.events import StateChanged
from providers.sandbox.provider import SandboxProvider
from providers.sandbox.settings import SandboxSettings
from providers.states import InstanceState
from tests.providers.harness import Inbox


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self._sleepers: list[tuple[datetime, anyio.Event]] = []

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            woken = anyio.Event()
            self._sleepers.append((self.time + timedelta(seconds=seconds), woken))
            await woken.wait()

    def go_on(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        for due, woken in self._sleepers:
            if due <= self.time:
                woken.set()


class Sandbox:
    """Starts providers on one data folder, one after the other, as restarts of one instance."""

    def __init__(self, context: ProviderContext) -> None:
        self.context = context
        self.clock = Clock()
        self.provider: SandboxProvider | None = None

    async def start(self, **settings: object) -> tuple[SandboxProvider, Inbox]:
        """With auto_scan and without the page, unless the settings say something else."""
        await self.stop()
        inbox = Inbox()
        chosen = SandboxSettings.model_validate({"auto_scan": True, "page": False, "persona": "human", **settings})
        self.provider = SandboxProvider(chosen, self.context, now=self.clock.now, sleep=self.clock.sleep)
        await self.provider.start(inbox.deliver)
        await inbox.wait(StateChanged, lambda event: event.state in {InstanceState.READY, InstanceState.QR_READY, InstanceState.ERROR})
        return self.provider, inbox

    async def ready(self, **settings: object) -> tuple[SandboxProvider, Inbox]:
        provider, inbox = await self.start(**settings)
        await inbox.state(InstanceState.READY)
        return provider, inbox

    async def stop(self) -> None:
        if self.provider is not None:
            await self.provider.stop()


@pytest.fixture
def context(tmp_path: Path) -> ProviderContext:
    return ProviderContext(instance_id="sandbox-1", tls=ssl.create_default_context(), data_dir=tmp_path / "instance")


@pytest.fixture
async def sandbox(context: ProviderContext) -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(context)
    yield sandbox
    await sandbox.stop()
