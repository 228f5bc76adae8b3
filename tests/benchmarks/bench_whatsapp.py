"""WhatsApp Web from its start to the first QR code, beside the bare library, and from a stored login to ready, against the stand-in."""

import asyncio
import json
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

from providers.base import ProviderContext
from providers.events import Event, StateChanged
from providers.models import InstanceState
from providers.whatsappweb.machine import Machine
from providers.whatsappweb.provider import WhatsAppWebProvider
from providers.whatsappweb.settings import WhatsAppWebSettings
from tests.benchmarks.figures import Figure, at_most, interleaved
from tests.providers.whatsappweb import machine
from tests.standins.whatsapp_web import Account, WhatsAppStandIn

ROUNDS = 7
BARE = Path(__file__).parent / "bare_whatsapp.cjs"
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--disable-dev-shm-usage"]  # fmt: skip


class Run:
    """One provider, and the moments at which it told its states."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.provider = WhatsAppWebProvider(WhatsAppWebSettings(), ProviderContext("bench", ssl.create_default_context(), folder), machine=machine)
        self._told: dict[InstanceState, asyncio.Event] = {state: asyncio.Event() for state in InstanceState}

    async def deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, StateChanged):
                self._told[event.state].set()

    async def seconds_to(self, state: InstanceState) -> float:
        began = time.perf_counter()
        await self.provider.start(self.deliver)
        async with asyncio.timeout(60):
            await self._told[state].wait()
        return time.perf_counter() - began

    async def link(self, account: Account) -> None:
        assert self.provider.state.qr is not None
        account.scan(self.provider.state.qr.content)
        async with asyncio.timeout(60):
            await self._told[InstanceState.READY].wait()


async def measure() -> list[Figure]:
    """None where the machine has no Node.js or Chromium."""
    try:
        found = (machine.node(), machine.chromium(), machine.modules())
    except pytest.skip.Exception as missing:
        print(f"whatsapp: {missing}", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as folder:
        async with WhatsAppStandIn() as whatsapp:
            here = Machine(*found, json.dumps(whatsapp.chromium_args))
            folders = (Path(folder) / str(number) for number in count())

            async def ours() -> float:
                run = Run(here, next(folders))
                seconds = await run.seconds_to(InstanceState.QR_READY)
                await run.provider.stop()
                return seconds

            async def bare() -> float:
                began = time.perf_counter()
                args = json.dumps([*whatsapp.chromium_args, *ARGS])
                command = (here.node, str(BARE), str(here.modules), here.chromium, args, str(next(folders)))
                process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
                assert process.stdout is not None
                assert await process.stdout.readline() == b"qr\n"
                seconds = time.perf_counter() - began
                await process.wait()
                return seconds

            to_qr = await interleaved(ROUNDS, {"ours": ours, "bare": bare})
            restarts = await _restarts(here, next(folders), whatsapp.account("15550100", "Agent"))
    return [
        Figure(
            "WhatsApp Web: start to QR code (median)", statistics.median(to_qr["ours"]), "s", statistics.median(to_qr["bare"]), at_most(1.3, "ratio")
        ),
        Figure("WhatsApp Web: stored login to ready (median)", statistics.median(restarts), "s", target=at_most(3)),
    ]


async def _restarts(here: Machine, folder: Path, account: Account) -> list[float]:
    first = Run(here, folder)
    await first.seconds_to(InstanceState.QR_READY)
    await first.link(account)
    await first.provider.stop()
    seconds: list[float] = []
    for _ in range(ROUNDS):
        run = Run(here, folder)
        seconds.append(await run.seconds_to(InstanceState.READY))
        await run.provider.stop()
    return seconds
