"""A stand-in of Discord, a bot in a server there, and providers that are stopped when the test is over."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from providers.base import ProviderContext
from providers.discord.client import WrongCalls
from providers.discord.connection import Timing
from providers.discord.provider import DiscordProvider
from providers.discord.settings import DiscordSettings
from providers.states import InstanceState
from tests.providers.harness import Inbox
from tests.standins.discord_api import DiscordStandIn, StandInBot

QUICK = Timing(pauses=(0.01, 0.02, 0.05), session_pause=0.01, stable_seconds=0, servers_seconds=0.2, resend_pauses=(0.01, 0.02))


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@pytest.fixture
async def discord() -> AsyncIterator[DiscordStandIn]:
    async with DiscordStandIn() as discord:
        yield discord


class Station:
    """Makes providers of one bot, which is in the server `works` with Ann. What they deliver is in `inbox`."""

    def __init__(self, discord: DiscordStandIn, bot: StandInBot, tls: ssl.SSLContext, folder: Path) -> None:
        self.discord = discord
        self.world = discord.world
        self.bot = bot
        self.inbox = Inbox()
        self.works = self.world.guild("Works", bot)
        self.general = self.world.channel(self.works, "general")
        self.ann = self.world.person("Ann", self.works)
        self._tls = tls
        self._folder = folder
        self._made: list[DiscordProvider] = []

    def settings(self, **changes: object) -> DiscordSettings:
        return DiscordSettings.model_validate({"bot_token": SecretStr(self.bot.token), "base_url": self.discord.base_url, **changes})

    def make(self, *, timing: Timing = QUICK, wrong_calls: WrongCalls | None = None, instance: str = "inst-1", **settings: object) -> DiscordProvider:
        context = ProviderContext(instance, self._tls, self._folder / instance)
        provider = DiscordProvider(self.settings(**settings), context, timing=timing, wrong_calls=wrong_calls)
        self._made.append(provider)
        return provider

    async def start(self, *, timing: Timing = QUICK, wrong_calls: WrongCalls | None = None, **settings: Any) -> DiscordProvider:
        provider = self.make(timing=timing, wrong_calls=wrong_calls, **settings)
        await provider.start(self.inbox.deliver)
        return provider

    async def ready(self, *, timing: Timing = QUICK, wrong_calls: WrongCalls | None = None, **settings: Any) -> DiscordProvider:
        provider = await self.start(timing=timing, wrong_calls=wrong_calls, **settings)
        await self.inbox.state(InstanceState.READY)
        return provider

    async def stop(self) -> None:
        for provider in self._made:
            await provider.stop()


@pytest.fixture
def bot(discord: DiscordStandIn) -> StandInBot:
    return discord.add_bot()


@pytest.fixture
async def station(discord: DiscordStandIn, bot: StandInBot, tls: ssl.SSLContext, tmp_path: Path) -> AsyncIterator[Station]:
    station = Station(discord, bot, tls, tmp_path)
    yield station
    await station.stop()
