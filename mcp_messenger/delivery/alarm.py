"""Wakes the one who carries out calls at their time, when there is a new one."""

import anyio


class Alarm:
    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Wake who waits, or who waits next."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Return after so many seconds, or as soon as it rings."""
        with anyio.move_on_after(seconds):
            await self._rung.wait()
        self._rung = anyio.Event()
