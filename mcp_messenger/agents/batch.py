"""What one run of an agent answers, and the hold on it: while it is renewed, no other process runs the same."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import anyio

from db import batches
from db.database import Database
from db.errors import StoreUnavailable
from db.instances import InstanceRow
from db.messages import MessageRow
from providers.errors import MessengerError
from providers.models import ChatKind

log = logging.getLogger(__name__)

LEASE = 300.0
RENEWALS = 5
"""In the time of a lease."""

RENEW_WITHIN = 5.0
LOOK_EVERY = 1.0
"""Seconds between looks at whether somebody has stopped the answer."""


class Stopped(Exception):
    """The batch is not this run's to answer any more."""


class Lost(Stopped):
    """Another process has it."""


class TakenOver(Stopped):
    """A person answers in the chat."""


class StopPressed(Stopped):
    """A person pressed the platform's button that stops the answer."""


class Hold:
    """The deliveries of a batch while they are ours. What is written through it changes nothing once they are not."""

    def __init__(self, database: Database, ids: Sequence[int], until: datetime, *, lease: float) -> None:
        self.ids = tuple(ids)
        self._database = database
        self._until = until
        self._lease = lease
        # A renewal changes what all others are written with.
        self._turn = anyio.Lock()
        self._is_over = False

    async def kept(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do this while the batch is ours.

        Raises Lost soon after it is another's, StopPressed soon after somebody stopped it, and what `work` raises of MessengerError and Stopped.
        """
        failure: MessengerError | Stopped | None = Lost()
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._keep, beside.cancel_scope)
            try:
                await work()
                failure = None
            except (MessengerError, Stopped) as error:
                failure = error
            beside.cancel_scope.cancel()
        if isinstance(failure, Lost) and await self.is_stopped():
            raise StopPressed
        if failure is not None:
            raise failure

    async def is_stopped(self) -> bool:
        """Whether somebody stopped the answer, as far as the store tells."""
        with suppress(StoreUnavailable):
            return await batches.is_stopped(self._database, self.ids[0])
        return False

    async def _keep(self, work: anyio.CancelScope) -> None:
        pause = self._lease / RENEWALS
        renewed = anyio.current_time()
        while anyio.current_time() - renewed < self._lease - pause:
            await anyio.sleep(min(pause, LOOK_EVERY))
            try:
                if anyio.current_time() - renewed < pause:
                    await self._require_held()
                    continue
                await self._renew()
                renewed = anyio.current_time()
            except StoreUnavailable as error:
                log.warning("a question to an agent has not renewed its lease yet: %s", error)
            except Lost:
                break
        work.cancel()

    async def _require_held(self) -> None:
        async with self._turn:
            if not self._is_over and not await batches.is_held(self._database, self.ids, lease_until=self._until):
                raise Lost

    async def _renew(self) -> None:
        # Cut off in the middle, it would leave a lease whose end nobody knows.
        with anyio.move_on_after(RENEW_WITHIN, shield=True):
            async with self._turn:
                until = await batches.extend(self._database, self.ids, lease_until=self._until, lease=self._lease)
                if until is None:
                    raise Lost
                self._until = until

    async def show(self, text: str, answer: str | None = None) -> None:
        """Before it is shown in the chat. Raises Lost."""
        async with self._turn:
            if not await batches.show(self._database, self.ids[0], lease_until=self._until, shown=text, answer=answer):
                raise Lost

    async def end(self, status: str, error: str | None = None) -> None:
        """Done, or dead."""
        async with self._turn:
            self._is_over = True
            await batches.end(self._database, self.ids, status, error, lease_until=self._until)

    async def again(self, delay: float, error: str | None = None) -> None:
        """In so many seconds; without an error that was no attempt."""
        async with self._turn:
            self._is_over = True
            await batches.again(self._database, self.ids, delay, error, lease_until=self._until)


def key_of(head: int) -> str:
    """The idempotency key of the answer to the batch that this delivery is the first of."""
    return f"agno:{head}"


@dataclass(frozen=True)
class Batch:
    """A debounced batch: the messages of one chat that one run answers. `messages` are in their order, and at least one."""

    row: InstanceRow
    chat_id: str
    chat_kind: ChatKind
    messages: Sequence[MessageRow]
    attempts: int
    hold: Hold
    since: int | None = None
    """When somebody else took over the chat's id, in seconds since 1970: the agent begins a new conversation then. None: nobody did."""

    @property
    def key(self) -> str:
        return key_of(self.hold.ids[0])

    @property
    def key_of_rest(self) -> str:
        """Of what does not stand in the answer's first message."""
        return f"{self.key}:rest"

    @property
    def session(self) -> str:
        return f"{self.row.id}:{self.chat_id}" + ("" if self.since is None else f":{self.since}")
