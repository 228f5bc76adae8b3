"""Posts events to the instances' webhooks: each at least once, those of a chat in their order.

A delivery is a row, claimed for a while. Whoever dies with it in hand loses it to another when that time is over, so its receiver may get
it twice, with the same webhook-id. Several processes share the work.
"""

import random
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import anyio
import anyio.abc

from db import deliveries, history, messages, webhooks
from db.database import Database
from db.deliveries import ClaimedDelivery, DeliveryOutcome, Place
from db.events import TRACE
from db.messages import MessageRow
from db.webhooks import FIRST, number_of
from mcp_messenger.delivery.connections import connections
from mcp_messenger.delivery.payload import Data, Payload, QrPart, payload_of
from mcp_messenger.delivery.webhook_request import SECONDS, Outcome, post
from mcp_messenger.delivery.webhook_target import PREFIX, Endpoint, endpoint_of
from mcp_messenger.errors import VaultError
from mcp_messenger.net.network_policy import NetworkPolicy
from mcp_messenger.observability.metrics import Metrics
from mcp_messenger.observability.tracing import span
from mcp_messenger.observability.workers import Workers
from mcp_messenger.policy.waking import WORDS, Incoming, held_back
from mcp_messenger.security import login_codes
from mcp_messenger.security.vault import Vault

if TYPE_CHECKING:
    import aiohttp

SPREAD = 1000
"""Events of which the deliveries to further webhooks are written at once."""
AT_ONCE = 64
AT_ONCE_OF_ONE = 32
RUN = 16
"""Deliveries of a chat that are claimed together and posted one after the other, so that not each waits for the store."""
RUN_SECONDS = 2.0
"""After its claim, in which a post that follows another may begin: the lease outlasts it, and a webhook that was changed is soon heeded."""
POLL = 1.0
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
        """Whether the endpoint failed, and not only this delivery."""
        return self.outcome.error is not None and not self.outcome.is_final

    def settled(self) -> DeliveryOutcome:
        claimed, outcome = self.claimed, self.outcome
        if outcome.error is None:
            return DeliveryOutcome(claimed.id, claimed.lease_until, "done")
        if outcome.is_final or claimed.attempts >= ATTEMPTS:
            return DeliveryOutcome(claimed.id, claimed.lease_until, "dead", error=outcome.error)
        delay = delay_after(claimed.attempts) if outcome.retry_after is None else outcome.retry_after
        return DeliveryOutcome(claimed.id, claimed.lease_until, "pending", delay, outcome.error)


@dataclass(frozen=True)
class Wanted:
    """A delivery that is to be posted. `wakes`: policy lets these words wake an agent."""

    claimed: ClaimedDelivery
    endpoint: Endpoint
    message: MessageRow | None
    wakes: bool


@dataclass(frozen=True)
class Run:
    """Deliveries of a chat, to be posted in their order. The times are of the loop's clock."""

    place: Place
    wanted: Sequence[Wanted]
    claimed_at: float


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
        idle: float,
    ) -> None:
        """`idle`: seconds between two looks where no delivery waits."""
        self._database = database
        self._idle = idle
        self._worker = workers.worker("webhooks")
        self._tidying = workers.worker("webhooks tidying")
        self._metrics = metrics
        self._vault = vault
        self._policy = policy
        self._tls = tls
        self._opened = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None
        self._busy: Counter[Place] = Counter()
        self._failed_at: dict[Place, float] = {}
        """The last failure of an endpoint that is busy, of the loop's clock."""
        self._scopes: set[anyio.CancelScope] = set()
        self._ended: list[Ended] = []
        self._not_tried: list[ClaimedDelivery] = []
        self._is_stopping = False
        self._wake = anyio.Event()

    def wake(self) -> None:
        """There may be something to deliver."""
        self._wake.set()

    async def run(self) -> None:
        self._is_stopping = False
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
        work = await webhooks.work(self._database)
        is_more = work.is_behind and await webhooks.spread(self._database, limit=SPREAD)
        targets = (await webhooks.work(self._database)).targets if work.is_behind else work.targets
        # In any order: the deliveries of one must not take all the room each time.
        found = [await self._claim(posts, target) for target in random.sample(targets, len(targets))]
        self._worker.works()
        if not (is_more or any(found)):
            with anyio.move_on_after(POLL if targets else self._idle):
                await self._wake.wait()

    async def _claim(self, posts: anyio.abc.TaskGroup, target: str) -> bool:
        """Claim and post deliveries; return whether some were not wanted, so that more may be claimed at once."""
        free = AT_ONCE - len(self._scopes)
        if free <= 0:
            return False
        busy = {id: count for (id, of), count in self._busy.items() if of == target}
        claimed_at = anyio.current_time()
        claimed = await deliveries.claim(self._database, target, limit=free, each=AT_ONCE_OF_ONE, run=RUN, busy=busy, breaker=BREAKER, lease=LEASE)
        if not claimed:
            return False
        wanted = await self._wanted(claimed, target)
        if wanted and self._session is None:
            # Only now: what it imports would hold up the start of every process.
            self._session = await self._opened.enter_async_context(self._connections())
        chats: dict[tuple[UUID, str], list[Wanted]] = {}
        for one in wanted:
            chats.setdefault(_chat(one.claimed), []).append(one)
        for (instance_id, _), of_chat in chats.items():
            scope = anyio.CancelScope(shield=True)
            self._scopes.add(scope)
            self._busy[instance_id, target] += 1
            posts.start_soon(self._deliver, Run((instance_id, target), of_chat, claimed_at), scope)
        return len(wanted) < len(claimed)

    async def _wanted(self, claimed: Sequence[ClaimedDelivery], target: str) -> list[Wanted]:
        ids = [one.message_id for one in claimed if one.message_id is not None]
        found = {message.id: message for message in await messages.by_ids(self._database, ids)} if ids else {}
        rows = await deliveries.endpoints(self._database, {_place(one) for one in claimed}, prefix=PREFIX)
        endpoints: dict[UUID, Endpoint | None] = {}
        locked: dict[UUID, Outcome] = {}
        for (id, _), row in rows.items():
            try:
                endpoints[id] = endpoint_of(row, self._vault())
            except VaultError as error:
                locked[id] = Outcome(None, error.detail)
        wanted: list[Wanted] = []
        ended: set[UUID] = set()
        unwanted: list[int] = []
        tried: set[tuple[UUID, str]] = set()
        held = await self._held_back(claimed, endpoints, found)
        for one in claimed:
            endpoint, message = endpoints.get(one.instance_id), found.get(one.message_id or 0)
            if one.instance_id in locked and _chat(one) in tried:
                self._not_tried.append(one)
            elif one.instance_id in locked:
                tried.add(_chat(one))
                self._ended.append(Ended(one, locked[one.instance_id]))
            elif endpoint is None:
                ended.add(one.instance_id)
            elif one.type is None or not endpoint.config.wants(one, message) or (one.id in held and endpoint.config.only_waking):
                unwanted.append(one.id)
            else:
                wanted.append(Wanted(one, endpoint, message, wakes=one.id not in held))
        if ended:
            await deliveries.end(self._database, list(ended), target)
        if unwanted:
            await deliveries.drop(self._database, unwanted)
        return wanted

    async def _held_back(
        self, claimed: Sequence[ClaimedDelivery], endpoints: Mapping[UUID, Endpoint | None], found: Mapping[int, MessageRow]
    ) -> set[int]:
        """Return the ids of deliveries of others' words that wake no agent."""
        words: dict[int, Incoming] = {}
        for one in claimed:
            endpoint, message = endpoints.get(one.instance_id), found.get(one.message_id or 0)
            if endpoint is not None and one.chat_id is not None and one.type in WORDS and (message is None or not message.outgoing):
                mentions = message is not None and bool(message.content.get("mentions_me"))
                words[one.id] = Incoming(one.instance_id, one.chat_id, mentions)
        held = await held_back(self._database, list(set(words.values()))) if words else set[Incoming]()
        return {id for id, one in words.items() if one in held}

    async def _deliver(self, run: Run, scope: anyio.CancelScope) -> None:
        """Post the deliveries of a run up to the first that fails; those behind it are given back."""
        waiting = deque(run.wanted)
        try:
            with scope:
                while waiting and (len(waiting) == len(run.wanted) or self._may_go_on(run)):
                    await self._attempt(waiting.popleft())
        finally:
            self._scopes.discard(scope)
            self._not_tried += (one.claimed for one in waiting)
            self._busy[run.place] -= 1
            if not self._busy[run.place]:
                del self._busy[run.place]
                self._failed_at.pop(run.place, None)
            self._wake.set()

    def _may_go_on(self, run: Run) -> bool:
        """Return whether the next of a chat may be posted without a look at the store. Any failure of its endpoint is looked at first."""
        is_late = anyio.current_time() > run.claimed_at + RUN_SECONDS
        return not (is_late or self._is_stopping or self._failed_at.get(run.place, 0.0) >= run.claimed_at)

    async def _attempt(self, wanted: Wanted) -> None:
        claimed, endpoint = wanted.claimed, wanted.endpoint
        outcome: Outcome | None = None
        try:
            with self._worker.contained(instance_id=str(claimed.instance_id)) as contained:
                payload = payload_of(claimed, endpoint.provider, wanted.message, await self._qr(claimed, endpoint), wakes=wanted.wakes)
                ids = {"instance_id": claimed.instance_id, "event_id": claimed.event_id, "message_id": claimed.message_id}
                with span("webhook", parent=(claimed.data or {}).get(TRACE), **ids):
                    outcome = await self._post(endpoint, payload)
            if contained.error is not None:
                outcome = BROKEN
        finally:
            if outcome is None:
                self._not_tried.append(claimed)
            else:
                ended = Ended(claimed, outcome)
                self._ended.append(ended)
                if ended.is_failure:
                    self._failed_at[_place(claimed)] = anyio.current_time()

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
        if self._ended:
            await self._record(list(self._ended))
        if self._not_tried:
            not_tried = list(self._not_tried)
            await deliveries.give_back(self._database, not_tried)
            del self._not_tried[: len(not_tried)]

    async def _record(self, ended: Sequence[Ended]) -> None:
        working = {_place(one.claimed) for one in ended if not one.is_failure}
        settled = [one.settled() for one in ended]
        self._count(ended, settled)
        # First of all, so that nobody goes there again before it is known.
        await self._note_failures([one for one in ended if one.is_failure and _place(one.claimed) not in working])
        written: set[int] = set()
        for target in sorted({one.claimed.target for one in ended}):
            of_target = [how for one, how in zip(ended, settled, strict=True) if one.claimed.target == target]
            written |= await deliveries.settle(self._database, target, of_target, working=[id for id, of in working if of == target])
        del self._ended[: len(ended)]
        dead = {
            (_place(one.claimed), one.outcome.error) for one, how in zip(ended, settled, strict=True) if how.status == "dead" and how.id in written
        }
        for (instance_id, target), error in dead:
            await history.record_error(self._database, instance_id, "webhook_dead", f"An event could not be delivered{_to(target)}: {error}.")

    def _count(self, ended: Sequence[Ended], settled: Sequence[DeliveryOutcome]) -> None:
        now = datetime.now(UTC)
        for one, how in zip(ended, settled, strict=True):
            began = one.claimed.at or one.claimed.created_at
            self._metrics.delivered(one.claimed.instance_id, one.claimed.target, how.status, max(0.0, (now - began).total_seconds()))

    async def _note_failures(self, failures: Sequence[Ended]) -> None:
        counts = Counter(_place(one.claimed) for one in failures)
        last = {_place(one.claimed): one.outcome for one in failures}
        for (instance_id, target), count in counts.items():
            outcome = last[instance_id, target]
            if outcome.retry_after is not None:
                await deliveries.pause(self._database, instance_id, target, outcome.retry_after)
            elif await deliveries.failed(self._database, instance_id, target, count=count, breaker=BREAKER, pause=PAUSE, longest=LONGEST_PAUSE):
                words = f"The webhook{_named(target)} is left alone for a while: {outcome.error}."
                await history.record_error(self._database, instance_id, "webhook_down", words)

    async def _drain(self) -> None:
        """Give posts in flight a little time, and give back those that have not ended by then, for another process to claim."""
        with anyio.move_on_after(3 * DRAIN, shield=True):
            self._is_stopping = True
            for scope in self._scopes:
                scope.deadline = anyio.current_time() + DRAIN
            while self._scopes:
                self._wake = anyio.Event()
                await self._wake.wait()
            with self._worker.contained():
                await self._settle()

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


def _place(claimed: ClaimedDelivery) -> Place:
    return claimed.instance_id, claimed.target


def _chat(claimed: ClaimedDelivery) -> tuple[UUID, str]:
    return claimed.instance_id, claimed.chat_id or ""


def _named(target: str) -> str:
    """Return the number of a further webhook for a sentence; webhook 1 is the only one that most instances have."""
    number = number_of(target)
    return "" if number == FIRST else f" {number}"


def _to(target: str) -> str:
    return f" to webhook{_named(target)}" if _named(target) else ""
