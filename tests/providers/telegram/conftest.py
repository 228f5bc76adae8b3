"""A stand-in of Telegram, a bot on it, and providers that are stopped when the test is over."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from providers.base import ProviderContext
from providers.states import InstanceState
from providers.telegram.connection import Timing
from providers.telegram.provider import TelegramProvider
from providers.telegram.settings import TelegramSettings
from tests.providers.harness import Inbox
from tests.standins.telegram_bot_api import StandInBot, TelegramStandIn

QUICK = Timing(pauses=(0.01, 0.02), poll_seconds=1, check_seconds=0.02)


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    async with TelegramStandIn() as telegram:
        yield telegram


@pytest.fixture
def bot(telegram: TelegramStandIn) -> StandInBot:
    return telegram.add_bot(name="Robo", username="robo_bot")


class Station:
    """Makes providers of one bot. What they deliver is in `inbox`."""

    def __init__(self, telegram: TelegramStandIn, bot: StandInBot, tls: ssl.SSLContext, folder: Path) -> None:
        self.telegram = telegram
        self.bot = bot
        self.inbox = Inbox()
        self._tls = tls
        self._folder = folder
        self._made: list[TelegramProvider] = []

    def settings(self, **changes: object) -> TelegramSettings:
        return TelegramSettings.model_validate({"token": SecretStr(self.bot.token), "base_url": self.telegram.url, **changes})

    def make(self, public_url: str | None = None, timing: Timing = QUICK, **settings: object) -> TelegramProvider:
        context = ProviderContext("inst-1", self._tls, self._folder, public_url)
        provider = TelegramProvider(self.settings(**settings), context, timing=timing)
        self._made.append(provider)
        return provider

    async def start(self, public_url: str | None = None, timing: Timing = QUICK, **settings: object) -> TelegramProvider:
        provider = self.make(public_url, timing, **settings)
        await provider.start(self.inbox.deliver)
        return provider

    async def ready(self, public_url: str | None = None, timing: Timing = QUICK, **settings: object) -> TelegramProvider:
        provider = await self.start(public_url, timing, **settings)
        await self.inbox.state(InstanceState.READY)
        if self.bot.webhook is None:
            # Until then Telegram does not know which updates are wanted, and drops reactions.
            await self.telegram.until_called(self.bot, "getUpdates")
        return provider

    async def stop(self) -> None:
        for provider in self._made:
            await provider.stop()


@pytest.fixture
async def station(telegram: TelegramStandIn, bot: StandInBot, tls: ssl.SSLContext, tmp_path: Path) -> AsyncIterator[Station]:
    station = Station(telegram, bot, tls, tmp_path)
    yield station
    await station.stop()
