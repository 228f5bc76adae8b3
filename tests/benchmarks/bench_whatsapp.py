"""WhatsApp Web beside the bare library, against the stand-in: to the first QR code, from a stored login to ready, and memory at rest.

The memory is that of the bridge or of the bare program with its browser (PSS: a page that processes share counts once), with the light page and
with one as heavy as WhatsApp's own.
"""

import asyncio
import json
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from providers.base import ProviderContext
from providers.events import Event, StateChanged
from providers.states import InstanceState
from providers.whatsappweb.machine import Machine
from providers.whatsappweb.provider import WhatsAppWebProvider
from providers.whatsappweb.settings import WhatsAppWebSettings
from tests.benchmarks.figures import Figure, at_most, interleaved
from tests.providers.whatsappweb import machine
from tests.standins.whatsapp_web import Account, WhatsAppStandIn

ROUNDS = 7
IDLE = 20.0
"""Seconds that a browser gets to come to rest."""
BARE = Path(__file__).parent / "bare_whatsapp.cjs"
BARE_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--disable-dev-shm-usage"]  # fmt: skip


class Run(Protocol):
    """One start, with the moments at which it told its states."""

    async def seconds_to_qr(self) -> float: ...
    async def link(self, account: Account) -> None: ...
    async def seconds_to_ready(self) -> float: ...
    async def stop(self) -> None: ...


class Ours(Run):
    def __init__(self, machine: Machine, folder: Path) -> None:
        self.provider = WhatsAppWebProvider(WhatsAppWebSettings(), ProviderContext("bench", ssl.create_default_context(), folder), machine=machine)
        self._told: dict[InstanceState, asyncio.Event] = {state: asyncio.Event() for state in InstanceState}

    async def deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, StateChanged):
                self._told[event.state].set()

    async def _seconds_to(self, state: InstanceState) -> float:
        began = time.perf_counter()
        await self.provider.start(self.deliver)
        async with asyncio.timeout(60):
            await self._told[state].wait()
        return time.perf_counter() - began

    async def seconds_to_qr(self) -> float:
        return await self._seconds_to(InstanceState.QR_READY)

    async def seconds_to_ready(self) -> float:
        return await self._seconds_to(InstanceState.READY)

    async def link(self, account: Account) -> None:
        assert self.provider.state.qr is not None
        account.scan(self.provider.state.qr.content)
        async with asyncio.timeout(60):
            await self._told[InstanceState.READY].wait()

    async def stop(self) -> None:
        await self.provider.stop()


class Bare(Run):
    def __init__(self, machine: Machine, folder: Path) -> None:
        args = json.dumps([*json.loads(machine.chromium_args), *BARE_ARGS])
        self._command = (machine.node, str(BARE), str(machine.modules), machine.chromium, args, str(folder))
        self._qr = ""

    async def _line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            return (await self._process.stdout.readline()).decode().strip()

    async def _start(self) -> None:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._command, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)

    async def seconds_to_qr(self) -> float:
        began = time.perf_counter()
        await self._start()
        kind, _, self._qr = (await self._line()).partition(" ")
        assert kind == "qr"
        return time.perf_counter() - began

    async def seconds_to_ready(self) -> float:
        began = time.perf_counter()
        await self._start()
        assert await self._line() == "ready"
        return time.perf_counter() - began

    async def link(self, account: Account) -> None:
        account.scan(self._qr)
        assert await self._line() == "ready"

    async def stop(self) -> None:
        self._process.terminate()
        await self._process.wait()


def megabytes(folder: Path) -> float:
    """Memory of every process below this one that works in the folder, and of their parents."""
    tree = psutil.Process().children(recursive=True)
    found = {process for process in tree if str(folder) in " ".join(process.cmdline()) or str(folder) in process.environ().get("WA_DATA", "")}
    found |= {child for process in found for child in process.children(recursive=True)}
    return sum(process.memory_full_info().pss for process in found) / 1e6


async def idle(form: type[Ours] | type[Bare], here: Machine, folder: Path, account: Account) -> float:
    run = form(here, folder)
    await run.seconds_to_qr()
    await run.link(account)
    await run.stop()
    run = form(here, folder)  # as after each start but the first
    await run.seconds_to_ready()
    await asyncio.sleep(IDLE)
    found = megabytes(folder)
    await run.stop()
    return found


async def measure() -> list[Figure]:
    """Return nothing where the machine has no Node.js or Chromium."""
    try:
        found = (machine.node(), machine.chromium(), machine.modules())
    except pytest.skip.Exception as missing:
        print(f"whatsapp: {missing}", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as folder:
        folders = (Path(folder) / str(number) for number in count())
        async with WhatsAppStandIn() as whatsapp:
            here = Machine(*found, json.dumps(whatsapp.chromium_args))
            to_qr = await interleaved(ROUNDS, {"ours": lambda: _to_qr(Ours, here, next(folders)), "bare": lambda: _to_qr(Bare, here, next(folders))})
            places = {form: next(folders) for form in (Ours, Bare)}
            for number, (form, place) in enumerate(places.items()):
                first = form(here, place)
                await first.seconds_to_qr()
                await first.link(whatsapp.account(f"1555010{number}", "Agent"))
                await first.stop()
            again = await interleaved(
                ROUNDS, {"ours": lambda: _to_ready(Ours, here, places[Ours]), "bare": lambda: _to_ready(Bare, here, places[Bare])}
            )
        memory = [await _memory(found, folders, is_heavy=is_heavy) for is_heavy in (False, True)]
    return [
        _timed("start to QR code (median)", to_qr, 1.3),
        _timed("stored login to ready (median)", again, 1.5),
        *memory,
    ]


def _timed(what: str, seconds: dict[str, list[float]], limit: float) -> Figure:
    ours, bare = (statistics.median(seconds[form]) for form in ("ours", "bare"))
    return Figure(f"WhatsApp Web: {what}", ours, "s", bare, at_most(limit, "ratio"))


async def _to_qr(form: type[Ours] | type[Bare], here: Machine, folder: Path) -> float:
    run = form(here, folder)
    seconds = await run.seconds_to_qr()
    await run.stop()
    return seconds


async def _to_ready(form: type[Ours] | type[Bare], here: Machine, folder: Path) -> float:
    run = form(here, folder)
    seconds = await run.seconds_to_ready()
    await run.stop()
    return seconds


async def _memory(found: tuple[str, str, Path], folders: Iterator[Path], *, is_heavy: bool) -> Figure:
    async with WhatsAppStandIn(is_heavy=is_heavy) as whatsapp:
        here = Machine(*found, json.dumps(whatsapp.chromium_args))
        ours, bare = [
            await idle(form, here, next(folders), whatsapp.account(f"1555020{number}", "Agent")) for number, form in enumerate((Ours, Bare))
        ]
    page = "a page as heavy as the real one" if is_heavy else "a light page"
    return Figure(f"WhatsApp Web: memory at rest with {page}", ours, "MB", bare, at_most(1, "ratio"))
