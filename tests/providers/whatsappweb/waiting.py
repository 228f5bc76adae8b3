"""For what can only be looked at."""

from collections.abc import Callable

import anyio


async def until(happened: Callable[[], bool], seconds: float = 20) -> None:
    with anyio.fail_after(seconds):
        while not happened():  # noqa: ASYNC110  nothing tells of it
            await anyio.sleep(0.01)
