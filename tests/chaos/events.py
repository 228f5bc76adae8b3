"""What goes wrong, each for a few seconds, and is then undone."""

import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import anyio

from tests.chaos.clocks import Clock
from tests.chaos.store import Store
from tests.managers import Managers
from tests.refusals import refusing

LONG = 3.5
"""Seconds; longer than a lease of the managers."""
SHORT = 1.0
JUMPS = (3600, -3600, 90, -90)
"""Seconds by which a clock is put forward or back."""


@dataclass(frozen=True)
class Scene:
    store: Store
    managers: Managers
    clock: Clock
    """The managers'."""
    random: random.Random


Event = Callable[[Scene], Awaitable[None]]


async def _manager_killed(scene: Scene) -> None:
    scene.random.choice(scene.managers.members).signal(signal.SIGKILL)
    await anyio.sleep(SHORT)


async def _all_managers_killed(scene: Scene) -> None:
    for manager in scene.managers.members:
        manager.signal(signal.SIGKILL)
    await anyio.sleep(SHORT)


async def _manager_frozen(scene: Scene) -> None:
    frozen = scene.random.choice(scene.managers.members)
    frozen.signal(signal.SIGSTOP)
    try:
        await anyio.sleep(LONG)
    finally:
        frozen.signal(signal.SIGCONT)


async def _store_killed(scene: Scene) -> None:
    scene.store.primary.signal(signal.SIGKILL)
    await anyio.sleep(SHORT)


async def _store_frozen(scene: Scene) -> None:
    scene.store.primary.signal(signal.SIGSTOP)
    try:
        await anyio.sleep(LONG)
    finally:
        scene.store.primary.signal(signal.SIGCONT)


async def _disk_full(scene: Scene) -> None:
    with scene.store.full():
        await anyio.sleep(LONG)


def _refused(how: str) -> Event:
    async def refuse(scene: Scene) -> None:
        with refusing(scene.store.primary.url, how):
            await anyio.sleep(LONG)
        # The pooler keeps sessions that began meanwhile, with the settings of that time: whoever lifts a refusal ends them.
        scene.store.primary.end_sessions()

    return refuse


async def _standby_answers(scene: Scene) -> None:
    """Point the pooler to the standby for a while before that is promoted."""
    standby = await scene.store.add_standby()
    scene.store.pooler.point(standby)
    await anyio.sleep(SHORT)
    await scene.store.fail_over(standby)


async def _failover(scene: Scene) -> None:
    standby = await scene.store.add_standby()
    await anyio.sleep(SHORT)
    await scene.store.fail_over(standby)


async def _pooler_restarted(scene: Scene) -> None:
    scene.store.pooler.kill()
    await anyio.sleep(SHORT)
    scene.store.pooler.start()


async def _clock_jumps(scene: Scene, clock: Clock) -> None:
    clock.set(scene.random.choice(JUMPS))
    await anyio.sleep(LONG)
    clock.set(0)


async def _database_clock(scene: Scene) -> None:
    await _clock_jumps(scene, scene.store.clock)


async def _managers_clock(scene: Scene) -> None:
    await _clock_jumps(scene, scene.clock)


EVENTS: Mapping[str, Event] = {
    "a manager killed": _manager_killed,
    "all managers killed": _all_managers_killed,
    "a manager frozen": _manager_frozen,
    "the store killed": _store_killed,
    "the store frozen": _store_frozen,
    "the disk full": _disk_full,
    "writes refused (read-only)": _refused("read only"),
    "writes refused (deadlocks)": _refused("deadlock"),
    "tables locked": _refused("locked"),
    "statements cancelled": _refused("cancelled"),
    "a standby answers, then takes over": _standby_answers,
    "failover to the standby": _failover,
    "the pooler restarted": _pooler_restarted,
    "the database's clock jumps": _database_clock,
    "the managers' clock jumps": _managers_clock,
}


def possible(scene: Scene) -> list[str]:
    """Return what can go wrong on this machine."""
    lacking = {"the disk full"} if not scene.store.has_disk else set[str]()
    if not scene.clock.env:
        lacking |= {"the database's clock jumps", "the managers' clock jumps"}
    return [name for name in EVENTS if name not in lacking]
