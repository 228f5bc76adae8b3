"""Sends, in the order of each chat, each once.

A send is a row before anything is tried. Its owner claims it, calls the provider, and settles it: sent with the platform's id;
failed; back to the queue where it surely did not go out; or unknown, and then it is never tried again by itself.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import anyio
import anyio.abc

from db import messages, outbox
from db.database import Database
from db.errors import StoreUnavailable
from db.events import TRACE
from db.messages import MessageRow
from mcp_messenger.config.timing import Timing
from mcp_messenger.delivery.feed import Feed
from mcp_messenger.delivery.inbound import Inbound
from mcp_messenger.delivery.journal import Outcome
from mcp_messenger.delivery.owned_instance import OwnedInstance
from mcp_messenger.errors import ApplicationError, IdempotencyConflict, NoSuchMessage
from mcp_messenger.observability.metrics import Metrics
from mcp_messenger.observability.tracing import carrier, span
from mcp_messenger.observability.workers import Worker, Workers
from mcp_messenger.policy.decide import NO_RULE
from mcp_messenger.policy.judging import Permit
from providers.drafts import fingerprint_of, kind_of, stored_draft
from providers.errors import MessengerError, RateLimited, Unreachable
from providers.kit.bounded import BoundedMap
from providers.models import ChatKind, Draft, Forwarded, SentMessage, Upload
from providers.states import WORKING

IDLE = 30.0
SOON = 0.05
PATIENCE = 1.0
"""A wait up to this long is sat out; a longer one goes back to the queue, so that a crash meanwhile leaves it surely unsent."""
LOOK_EVERY = 1.0
STOPPED_WAIT = 2.0
"""Seconds that a send is still waited for when the server stops; shorter than the server waits for its calls."""
REFUSALS = 4
"""How often the store may refuse an outcome for its own reasons until it is settled without what the platform said besides."""
FATES_KNOWN = 1000
"""Outcomes of the sends of this process that nobody has fetched."""
SLOW = 1.0
"""Seconds that the store may take for an outcome until that is written to the disk: a lock may hold it up, and the process may be killed."""
IN_CONTENT = {"location", "poll", "contact", "choices", "template"}
SETTLED = frozenset({"sent", "delivered", "read", "failed", "unknown"})


@dataclass(frozen=True, slots=True)
class Fate:
    """The outcome of a send, with the fields that its row has for it."""

    id: int
    chat_id: str
    status: str
    platform_id: str | None
    error: dict[str, Any] | None


class Outbox:
    def __init__(self, database: Database, feed: Feed, inbound: Inbound, metrics: Metrics, workers: Workers, timing: Timing) -> None:
        self._database = database
        self._workers = workers
        self._feed = feed
        self._inbound = inbound
        self._metrics = metrics
        self._timing = timing
        self._fates: BoundedMap[int, Fate] = BoundedMap(FATES_KNOWN)

    async def queue(
        self, instance_id: UUID, draft: Draft, *, kind: ChatKind, idempotency_key: str | None, permit: Permit, again_within: float = 0.0
    ) -> outbox.Queued:
        """Write a send down. With a key that was used: that one. `permit`: policy lets it go.

        `again_within`: seconds in which the same content to the same chat without a key is that earlier send and not one more; 0: it is one
        more. Raises IdempotencyConflict when the key was used for another send.
        """
        stored = stored_draft(draft)
        fingerprint = fingerprint_of(stored, draft.upload)
        stored["chat_kind"] = kind
        if trace := carrier():
            stored[TRACE] = trace
        content: dict[str, Any] = {"fingerprint": fingerprint} if idempotency_key or again_within else {}
        if permit.rule != NO_RULE:
            content["permit"] = {"rule": permit.rule, "by": permit.by}
        if draft.upload is not None:
            stored["upload"] = draft.upload.model_dump(mode="json", exclude={"content"})
            content["media"] = [{"kind": draft.upload.kind, "mime": draft.upload.mime, "name": draft.upload.name, "ref": ""}]
        if draft.forward is not None:
            content["forwarded"] = Forwarded().model_dump(mode="json", exclude_none=True)
        content |= draft.model_dump(mode="json", include=IN_CONTENT, exclude_defaults=True, exclude_none=True)
        row = await outbox.queue(
            self._database,
            instance_id=instance_id,
            chat_id=draft.chat_id,
            kind=kind_of(draft),
            body=draft.text or (draft.poll.question if draft.poll else ""),
            reply_to=draft.reply_to,
            content=content,
            idempotency_key=idempotency_key,
            draft=stored,
            upload=draft.upload.content if draft.upload else None,
            entry=permit.entry,
            again_within=0.0 if idempotency_key else again_within,
        )
        _require_same(row, fingerprint, idempotency_key)
        return row

    async def known(self, instance_id: UUID, draft: Draft, idempotency_key: str | None) -> int | None:
        """The number of the message that was asked for before under this key, whatever has become of the instance since.

        Raises IdempotencyConflict as `queue` does.
        """
        row = None if idempotency_key is None else await outbox.known(self._database, instance_id, idempotency_key)
        if row is None:
            return None
        _require_same(row, fingerprint_of(stored_draft(draft), draft.upload), idempotency_key)
        return row.id

    async def is_known(self, instance_id: UUID, idempotency_key: str | None) -> bool:
        """Return whether a send was asked for under this key."""
        return idempotency_key is not None and await outbox.known(self._database, instance_id, idempotency_key) is not None

    async def wait_settled(self, instance_id: UUID, message_id: int, seconds: float) -> MessageRow:
        """The message when its fate is known, or as it is when the time is over. Raises NoSuchMessage when it is purged meanwhile."""
        deadline = anyio.current_time() + seconds
        ends, is_ending = self._feed.ends, False
        while True:
            async with self._feed.waiter(instance_id, message_id) as grown:
                row = await messages.get(self._database, instance_id, message_id)
                if row is None:
                    raise NoSuchMessage(str(message_id))
                if ends.is_set() and not is_ending:
                    # Its caller gets its number, and may ask the next process what became of it.
                    is_ending, deadline = True, min(deadline, anyio.current_time() + STOPPED_WAIT)
                if row.status in SETTLED or anyio.current_time() >= deadline:
                    return row
                # A message that goes back to the queue makes no event: look again now and then.
                with anyio.move_on_after(min(LOOK_EVERY, deadline - anyio.current_time())):
                    await grown.wait()

    async def wait_new(self, instance_id: UUID, message_id: int, seconds: float) -> Fate | MessageRow:
        """The same of a message that has just been queued: what this process has settled itself, it need not read."""
        deadline = anyio.current_time() + seconds
        async with self._feed.waiter(instance_id, message_id) as grown:
            if message_id not in self._fates:
                with anyio.move_on_after(min(LOOK_EVERY, seconds)):
                    await grown.wait()
        fate = self._fates.pop(message_id)
        return fate or await self.wait_settled(instance_id, message_id, max(0.0, deadline - anyio.current_time()))

    async def run(self, owned: OwnedInstance) -> None:
        """Send what is queued for one instance until it is asked to stop; returns when what is under way has ended."""
        worker = self._workers.worker("outbox", instance_id=str(owned.row.id))
        self._inbound.owner_changed(owned.row.id)
        try:
            await worker.until_done(partial(self._settle_former, owned, worker))
            async with anyio.create_task_group() as sends:
                await worker.keep(partial(self._look, owned, worker, sends), going=lambda: not owned.stopping)
        finally:
            self._inbound.owner_changed(owned.row.id)

    async def _look(self, owned: OwnedInstance, worker: Worker, sends: anyio.abc.TaskGroup) -> None:
        owned.outgoing = anyio.Event()
        is_working = owned.provider.state.state in WORKING
        wait = await self._claim_and_send(owned, worker, sends) if is_working else IDLE
        worker.works()
        with anyio.move_on_after(wait):
            await owned.outgoing.wait()

    async def _settle_former(self, owned: OwnedInstance, worker: Worker) -> None:
        """Settle what former owners were sending: as they wrote it down on this machine, or else as unknown."""
        with worker.contained():
            owned.journal.adopt()
        for outcome in owned.journal.pending:
            await self._write(owned, outcome)
            owned.journal.settled(outcome.message_id)
        for message_id in await outbox.orphaned(self._database, owned.row.id, epoch=owned.epoch):
            detail = "The server stopped while this was being sent; it may have arrived."
            self._metrics.messages[owned.row.id, "unknown"] += 1
            await self._write(owned, Outcome(message_id=message_id, status="unknown", code="interrupted", message=detail))

    async def _claim_and_send(self, owned: OwnedInstance, worker: Worker, sends: anyio.abc.TaskGroup) -> float:
        """Return the seconds until there may be more to send."""
        owned.look_again = owned.look_again or bool(owned.in_flight)
        claims = await outbox.claim(self._database, owned.row.id, epoch=owned.epoch, in_flight=owned.in_flight)
        for claimed in claims:
            owned.in_flight.add(claimed.message_id)
            sends.start_soon(self._send, owned, worker, claimed)
        if claims:
            # The end of each wakes us; what comes due meanwhile waits no longer than this.
            return PATIENCE
        due = await outbox.next_due(self._database, owned.row.id)
        return IDLE if due is None else max(SOON, due)

    async def _send(self, owned: OwnedInstance, worker: Worker, claimed: outbox.ClaimedSend) -> None:
        message_id = claimed.message_id
        with worker.contained(message_id=message_id) as contained:
            await self._send_in_time(owned, claimed)
        if contained.error is not None:
            await self._end(owned, message_id, "unknown", "internal_error", "Something broke while this was being sent; it may have arrived.")
        owned.in_flight.discard(message_id)

    async def _send_in_time(self, owned: OwnedInstance, claimed: outbox.ClaimedSend) -> None:
        """Returns when it is settled, or in the queue again."""
        try:
            draft, kind = draft_of(claimed), ChatKind(claimed.draft["chat_kind"])
        except (KeyError, ValueError):
            await self._end(owned, claimed.message_id, "failed", "invalid_request", "This version cannot read what was queued.")
            return
        while (delay := owned.pacing.delay(claimed.chat_id, kind)) > 0:
            if delay > PATIENCE or owned.stopping:
                await self._requeue(owned, claimed, delay, "paced", "Waits for the platform's rate limit.", tried=False)
                return
            await anyio.sleep(delay)
        if owned.in_time():
            await self._send_now(owned, claimed, draft)
        else:
            # The next owner has settled it, or will find it in the queue.
            await self._requeue(owned, claimed, 0, "interrupted", "The server was held up before this was sent.", tried=False)

    async def _send_now(self, owned: OwnedInstance, claimed: outbox.ClaimedSend, draft: Draft) -> None:
        message_id = claimed.message_id
        began = time.monotonic()
        try:
            with span("send", instance_id=owned.row.id, provider=owned.row.provider, message_id=message_id, parent=claimed.draft.get(TRACE)):
                sent = await owned.provider.send(draft)
        except RateLimited as error:
            owned.pacing.block(error.retry_after, claimed.chat_id if error.of_chat else None)
            await self._again(owned, claimed, error, error.retry_after)
        except Unreachable as error:
            if error.maybe_sent:
                await self._end(owned, message_id, "unknown", error.code, error.detail)
            else:
                await self._again(owned, claimed, error, min(self._timing.send_delay_max, 2.0 ** (claimed.attempts + 1)))
        except (StoreUnavailable, ApplicationError) as error:
            # Ours and not the platform's: what the provider delivered meanwhile was not taken.
            await self._end(owned, message_id, "unknown", error.code, error.detail)
        except MessengerError as error:
            await self._end(owned, message_id, "failed", error.code, error.detail, hint=error.hint)
        else:
            self._metrics.messages[owned.row.id, "sent"] += 1
            self._metrics.sent(owned.row.id, time.monotonic() - began)
            await self._sent(owned, message_id, sent)

    async def _sent(self, owned: OwnedInstance, message_id: int, sent: SentMessage) -> None:
        await self._settle(owned, Outcome(message_id=message_id, sent=sent))

    async def _end(self, owned: OwnedInstance, message_id: int, status: str, code: str, message: str, *, hint: str | None = None) -> None:
        self._metrics.messages[owned.row.id, status] += 1
        self._metrics.refused[owned.row.id] += status == "failed"
        await self._settle(owned, Outcome(message_id=message_id, status=status, code=code, message=message, hint=hint))

    async def _settle(self, owned: OwnedInstance, outcome: Outcome) -> None:
        """Write down what became of a send. It is never given up while the lease is ours; meanwhile it is on the disk of this machine."""
        worker = self._workers.worker("settling", instance_id=str(owned.row.id), message_id=outcome.message_id)
        # What is unknown, the next owner finds out for itself.
        journal = partial(self._note, owned, worker, outcome) if outcome.status != "unknown" else _nothing
        slow = asyncio.get_running_loop().call_later(SLOW, journal)
        refusals = 0

        async def write() -> None:
            await self._write(owned, outcome if refusals < REFUSALS else _bare(outcome))

        def failed(error: Exception) -> None:
            nonlocal refusals
            refusals += not isinstance(error, StoreUnavailable)
            journal()

        try:
            await worker.until_done(write, failed=failed)
        except anyio.get_cancelled_exc_class():
            journal()
            raise
        finally:
            slow.cancel()
        with worker.contained():
            owned.journal.settled(outcome.message_id)

    def _note(self, owned: OwnedInstance, worker: Worker, outcome: Outcome) -> None:
        with worker.contained():
            owned.journal.add(outcome)

    async def _write(self, owned: OwnedInstance, outcome: Outcome) -> None:
        sent = outcome.sent
        if sent is None:
            error = {"code": outcome.code, "message": outcome.message} | ({"hint": outcome.hint} if outcome.hint else {})
            self._settled(owned, outcome, await outbox.ended(self._database, outcome.message_id, outcome.status, error))
            return
        with self._inbound.settling(owned.row.id, sent.id):
            settled = await outbox.sent(
                self._database,
                owned.row.id,
                outcome.message_id,
                platform_id=sent.id,
                sent_at=sent.at,
                content=_content_of(sent),
                chat_id=sent.chat_id,
                thread_id=sent.thread_id,
            )
            self._settled(owned, outcome, settled)
            await self._inbound.settled(owned.row.id, sent.id, chat_id=None if settled is None else settled.chat_id)

    def _settled(self, owned: OwnedInstance, outcome: Outcome, settled: outbox.SettledSend | None) -> None:
        """Wake whoever waits for it, and let the next send of the chat go."""
        if settled is not None:
            platform_id = None if outcome.sent is None else outcome.sent.id
            self._fates[outcome.message_id] = Fate(outcome.message_id, settled.chat_id, settled.status, platform_id, settled.error)
            self._feed.settled(owned.row.id, outcome.message_id)
            self._feed.wrote([settled.event], has_deliveries=settled.has_deliveries)
        if settled is None or settled.more or owned.look_again:
            owned.look_again = False
            owned.wake_outbox()

    async def _again(self, owned: OwnedInstance, claimed: outbox.ClaimedSend, error: MessengerError, delay: float) -> None:
        attempts = claimed.attempts + 1
        if attempts >= self._timing.send_attempts:
            await self._end(owned, claimed.message_id, "failed", error.code, f"Given up after {attempts} attempts: {error.detail}")
        else:
            await self._requeue(owned, claimed, delay, error.code, error.detail, tried=True)

    async def _requeue(self, owned: OwnedInstance, claimed: outbox.ClaimedSend, delay: float, code: str, message: str, *, tried: bool) -> None:
        error = {"code": code, "message": message}

        async def settle() -> None:
            await outbox.requeue(self._database, claimed.message_id, epoch=owned.epoch, delay=delay, tried=tried, error=error)
            owned.wake_outbox()

        await self._workers.worker("settling", instance_id=str(owned.row.id), message_id=claimed.message_id).until_done(settle)


def _nothing() -> None:
    pass


def _content_of(sent: SentMessage) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if sent.media:
        content["media"] = [media.model_dump(mode="json", exclude_none=True) for media in sent.media]
    if len(sent.parts) > 1:
        content["parts"] = list(sent.parts)
    return content


def _bare(outcome: Outcome) -> Outcome:
    """Return what must be stored in any case: that the message is there, and under which id."""
    if outcome.sent is None:
        return outcome.model_copy(update={"message": "The reason cannot be stored; the server's log says more.", "hint": None})
    return outcome.model_copy(update={"sent": outcome.sent.model_copy(update={"media": (), "parts": ()})})


def _require_same(row: outbox.Queued, fingerprint: str, idempotency_key: str | None) -> None:
    if not row.is_new and row.fingerprint != fingerprint:
        raise IdempotencyConflict(idempotency_key or "")


def draft_of(claimed: outbox.ClaimedSend) -> Draft:
    """The draft as it was queued. Its nonce is the number of the message, the same at every attempt."""
    stored = {key: value for key, value in claimed.draft.items() if key not in {"chat_kind", "chat_id", "upload", TRACE}}
    upload = None
    if claimed.upload is not None:
        upload = Upload(**claimed.draft["upload"], content=claimed.upload)
    return Draft.model_validate_json(json.dumps({**stored, "chat_id": claimed.chat_id, "client_id": str(claimed.message_id)})).model_copy(
        update={"upload": upload}
    )
