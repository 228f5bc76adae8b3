"""A local web.whatsapp.com with two people on it, and providers in a real Chromium that are stopped when the test is over."""

import dataclasses
import json
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from providers.base import ProviderContext
from providers.events import MessageReceived
from providers.states import InstanceState
from providers.whatsappweb.machine import BRIDGE, Machine
from providers.whatsappweb.provider import WhatsAppWebProvider
from providers.whatsappweb.settings import WhatsAppWebSettings
from providers.whatsappweb.timing import Timing
from tests.providers.harness import Inbox
from tests.providers.whatsappweb import machine
from tests.providers.whatsappweb.person import WhatsAppHarness, log_in
from tests.standins.whatsapp_web import Account, WhatsAppStandIn
from tests.waiting import until

QUICK = Timing(pulse=0.3, answer=10, call=30, echo=2, offline=1, pauses=(0.05,), jitter=0)

# The library needs these to come to a login: without them there is no page to test. It can do without the last three.
AT_LOGIN = {
    "WAWebOfflineHandler", "WAWebAltDeviceLinkingApi", "WABase64", "WAWebCompanionRegClientUtils", "WAWebAdvSignatureApi",
    "WAWebUserPrefsInfoStore", "WAWebSignalStoreApi", "WAWebUserPrefsMultiDevice",
    "WAWebSyncGatingUtils", "WAWebBackendJobsCommon", "WAWebE2EProtoUtils",
}  # fmt: skip


def needs() -> set[str]:
    """Return the modules that the bridge's self-test looks for."""
    return set(re.findall(r"^    (WA\w+): ", (BRIDGE / "needs.mjs").read_text(), re.MULTILINE))


# A page that is served from the disk counts as one of the internet, which may not reach this machine.
_LOCAL = "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets,BlockInsecurePrivateNetworkRequests"
_FEWER_PROCESSES = [_LOCAL, "--no-zygote", "--in-process-gpu", "--disable-site-isolation-trials"]


def browsers(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in the profile of an instance with this folder."""
    profile = str(folder / "session")
    return [process for process in psutil.process_iter(["cmdline"]) if any(profile in word for word in process.info["cmdline"] or ())]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One after the other; the first one may have to fetch the modules."""
    for item in items:
        if "whatsappweb" in item.path.parts:
            item.add_marker(pytest.mark.in_turn)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture
async def whatsapp() -> AsyncIterator[WhatsAppStandIn]:
    machine.modules()
    async with WhatsAppStandIn() as whatsapp:
        yield whatsapp
        unnamed = whatsapp.asked - needs() - AT_LOGIN
        assert not unnamed, f"The self-test does not look for {unnamed}."


@pytest.fixture
def agent(whatsapp: WhatsAppStandIn) -> Account:
    return whatsapp.account("15550100", "Agent")


@pytest.fixture
def ann(whatsapp: WhatsAppStandIn) -> Account:
    return whatsapp.account("15550101", "Ann")


class WhatsAppInbox(Inbox):
    def received(self) -> list[MessageReceived]:
        return [event for event in self.events if isinstance(event, MessageReceived)]


class Station:
    """Makes providers. What they deliver is in `inbox`."""

    def __init__(self, whatsapp: WhatsAppStandIn, folder: Path) -> None:
        self.whatsapp = whatsapp
        self.inbox = WhatsAppInbox()
        self.folder = folder
        self._made: list[WhatsAppWebProvider] = []

    @property
    def machine(self) -> Machine:
        args = json.dumps([*self.whatsapp.chromium_args, *_FEWER_PROCESSES])
        return Machine(machine.node(), machine.chromium(), machine.modules(), args)

    def make(self, name: str = "instance", timing: Timing = QUICK, **settings: object) -> WhatsAppWebProvider:
        context = ProviderContext(name, ssl.create_default_context(), self.folder / name)
        provider = WhatsAppWebProvider(WhatsAppWebSettings.model_validate(settings), context, machine=self.machine, timing=timing)
        self._made.append(provider)
        return provider

    async def start(self, name: str = "instance", timing: Timing = QUICK, **settings: object) -> WhatsAppWebProvider:
        provider = self.make(name, timing, **settings)
        await provider.start(self.inbox.deliver)
        return provider

    async def ready(self, account: Account, name: str = "instance", timing: Timing = QUICK, **settings: object) -> WhatsAppWebProvider:
        provider = await self.start(name, timing, **settings)
        await self.log_in(provider, account)
        return provider

    async def log_in(self, provider: WhatsAppWebProvider, account: Account) -> None:
        await log_in(provider, account)
        await until(lambda: provider.state.state is InstanceState.READY)

    def patient(self, **changes: float) -> Timing:
        """The tests' timing, but for these."""
        return dataclasses.replace(QUICK, **changes)

    async def stop(self) -> None:
        """A browser that nobody starts again need not write its login."""
        for provider in self._made:
            for process in browsers(provider.context.data_dir):
                process.kill()
            await provider.stop()


@pytest.fixture
async def station(whatsapp: WhatsAppStandIn, tmp_path: Path) -> AsyncIterator[Station]:
    station = Station(whatsapp, tmp_path)
    yield station
    await station.stop()


@pytest.fixture
def harness(station: Station, agent: Account, ann: Account) -> WhatsAppHarness:
    return WhatsAppHarness(station, agent, ann)
