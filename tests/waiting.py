"""The one way in which tests wait for what no event announces: they look again until it is so."""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

import anyio

PATIENCE = 60.0
"""Seconds that a test waits at most for what must come; long, since a busy machine is slow and nothing has failed."""
PAUSE = 0.02

T = TypeVar("T")


@overload
async def until(look: Callable[[], Awaitable[T]], within: float = ..., pause: float = ...) -> T: ...
@overload
async def until(look: Callable[[], T], within: float = ..., pause: float = ...) -> T: ...
async def until(look: Callable[[], Any], within: float = PATIENCE, pause: float = PAUSE) -> Any:
    """Return what `look` gives as soon as that is true, looking every `pause` seconds. Raises AssertionError with what it gave last."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"After {within:.0f} s there is still only {found!r}."
        await anyio.sleep(pause)


def until_blocking(look: Callable[[], T], within: float = PATIENCE) -> T:
    """The same where there is no event loop."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, f"After {within:.0f} s there is still only {found!r}."
        time.sleep(PAUSE)
    return found


async def until_answer(ask: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], within: float = PATIENCE) -> T:
    """Return the first answer that is wanted. Raises AssertionError with the last one."""
    deadline = time.monotonic() + within
    while not wanted(answer := await ask()):
        assert time.monotonic() < deadline, f"After {within:.0f} s the answer is still {answer!r}."
        await anyio.sleep(PAUSE)
    return answer
