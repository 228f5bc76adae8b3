"""Does a call's work with something beside it that goes on as long, such as signs of life."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import anyio

from providers.errors import MessengerError

T = TypeVar("T")


async def alongside(beside: Callable[[], Coroutine[Any, Any, None]], work: Callable[[], Awaitable[T]]) -> T:
    """Return what `work` returns, or raise its MessengerError; `beside` is cancelled then."""
    failure: MessengerError | None = None
    done: list[T] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beside)
        try:
            done.append(await work())
        except MessengerError as error:
            # Raised in here, it would leave as a group of one.
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return done[0]
