"""A sandbox with bugs: what a provider may do that no platform makes it do."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import pytest

from providers.base import Deliver
from providers.groups import Group
from providers.models import Chat, Draft, SentMessage
from providers.sandbox.provider import SandboxProvider
from tests.running import registered


class BreakingSandbox(SandboxProvider):
    """Each method raises an error that nobody expects while it is `broken`."""

    asked: ClassVar[list[Draft]] = []
    """What was to be sent, in order."""
    _broken: ClassVar[set[str]] = set()

    @classmethod
    @contextmanager
    def broken(cls, method: str) -> Generator[None]:
        cls._broken.add(method)
        try:
            yield
        finally:
            cls._broken.discard(method)

    def _call(self, method: str) -> None:
        if method in self._broken:
            raise RuntimeError("a bug in the provider at postgresql://user:password@host/")

    async def start(self, deliver: Deliver) -> None:
        self._call("start")
        await super().start(deliver)

    async def stop(self) -> None:
        self._call("stop")
        await super().stop()

    async def send(self, draft: Draft) -> SentMessage:
        self._call("send")
        self.asked.append(draft)
        return await super().send(draft)

    async def list_chats(self) -> Sequence[Chat]:
        self._call("list_chats")
        return await super().list_chats()

    async def list_groups(self) -> Sequence[Group]:
        self._call("list_groups")
        return await super().list_groups()


@pytest.fixture
def breaking() -> Generator[type[BreakingSandbox]]:
    """New sandboxes are of this class."""
    with registered(BreakingSandbox):
        yield BreakingSandbox
