"""A messenger behind a relay keeps the contract of all messengers. The relay is a separate process."""

import itertools
import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.instances.remote_provider import RemoteProvider
from providers import provider_class
from providers.base import Provider
from providers.models import Upload
from providers.sandbox.settings import SandboxSettings
from providers.sandbox.world import World
from providers.states import InstanceState
from tests.mcp_messenger.relay.process import RelayProcess, running_relay
from tests.providers.contract import METHODS, ProviderContract
from tests.providers.harness import Harness
from tests.providers.sandbox.test_contract import SandboxHarness
from tests.providers.telegram.conftest import Station
from tests.providers.telegram.test_telegram_contract import TelegramHarness
from tests.standins.telegram_bot_api import TelegramStandIn

BOT_IDS = itertools.count(700_000_001)


class RemoteContract(ProviderContract):
    """What it says of the class is said of the class that it stands for."""

    async def test_is_registered_under_its_own_name(self, harness: Harness) -> None:
        provider = harness.create()
        assert isinstance(provider, RemoteProvider)
        cls = provider_class(provider.name)
        assert (provider.title, provider.capabilities, provider.limits) == (cls.title, cls.capabilities, cls.limits)

    async def test_overrides_exactly_what_it_declares(self, harness: Harness) -> None:
        """It asks for all that any messenger may be able to do."""
        provider = harness.create()
        assert {method for method in METHODS if getattr(type(provider), method) is getattr(Provider, method)} == set()


class RemoteSandboxHarness(SandboxHarness):
    """The world is the relay's: changed through its chat page while it runs, and in its file while it does not."""

    def __init__(self, relay: RelayProcess, tls: ssl.SSLContext) -> None:
        self.settings = SandboxSettings(persona="human", auto_scan=True, webhook_secret=SecretStr("a-key-of-a-test"))
        self._relay = relay
        self._tls = tls
        self._remote: Provider | None = None

    def create(self) -> Provider:
        self._remote = self._relay.remote(self.settings, self._tls)
        return self._remote

    @contextmanager
    def _world(self) -> Generator[World]:
        world = World(self._relay.folder / "data" / "session")
        try:
            yield world
        finally:
            world.close()

    @property
    def _page(self) -> str | None:
        state = None if self._remote is None else self._remote.state
        return None if state is None or state.state is not InstanceState.READY else (state.reason or "").rpartition(" ")[2]

    async def _act(self, act: str, **fields: object) -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = (await client.post(f"{self._page}acts", json={"act": act, **fields})).raise_for_status()
        return answer.json().get("id", "")

    async def write(self, text: str, *, reply_to: str | None = None, upload: Upload | None = None) -> str:
        if self._page is None:
            return await super().write(text, reply_to=reply_to, upload=upload)
        file: str | None = None
        if upload is not None:
            async with httpx.AsyncClient(trust_env=False) as client:
                headers = {"Content-Type": upload.mime}
                answer = await client.post(f"{self._page}files", params={"name": upload.name}, content=upload.content, headers=headers)
            file = answer.raise_for_status().json()["file"]
        return await self._act("write", chat_id=self.chat_id, text=text, reply_to=reply_to, file=file)

    async def edit(self, message_id: str, text: str) -> None:
        await self._act("edit", message_id=message_id, text=text)

    async def delete(self, message_id: str) -> None:
        await self._act("delete", message_id=message_id)

    async def react(self, message_id: str, emoji: str | None) -> None:
        await self._act("react", message_id=message_id, emoji=emoji)

    async def choose(self, message_id: str, choice_id: str) -> None:
        await super().choose(message_id, choice_id)
        # Written into the relay's file behind its back: something done through its page makes it look.
        await self._act("read", chat_id=self.chat_id)

    async def is_typing(self) -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = (await client.get(f"{self._page}state", params={"chat": self.chat_id})).raise_for_status()
        return answer.json()["chat"]["typing"]


class TestRemoteSandbox(RemoteContract):
    @pytest.fixture(scope="class")
    async def relay(self, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RelayProcess]:
        async with running_relay("sandbox", tmp_path_factory.mktemp("sandbox")) as relay:
            yield relay

    @pytest.fixture
    async def harness(self, relay: RelayProcess, tls: ssl.SSLContext) -> AsyncIterator[RemoteSandboxHarness]:
        yield RemoteSandboxHarness(relay, tls)
        await relay.as_new()


class RemoteTelegramHarness(TelegramHarness):
    reaches_out = False

    def __init__(self, station: Station, relay: RelayProcess, tls: ssl.SSLContext) -> None:
        super().__init__(station)
        self._relay = relay
        self._tls = tls

    def create(self) -> Provider:
        return self._relay.remote(self.settings, self._tls)


class TestRemoteTelegram(RemoteContract):
    @pytest.fixture(scope="class")
    async def relay(self, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RelayProcess]:
        async with running_relay("telegram", tmp_path_factory.mktemp("telegram")) as relay:
            yield relay

    @pytest.fixture
    async def harness(self, relay: RelayProcess, tls: ssl.SSLContext, tmp_path: Path) -> AsyncIterator[RemoteTelegramHarness]:
        async with TelegramStandIn() as telegram:
            # Another account each time: the relay spools a message id of one account once.
            bot = telegram.add_bot(f"{next(BOT_IDS)}:FAKE-TOKEN-OF-A-TEST", name="Robo", username="robo_bot")
            yield RemoteTelegramHarness(Station(telegram, bot, tls, tmp_path), relay, tls)
            await relay.as_new()
