"""Has agents answer what comes in: a run for each batch of a chat, and its answer once.

The answer's idempotency key is made of the first delivery of its batch. Who dies before the answer is queued has the run made again; who
dies after it finds the answer there (agent_answer.py).
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import anyio
import anyio.abc

from db import agents, batches, chat_addresses, deliveries, history, instances, messages
from db.batches import TARGET, AnswerProgress, BatchedMessage
from db.deliveries import ClaimedDelivery
from db.errors import StoreUnavailable
from db.events import TRACE
from db.instances import InstanceRow
from mcp_messenger.agents.agent import Agent
from mcp_messenger.agents.answer import Answer, AnswerServices
from mcp_messenger.agents.batch import LEASE, Batch, Hold, Lost, StopPressed, TakenOver, key_of
from mcp_messenger.agents.directory import AgentDirectory, routed
from mcp_messenger.agents.guards import BOT_WINDOW, WINDOW, Situation, Verdict, judge
from mcp_messenger.agents.run import Run, typing
from mcp_messenger.config.quiet_hours import Quiet, parse_quiet
from mcp_messenger.errors import AgentFailed, ApprovalRequired, PolicyDenied, quoted
from mcp_messenger.instances import classes
from mcp_messenger.observability.tracing import span
from mcp_messenger.observability.workers import Workers
from mcp_messenger.policy.waking import Incoming, held_back
from mcp_messenger.relay.port import RemotePort
from providers.base import Provider
from providers.errors import MessengerError, RateLimited
from providers.models import ChatKind

log = logging.getLogger(__name__)

AT_ONCE, AT_ONCE_OF_ONE = 16, 8
POLL = 1.0
"""Seconds, while events wait for an agent, and while none does: new ones wake this."""
FIRST_DELAY, FACTOR, LONGEST_DELAY = 5.0, 3.0, 900.0
WINDOW_HOURS = 24
"""So long a message is answered after all, where the platform names no window."""
GIVE_BACK_WITHIN = 5.0
NEVER = 10**9


class Agents:
    def __init__(
        self,
        services: AnswerServices,
        *,
        directory: AgentDirectory,
        quiet: Quiet | None,
        workers: Workers,
        idle: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`idle`: seconds between two looks where no delivery waits."""
        self._worker = workers.worker("agents")
        self._idle = idle
        self._services = services
        self._database = services.database
        self.directory = directory
        self._quiet = quiet
        self._now = now
        self._running = 0
        self._wake = anyio.Event()

    def wake(self) -> None:
        """There may be something to answer."""
        self._wake.set()

    async def run(self) -> None:
        """Answer until cancelled. Return at once where no agent is set: what is asked waits for a process that has one."""
        if self.directory.is_empty:
            return
        async with anyio.create_task_group() as runs:
            await self._worker.keep(partial(self._claim, runs), self._wait)

    async def _wait(self) -> None:
        with anyio.move_on_after(POLL if await deliveries.has_pending(self._database, TARGET) else self._idle):
            await self._wake.wait()

    async def _claim(self, runs: anyio.abc.TaskGroup) -> None:
        self._wake = anyio.Event()
        if self._running >= AT_ONCE or not await deliveries.has_pending(self._database, TARGET):
            return
        free = AT_ONCE - self._running
        claimed = await deliveries.claim(self._database, TARGET, limit=free, each=AT_ONCE_OF_ONE, busy={}, breaker=NEVER, lease=LEASE)
        for one in claimed:
            self._running += 1
            runs.start_soon(self._guarded, one)

    async def _guarded(self, claimed: ClaimedDelivery) -> None:
        instance_id = str(claimed.instance_id)
        try:
            # While the store is away it stays claimed, and comes again when its time is over.
            with self._worker.contained(instance_id=instance_id):
                try:
                    with span("agent", parent=(claimed.data or {}).get(TRACE), instance_id=claimed.instance_id, event_id=claimed.event_id):
                        await self._look_at(claimed)
                except StopPressed:
                    log.info("a person stopped the answer", extra={"instance_id": instance_id})
                except Lost:
                    log.warning("another process answers this", extra={"instance_id": instance_id})
        finally:
            self._running -= 1
            self._wake.set()

    async def _look_at(self, claimed: ClaimedDelivery) -> None:
        row = await instances.get(self._database, claimed.instance_id)
        if row is None or not row.agno_enable or not row.agent_id:
            await deliveries.end(self._database, [claimed.instance_id], TARGET)
            return
        progress = await batches.progress(self._database, claimed.id, key_of(claimed.id))
        if progress.is_queued:
            await batches.ended(self._database, claimed.id)
            return
        asked = await batches.take(
            self._database,
            row.id,
            claimed.chat_id or "",
            head=claimed.id,
            lease_until=claimed.lease_until,
            has_answer=progress.is_growing,
            lease=LEASE,
        )
        if asked:
            hold = Hold(self._database, [one.id for one in asked], asked[0].lease_until, lease=LEASE)
            await hold.kept(partial(self._decide, row, claimed, asked, hold, progress))

    async def _decide(
        self, row: InstanceRow, claimed: ClaimedDelivery, asked: Sequence[BatchedMessage], hold: Hold, progress: AnswerProgress
    ) -> None:
        found = await messages.by_ids(self._database, [one.message_id for one in asked if one.message_id is not None and not one.outgoing])
        chat_id, kind = claimed.chat_id or "", ChatKind(claimed.chat_kind or ChatKind.UNKNOWN)
        batch = Batch(
            row,
            chat_id,
            kind,
            sorted(found, key=lambda message: message.id),
            claimed.attempts,
            hold,
            await chat_addresses.succession(self._database, row.id, chat_id),
        )
        agent_id = routed(row, chat_id, kind)
        if agent_id is None or not await self._may_wake(batch):
            await hold.end("done", "No agent is to answer in this chat." if agent_id is None else "The policy lets this chat wake no agent.")
            return
        try:
            verdict = Verdict() if progress.is_growing and found else await self._judged(batch, asked)
        except AgentFailed as error:
            await self._failed(batch, error)
            return
        if verdict.pause:
            await agents.set_mode(self._database, row.id, chat_id, "paused", seconds=verdict.pause, reason=verdict.skip, noticed=True)
        if verdict.skip is not None:
            await hold.end("done", verdict.skip)
        elif verdict.wait:
            await hold.again(verdict.wait)
        else:
            await self._answer(agent_id, batch, progress)

    async def _may_wake(self, batch: Batch) -> bool:
        mentions = any(message.content.get("mentions_me") for message in batch.messages)
        words = Incoming(batch.row.id, batch.chat_id, mentions)
        return not await held_back(self._database, [words])

    async def _judged(self, batch: Batch, asked: Sequence[BatchedMessage]) -> Verdict:
        """Raises AgentFailed when the hours in which the agent is silent cannot be read."""
        id, chat_id = batch.row.id, batch.chat_id
        return judge(
            Situation(
                batch=asked,
                messages=batch.messages,
                chat_kind=batch.chat_kind,
                mode=await agents.mode(self._database, id, chat_id),
                runs=await agents.runs(self._database, id, chat_id, seconds=WINDOW),
                runs_in_hour=await agents.runs(self._database, id, chat_id, seconds=BOT_WINDOW),
                quiet=self._quiet_of(batch.row),
                now=self._now(),
            )
        )

    def _quiet_of(self, row: InstanceRow) -> Quiet | None:
        if row.quiet_hours is None:
            return self._quiet
        try:
            return parse_quiet(row.quiet_hours)
        except ValueError as error:
            # It could be read where it was set, and this is another computer.
            raise AgentFailed(f"The instance's quiet_hours are {row.quiet_hours!r}: {error}.") from None

    def _agent(self, agent_id: str) -> Agent:
        """Raises AgentFailed for one that this server does not know: another one may."""
        agent = self.directory.get(agent_id)
        if agent is None:
            raise AgentFailed(f"This server has no agent {quoted(agent_id)}.")
        return agent

    async def _answer(self, agent_id: str, batch: Batch, progress: AnswerProgress) -> None:
        cls = await classes.load(batch.row.provider)
        port = self._port(batch)
        answer = Answer(self._services, batch, cls, port, progress if progress.is_growing else AnswerProgress(None, None, None))
        hours = cls.limits.reply_window_hours or WINDOW_HOURS
        try:
            if progress.is_growing and progress.answer is not None:
                await answer.finish(progress.answer)
            elif (self._now() - batch.messages[-1].sent_at).total_seconds() > hours * 3600:
                await self._give_up(batch, answer, f"It was not answered within {hours} h.")
            else:
                run = Run(self._database, self._agent(agent_id), agent_id, batch, cls, port)
                await answer.finish(await typing(port, cls, batch.chat_id, batch.messages[-1].platform_id, partial(answer.grown, run.answered)))
        except TakenOver:
            await batch.hold.end("done", "A person took over.")
        except StoreUnavailable:
            raise
        except (PolicyDenied, ApprovalRequired) as error:
            # An answer that waits for the owner is sent under the batch's own key.
            await answer.give_up("done", error.detail)
        except RateLimited as error:
            await batch.hold.again(error.retry_after)
        except MessengerError as error:
            await self._failed(batch, error)
        except anyio.get_cancelled_exc_class():
            # This process stops: another one, or the next start, has the run made again.
            with anyio.move_on_after(GIVE_BACK_WITHIN, shield=True), suppress(StoreUnavailable, MessengerError):
                if await batch.hold.is_stopped():
                    await answer.leave_off()
                else:
                    await batch.hold.again(0.0)
            raise

    def _port(self, batch: Batch) -> Provider | RemotePort:
        owned = self._services.supervisor.get(batch.row.id)
        return owned.provider if owned is not None else RemotePort(self._services.calls.asker(batch.row.id))

    async def _failed(self, batch: Batch, error: MessengerError) -> None:
        delay = min(LONGEST_DELAY, FIRST_DELAY * FACTOR ** min(10, batch.attempts - 1))
        await batch.hold.again(delay, error.detail)
        await history.record_error(self._database, batch.row.id, error.code, error.detail)

    async def _give_up(self, batch: Batch, answer: Answer, reason: str) -> None:
        await answer.give_up("dead", reason)
        await history.record_error(self._database, batch.row.id, AgentFailed.code, reason)
