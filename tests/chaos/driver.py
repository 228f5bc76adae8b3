"""Numbered messages both ways, while one thing after another goes wrong; in the end everything is counted."""

import random
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from tests.chaos.clocks import Clock, compiled
from tests.chaos.events import EVENTS, Scene, possible
from tests.chaos.store import store
from tests.managers import managers
from tests.postgres import execute
from tests.stored import one
from tests.traffic import Traffic, traffic
from tests.waiting import until

LEASE = 3.0
"""Seconds; with the ten of every day, most of the time would be waiting."""
EACH_WAY = 20
"""Messages each way between two looks at the time."""
WORKERS = 16


@dataclass
class Round:
    """What happened under one kind of event, all times taken together."""

    times: int = 0
    seconds: float = 0.0
    sent: int = 0
    repeats: int = 0
    unknown: int = 0


@dataclass
class Report:
    seed: int
    seconds: float = 0.0
    rounds: dict[str, Round] = field(default_factory=dict[str, Round])
    counted: dict[str, int] = field(default_factory=dict[str, int])
    lacking: list[str] = field(default_factory=list[str])
    """What could not be made to go wrong on this machine."""

    def table(self) -> str:
        """Return the figures as Markdown."""
        lines = [
            f"Seed {self.seed}, {self.seconds:.0f} s.",
            "",
            "| what went wrong | times | seconds | messages sent | calls repeated | fate unknown |",
        ]
        lines.append("|---|--:|--:|--:|--:|--:|")
        for name, found in self.rounds.items():
            lines.append(f"| {name} | {found.times} | {found.seconds:.0f} | {found.sent} | {found.repeats} | {found.unknown} |")
        lines += ["", "| counted at the end | |", "|---|--:|", *(f"| {name} | {count} |" for name, count in self.counted.items())]
        if self.lacking:
            lines += ["", f"Not possible on that machine: {', '.join(self.lacking)}."]
        return "\n".join(lines)


async def besieged(
    folder: Path, *, seconds: float, seed: int, count: int = 3, only: Collection[str] = EVENTS, say: Callable[[str], None] = print
) -> Report:
    """Let one thing after another go wrong around `count` managers, for so many seconds and each kind of `only` at least once.

    Return the figures. Raises AssertionError where something was lost, doubled, out of order or reported wrongly.
    """
    report = Report(seed)
    chance = random.Random(seed)
    library = compiled(folder)
    theirs, ours = Clock("database", folder, library), Clock("managers", folder, library)
    began = time.monotonic()
    async with store(folder, theirs) as place, traffic(place.url, seed=seed, telegrams=3, slacks=2, discords=1, chats=8) as flowing:
        flowing.workers = WORKERS
        # Empty ones do nothing.
        preload = {name: ours.env.get(name, "") for name in ("LD_PRELOAD", "CHAOS_CLOCK")}
        async with managers(place.url, folder, lease=LEASE, seed=seed, count=count, **preload) as cluster:
            scene = Scene(place, cluster, ours, chance)
            kinds = [name for name in possible(scene) if name in only]
            report.lacking = [name for name in only if name not in kinds]
            await flowing.open(cluster.members[0])
            order = list[str]()
            while time.monotonic() - began < seconds or len(report.rounds) < len(kinds):
                order = order or chance.sample(kinds, len(kinds))
                name = order.pop()
                say(f"{time.monotonic() - began:6.1f} s: {name}")
                await _round(scene, flowing, name, report.rounds.setdefault(name, Round()))
            await cluster.until_up()
            async with anyio.create_task_group() as meanwhile:
                meanwhile.start_soon(_time_passes, place.url)
                await flowing.until_quiet()
                meanwhile.cancel_scope.cancel()
        report.counted = {**flowing.count(), **Counter(cluster.deaths)}
        # What a call took that was cut short by the stop has to end by itself.
        await until(lambda: one(place.url, "SELECT count(*) FROM leases WHERE expires_at > now()") == 0)
        assert one(place.url, "SELECT count(*) FROM deliveries WHERE lease_until > now()") == 0
        assert cluster.complaints() == []
    report.seconds = time.monotonic() - began
    return report


async def _time_passes(url: str) -> None:
    """As if the pauses were over that webhooks make after failures: after several they last for minutes, and in the end for hours."""
    while True:
        execute(url, "UPDATE deliveries SET run_at = now() WHERE status = 'pending' AND run_at > now()", "DELETE FROM delivery_endpoints")
        await anyio.sleep(1.0)


async def _round(scene: Scene, flowing: Traffic, name: str, figures: Round) -> None:
    began, sent, repeats, unknown = time.monotonic(), len(flowing.told), flowing.repeats, _unknown(flowing)
    is_over = False

    async def happen() -> None:
        nonlocal is_over
        await EVENTS[name](scene)
        is_over = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(happen)
        while not is_over:
            await flowing.flow(scene.managers, EACH_WAY)
    await scene.managers.until_up()
    figures.times += 1
    figures.seconds += time.monotonic() - began
    figures.sent += len(flowing.told) - sent
    figures.repeats += flowing.repeats - repeats
    figures.unknown += _unknown(flowing) - unknown


def _unknown(flowing: Traffic) -> int:
    return Counter(flowing.told.values())["unknown"]
