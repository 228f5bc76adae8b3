"""Instances in this process, on its own event loop: a thousand are normal."""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

from db.instances import InstanceRow
from mcp_messenger.instances.runtimes.runtime import Runtime
from providers.base import Provider, ProviderContext, Settings


class ProcessRuntime(Runtime):
    @property
    def away(self) -> None:
        return None

    async def provider(self, row: InstanceRow, cls: type[Provider], settings: Settings, context: ProviderContext) -> Provider:
        return cls(settings, context)

    async def halt(self, instance_id: UUID) -> None:
        """It ended with its provider."""

    async def discard(self, instance_id: UUID) -> None:
        """It had nothing but the instance's folder."""

    async def log_lines(self, instance_id: UUID, tail: int) -> list[str]:
        return []

    @asynccontextmanager
    async def following(self, instance_id: UUID) -> AsyncGenerator[deque[str]]:
        """It says nothing besides what this process says of it."""
        yield deque()
