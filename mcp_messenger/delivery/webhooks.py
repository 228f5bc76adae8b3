"""Posts events to the instances' webhooks: each at least once, those of a chat in their order.

A delivery is a row, claimed for a while. Whoever dies with it in hand loses it to another when that time is over, so its receiver may get
it twice, with the same webhook-id. Several processes share the work.
"""

import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import anyio
import anyio.abc

from db import deliveries, history, messages
from db.database import Database
from db.deliveries import ClaimedDelivery, DeliveryOutcome
from db.events import TRACE
from db.messages import MessageRow
from mcp_messenger.delivery.connections import connections
from mcp_messenger.delivery.payload import Data, Payload, QrPart, payload_of
from mcp_messenger.delivery.webhook_request import SECONDS, Outcome, post
from mcp_messenger.delivery.webhook_target import PREFIX, Endpoint, endpoint_of
from mcp_messenger.errors import VaultError
from mcp_messenger.net.network_policy import NetworkPolicy
from mcp_messenger.observability.metrics import Metrics
from mcp_messenger.observability.tracing import span
from mcp_messenger.observability.workers import Workers
from mcp_messenger.security import login_codes
from mcp_messenger.security.vault import Vault

if TYPE_CHECKING:
    import aiohttp

TARGET = "webhook"
AT_ONCE = 64
AT_ONCE_OF_ONE = 32
POLL = 1.0
POLL_EMPTY = 30.0
"""Seconds, where no delivery waits: new ones come with an event, of which the reader of the event log tells."""
LEASE = SECONDS + 5.0
"""Of a delivery: what a post may take at most, and a little for what came of it to be written down. A chat of a process that died waits so long."""
ATTEMPTS = 12
FIRST_DELAY, FACTOR, LONGEST_DELAY = 5.0, 3.0, 6 * 3600.0
"""Seconds: 5 s, 15 s, 45 s, ... 6 h; twelve attempts take about a day."""
BREAKER = 5
"""Failures in a row after which an endpoint is left alone, first for PAUSE seconds, then twice as long each time."""
PAUSE, LONGEST_PAUSE = 15.0, 900.0
DRAIN = 5.0
"""Seconds that what is under way gets when this process stops."""
TIDY_EVERY = 60.0
WAIT_MAX, KEEP_DONE, KEEP_DEAD = 3 * 86_400.0, 86_400.0, 30 * 86_400.0


BROKEN = Outcome(None, "something broke on the server; its log says what")


def delay_after(attempts: int) -> float:
    """Seconds until the next attempt; a fifth more or less, so that not all come back at once."""
    delay = min(LONGEST_DELAY, FIRST_DELAY * FACTOR ** (attempts - 1))
    return delay * random.uniform(0.8, 1.2)  # noqa: S311 - nobody gains by guessing it


@dataclass(frozen=True)
class Ended:
    """An attempt that is over."""

    claimed: ClaimedDelivery
    outcome: Outcome

    @property
    def is_failure(self) -> bool:
        """Of the endpoint, and not only of this delivery."""
        return self.outcome.error is not None and not self.outcome.is_final

    def settled(self) -> DeliveryOutcome:
        claimed, outcome = self.claimed, self.outcome
        if outcome.error is None:
            return DeliveryOutcome(claimed.id, claimed.lease_until, "done")
        if outcome.is_final or claimed.attempts >= ATTEMPTS:
            return DeliveryOutcome(claimed.id, claimed.lease_until, "dead", error=outcome.error)
        delay = delay_after(claimed.attempts) if outcome.retry_after is None else outcome.retry_after
        return DeliveryOutcome(claimed.id, claimed.lease_until, "pending", delay, outcome.error)


class Webhooks:
    def __init__(
        self,
        database: Database,
        *,
        vault: Callable[[], Vault],
        policy: NetworkPolicy,
        tls: Callable[[], ssl.SSLContext],
        metrics: Metrics,
        workers: Workers,
    ) -> None:
        self._database = database
        self._worker = workers.worker("webhooks")
        self._tidying = workers.worker("webhooks tidying")
        self._metrics = metrics
        self._vault = vault
        self._policy = policy
        self._tls = tls
        self._opened = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None
        self._busy: Counter[UUID] = Counter()
        self._scopes: set[anyio.CancelScope] = set()
        self._ended: list[Ended] = []
        self._cut_short: list[ClaimedDelivery] = []
        self._wake = anyio.Event()

    def wake(self) -> None:
        """There may be something to deliver."""
        self._wake.set()

    async def run(self) -> None:
        async with AsyncExitStack() as opened:
            self._opened = opened
            async with anyio.create_task_group() as posts:
                posts.start_soon(self._tidying.keep, self._tidy, partial(anyio.sleep, TIDY_EVERY))
                try:
                    await self._worker.keep(partial(self._look, posts))
                finally:
                    await self._drain()

    def _connections(self) -> AbstractAsyncContextManager["aiohttp.ClientSession"]:
        return connections(self._policy, tls=self._tls(), at_once=AT_ONCE)

    async def _look(self, posts: anyio.abc.TaskGroup) -> None:
        self._wake = anyio.Event()
        await self._settle()
        # First the cheap question: most events are for no webhook.
        is_waiting = await deliveries.has_pending(self._database, TARGET)
        found = is_waiting and await self._claim(posts)
        self._worker.works()
        if not found:
            with anyio.move_on_after(POLL if is_waiting else POLL_EMPTY):
                await self._wake.wait()

    async def _claim(self, posts: anyio.abc.TaskGroup) -> bool:
        """Whether there was something that is not wanted, so that there may be more at once."""
        free = AT_ONCE - len(self._scopes)
        if free <= 0:
            return False
        claimed = await deliveries.claim(self._database, TARGET, limit=free, each=AT_ONCE_OF_ONE, busy=self._busy, breaker=BREAKER, lease=LEASE)
        if not claimed:
            return False
        wanted = await self._wanted(claimed)
        if wanted and self._session is None:
            # Only now: what it imports would hold up the start of every process.
            self._session = await self._opened.enter_async_context(self._connections())
        for one, endpoint, message in wanted:
            scope = anyio.CancelScope(shield=True)
            self._scopes.add(scope)
            self._busy[one.instance_id] += 1
            posts.start_soon(self._deliver, one, endpoint, message, scope)
        return len(wanted) < len(claimed)

    async def _wanted(self, claimed: Sequence[ClaimedDelivery]) -> list[tuple[ClaimedDelivery, Endpoint, MessageRow | None]]:
        ids = [one.message_id for one in claimed if one.message_id is not None]
        found = {message.id: message for message in await messages.by_ids(self._database, ids)} if ids else {}
        rows = await deliveries.endpoints(self._database, list({one.instance_id for one in claimed}), prefix=PREFIX)
        endpoints: dict[UUID, Endpoint | None] = {}
        locked: dict[UUID, Outcome] = {}
        for id, row in rows.items():
            try:
                endpoints[id] = endpoint_of(row, self._vault())
            except VaultError as error:
                locked[id] = Outcome(None, error.detail)
        wanted: list[tuple[ClaimedDelivery, Endpoint, MessageRow | None]] = []
        ended: set[UUID] = set()
        unwanted: list[int] = []
        for one in claimed:
            endpoint, message = endpoints.get(one.instance_id), found.get(one.message_id or 0)
            if one.instance_id in locked:
                self._ended.append(Ended(one, locked[one.instance_id]))
            elif endpoint is None:
                ended.add(one.instance_id)
            elif one.type is None or not endpoint.config.wants(one, message):
                unwanted.append(one.id)
            else:
                wanted.append((one, endpoint, message))
        if ended:
            await deliveries.end(self._database, list(ended), TARGET)
        if unwanted:
            await deliveries.drop(self._database, unwanted)
        return wanted

    async def _deliver(self, claimed: ClaimedDelivery, endpoint: Endpoint, message: MessageRow | None, scope: anyio.CancelScope) -> None:
        outcome: Outcome | None = None
        try:
            with self._worker.contained(instance_id=str(claimed.instance_id)) as contained, scope:
                payload = payload_of(claimed, endpoint.provider, message, await self._qr(claimed, endpoint))
                ids = {"instance_id": claimed.instance_id, "event_id": claimed.event_id, "message_id": claimed.message_id}
                with span("webhook", parent=(claimed.data or {}).get(TRACE), **ids):
                    outcome = await self._post(endpoint, payload)
            if contained.error is not None:
                outcome = BROKEN
        finally:
            self._scopes.discard(scope)
            self._busy[claimed.instance_id] -= 1
            if not self._busy[claimed.instance_id]:
                del self._busy[claimed.instance_id]
            if outcome is None:
                self._cut_short.append(claimed)
            else:
                self._ended.append(Ended(claimed, outcome))
            self._wake.set()

    async def _post(self, endpoint: Endpoint, payload: Payload) -> Outcome:
        assert self._session is not None
        return await post(self._session, endpoint, payload.id, payload.text())

    async def _qr(self, claimed: ClaimedDelivery, endpoint: Endpoint) -> QrPart | None:
        sequence = (claimed.data or {}).get("sequence")
        if claimed.type != "state" or sequence is None:
            return None
        code = await history.current_qr(self._database, claimed.instance_id)
        if code is None or code.sequence != sequence or code.sealed is None or code.expires_at <= datetime.now(UTC):
            return QrPart(sequence=sequence)
        current = login_codes.unsealed(self._vault(), claimed.instance_id, code) if endpoint.config.names_qr else None
        return QrPart(sequence=sequence, expires_at=code.expires_at, content=current and current.qr)

    async def _settle(self) -> None:
        """Record outcomes before new attempts start; while the store is away they are kept for the next time."""
        ended = list(self._ended)
        if not ended:
            return
        working = {one.claimed.instance_id for one in ended if not one.is_failure}
        settled = [one.settled() for one in ended]
        self._count(ended, settled)
        # First of all, so that nobody goes there again before it is known.
        await self._note_failures([one for one in ended if one.is_failure and one.claimed.instance_id not in working])
        written = await deliveries.settle(self._database, TARGET, settled, working=list(working))
        del self._ended[: len(ended)]
        dead = {
            (one.claimed.instance_id, one.outcome.error)
            for one, how in zip(ended, settled, strict=True)
            if how.status == "dead" and how.id in written
        }
        for instance_id, error in dead:
            await history.record_error(self._database, instance_id, "webhook_dead", f"An event could not be delivered: {error}.")

    def _count(self, ended: Sequence[Ended], settled: Sequence[DeliveryOutcome]) -> None:
        now = datetime.now(UTC)
        for one, how in zip(ended, settled, strict=True):
            began = one.claimed.at or one.claimed.created_at
            self._metrics.delivered(one.claimed.instance_id, TARGET, how.status, max(0.0, (now - began).total_seconds()))

    async def _note_failures(self, failures: Sequence[Ended]) -> None:
        counts = Counter(one.claimed.instance_id for one in failures)
        last = {one.claimed.instance_id: one.outcome for one in failures}
        for instance_id, count in counts.items():
            outcome = last[instance_id]
            if outcome.retry_after is not None:
                await deliveries.pause(self._database, instance_id, TARGET, outcome.retry_after)
            elif await deliveries.failed(self._database, instance_id, TARGET, count=count, breaker=BREAKER, pause=PAUSE, longest=LONGEST_PAUSE):
                await history.record_error(self._database, instance_id, "webhook_down", f"The webhook is left alone for a while: {outcome.error}.")

    async def _drain(self) -> None:
        """What is under way gets a little time; what has not ended by then is given back, for another process or another day."""
        with anyio.move_on_after(3 * DRAIN, shield=True):
            for scope in self._scopes:
                scope.deadline = anyio.current_time() + DRAIN
            while self._scopes:
                self._wake = anyio.Event()
                await self._wake.wait()
            with self._worker.contained():
                await self._settle()
                if self._cut_short:
                    await deliveries.give_back(self._database, self._cut_short)

    async def _tidy(self) -> None:
        await deliveries.tidy(self._database, wait=WAIT_MAX, done=KEEP_DONE, dead=KEEP_DEAD)

    async def test(self, endpoint: Endpoint) -> tuple[Outcome, float]:
        """Post an event of the type test now; what came of it, and the milliseconds it took."""
        payload = Payload(
            type="test",
            id=f"test_{uuid4().hex}",
            timestamp=datetime.now(UTC),
            instance_id=str(endpoint.instance_id),
            provider=endpoint.provider,
            data=Data(),
        )
        began = time.perf_counter()
        async with self._connections() as session:
            outcome = await post(session, endpoint, payload.id, payload.text())
        return outcome, (time.perf_counter() - began) * 1000
