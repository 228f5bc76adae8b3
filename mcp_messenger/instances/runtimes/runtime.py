"""What the supervisor asks of a place that instances run in."""

from abc import ABC, abstractmethod
from collections import deque
from contextlib import AbstractAsyncContextManager
from uuid import UUID

from db.instances import InstanceRow
from providers.base import Provider, ProviderContext, Settings


class Runtime(ABC):
    @property
    @abstractmethod
    def away(self) -> str | None:
        """Why nothing can run there now; None where it can."""

    @abstractmethod
    async def provider(self, row: InstanceRow, cls: type[Provider], settings: Settings, context: ProviderContext) -> Provider:
        """Not connected yet. When it is started it brings up what it runs in; when it is stopped, that goes on running."""

    @abstractmethod
    async def halt(self, instance_id: UUID) -> None:
        """Its provider has stopped and it is not to run: stop what it ran in. The login stays."""

    @abstractmethod
    async def discard(self, instance_id: UUID) -> None:
        """Throw away what it ran in, with the login. Nothing of it runs any more."""

    @abstractmethod
    async def log_lines(self, instance_id: UUID, tail: int) -> list[str]:
        """What it said itself, oldest first, besides what this process said of it."""

    @abstractmethod
    def following(self, instance_id: UUID) -> AbstractAsyncContextManager[deque[str]]:
        """What it says from now on is appended, as long as it is open."""
