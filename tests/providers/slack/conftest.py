"""A stand-in of Slack, and providers that are stopped when the test is over."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from providers.base import ProviderContext
from providers.slack.connection import Timing
from providers.slack.provider import SlackProvider
from providers.slack.settings import SlackSettings
from providers.states import InstanceState
from tests.providers.harness import Inbox
from tests.standins.slack_api import SlackStandIn

QUICK = Timing(
    pauses=(0.01, 0.02),
    heartbeat_seconds=5,
    check_seconds=0.02,
    position_seconds=0.02,
    overlap_seconds=30,
    share_pauses=(0.01,) * 5,
    held_back_seconds=0.01,
)


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@pytest.fixture
async def slack() -> AsyncIterator[SlackStandIn]:
    async with SlackStandIn() as slack:
        yield slack


class Station:
    """Makes providers of one app. What they deliver is in `inbox`."""

    def __init__(self, slack: SlackStandIn, tls: ssl.SSLContext, folder: Path) -> None:
        self.slack = slack
        self.inbox = Inbox()
        self.ann = slack.person("Ann")
        self.dm = slack.direct(self.ann)
        self._tls = tls
        self._folder = folder
        self._made: list[SlackProvider] = []

    def settings(self, **changes: object) -> SlackSettings:
        socket = {"app_token": SecretStr(self.slack.app_token)}
        return SlackSettings.model_validate({"bot_token": SecretStr(self.slack.bot_token), "base_url": self.slack.api, **socket, **changes})

    def webhook(self) -> dict[str, Any]:
        """Settings of an app whose events come to the webhook."""
        return {"app_token": None, "signing_secret": SecretStr(self.slack.signing_secret)}

    def make(self, timing: Timing = QUICK, **settings: object) -> SlackProvider:
        provider = SlackProvider(self.settings(**settings), ProviderContext("inst-1", self._tls, self._folder / "inst-1"), timing=timing)
        self._made.append(provider)
        return provider

    async def start(self, timing: Timing = QUICK, **settings: object) -> SlackProvider:
        provider = self.make(timing, **settings)
        await provider.start(self.inbox.deliver)
        return provider

    async def ready(self, timing: Timing = QUICK, **settings: object) -> SlackProvider:
        provider = await self.start(timing, **settings)
        await self.inbox.state(InstanceState.READY)
        return provider

    async def stop(self) -> None:
        for provider in self._made:
            await provider.stop()


@pytest.fixture
async def station(slack: SlackStandIn, tls: ssl.SSLContext, tmp_path: Path) -> AsyncIterator[Station]:
    station = Station(slack, tls, tmp_path)
    yield station
    await station.stop()
