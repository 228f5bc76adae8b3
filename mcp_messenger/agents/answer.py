"""An answer's way out: through the outbox in one message, or shown while it grows, in a message that is edited.

The order makes it durable. What is about to be shown is written to the batch first, so that a message in the chat is known to be
unfinished; then the whole answer, so that who comes after a crash need not run the agent again; then the message is edited, what does
not go into it is queued under a separate key, and the batch is ended. Each step may be done twice.
"""

import logging
import math
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio

from db import agents, outbox
from db.batches import AnswerProgress
from db.database import Database
from db.errors import StoreUnavailable
from db.messages import MessageRow
from mcp_messenger.agents.agno import Hear
from mcp_messenger.agents.batch import Batch, Stopped, TakenOver
from mcp_messenger.agents.run import Port
from mcp_messenger.agents.text import BROKEN_OFF, MARK, first_and_rest, has_sentence, rest_of, so_far
from mcp_messenger.delivery.inbound import Inbound, Source
from mcp_messenger.delivery.outbox import Outbox
from mcp_messenger.errors import AgentFailed, IdempotencyConflict, PolicyDenied
from mcp_messenger.instances.supervisor import Supervisor
from mcp_messenger.policy.decide import Content
from mcp_messenger.policy.judging import Judge, Permit, of_agent_run
from providers.base import Provider
from providers.errors import MessengerError, RateLimited, Rejected
from providers.events import MessageEdited
from providers.models import Capability, ChatKind, Draft, TextFormat

log = logging.getLogger(__name__)

NOT_BEFORE, AT_LATEST = 0.5, 1.5
"""Seconds from an answer's first word until its beginning is shown: with a sentence, and without. One that is whole sooner is sent whole."""
SENT_WITHIN = 30.0
LOOKS, LOOK_EVERY = 50, 0.2
STANDS = frozenset({"sent", "delivered", "read"})


@dataclass(frozen=True)
class AnswerServices:
    """The parts of the application that an answer uses."""

    database: Database
    outbox: Outbox
    inbound: Inbound
    supervisor: Supervisor
    judge: Judge


@dataclass
class Answer:
    """Of one batch. `progress` is what an earlier run has left in the chat."""

    services: AnswerServices
    batch: Batch
    cls: type[Provider]
    port: Port
    progress: AnswerProgress
    _heard: str = ""
    _news: anyio.Event = field(default_factory=anyio.Event)
    _whole: anyio.Event = field(default_factory=anyio.Event)
    _stands: str | None = None
    """Return the text that is surely in the chat, less the mark; None when somebody else changed it."""
    _stopped: Stopped | None = None

    async def grown(self, ask: Callable[[Hear], Awaitable[str]]) -> str:
        """What is asked for, whole; shown while it grows where that is wanted and can be done. Raises AgentFailed, Stopped."""
        if self.progress.message_id is not None:
            await self._require_agent()
        outcome = await self._outcome()
        if outcome != "allow" or not self.batch.row.stream or Capability.EDIT not in self.cls.capabilities:
            return await ask(lambda said: None)
        failure: AgentFailed | None = None
        answer = ""
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._show, beside.cancel_scope)
            try:
                answer = await ask(self._hear)
            except AgentFailed as error:
                failure = error
            # What is being edited comes to its end: it must not arrive after the last edit.
            self._whole.set()
            self._news.set()
        if failure is not None or isinstance(self._stopped, TakenOver):
            await self._remember_what_stands()
        if self._stopped is not None:
            raise self._stopped
        if failure is not None:
            raise failure
        return answer

    async def _outcome(self) -> str:
        """Return what policy says of an answer, before it is known. Raises PolicyDenied."""
        judging = of_agent_run(self.services.judge, self.batch.row, self.batch.chat_id)
        about = await judging.situation(self.batch.row, self.batch.chat_id)
        decision, _ = await judging.judged(self.batch.row, self.batch.chat_id, self.batch.chat_kind, about, content=Content())
        if decision.outcome == "deny":
            raise PolicyDenied(decision.words)
        return decision.outcome

    async def _permit(self, draft: Draft, key: str) -> Permit:
        """Return that the answer may go out. Raises PolicyDenied, ApprovalRequired."""
        judging = of_agent_run(self.services.judge, self.batch.row, self.batch.chat_id)
        about = await judging.situation(self.batch.row, self.batch.chat_id)
        send = {"instance_id": str(self.batch.row.id), "to": draft.chat_id, "message": draft.text, "format": str(draft.format)}
        send |= {"split": True} if draft.extra else {}
        send |= {"thread_id": draft.thread_id} if draft.thread_id else {}
        sent = draft.model_copy(update={"reply_to": None})
        return await judging.permit(self.batch.row, sent, kind=self.batch.chat_kind, about=about, arguments={**send, "idempotency_key": key})

    def _hear(self, said: str) -> None:
        self._heard = said
        self._news.set()
        self._news = anyio.Event()

    async def _show(self, asking: anyio.CancelScope) -> None:
        try:
            if await self._is_readable() and not await self._previewed():
                await self._keep_showing(await self._begin())
        except Stopped as stopped:
            self._stopped = stopped
            asking.cancel()
        except MessengerError as error:
            log.warning("an answer is not shown while it grows: %s", error, extra={"instance_id": str(self.batch.row.id)})

    async def _is_readable(self) -> bool:
        """Waits; False when the answer is whole by then."""
        while not self._heard.strip() and not self._whole.is_set():
            await self._news.wait()
        with anyio.move_on_after(NOT_BEFORE):
            await self._whole.wait()
        with anyio.move_on_after(AT_LATEST - NOT_BEFORE):
            while not has_sentence(self._heard) and not self._whole.is_set():
                await self._news.wait()
        return not self._whole.is_set()

    async def _previewed(self) -> bool:
        """Show the answer as a preview until it is whole; False where the messenger, or this chat, has no previews."""
        is_ours = self.progress.message_id is None and self.batch.chat_kind is ChatKind.PRIVATE
        if not is_ours or Capability.PREVIEW not in self.cls.capabilities:
            return False
        number = zlib.crc32(self.batch.key.encode()) or 1
        thread_id = self.batch.messages[-1].thread_id
        while not self._whole.is_set():
            pause = self.cls.limits.edit_pause
            await self._require_agent()
            try:
                await self.port.preview(self.batch.chat_id, self._so_far(), number=number, thread_id=thread_id)
            except StoreUnavailable:
                raise
            except RateLimited as error:
                pause = max(pause, error.retry_after)
            except Rejected as refusal:
                log.info("an answer is shown in a message and not as a preview: %s", refusal, extra={"instance_id": str(self.batch.row.id)})
                return False
            except MessengerError as error:
                log.info("a preview was not shown: %s", error, extra={"instance_id": str(self.batch.row.id)})
            with anyio.move_on_after(pause):
                await self._whole.wait()
        return True

    def _so_far(self) -> str:
        return so_far(self._heard, self.cls.limits.max_text, self.cls.limits.text_unit)

    async def _begin(self) -> int:
        """Queue the beginning, where no earlier run has; the number of its message."""
        text = self._so_far()
        if self.progress.message_id is not None:
            return self.progress.message_id
        await self._require_agent()
        await self.batch.hold.show(text)
        message_id, is_this = await self._queue(text + MARK, self.batch.key, TextFormat.PLAIN)
        self._stands = text if is_this else None
        self.progress = AnswerProgress(message_id, text, None)
        return message_id

    async def _keep_showing(self, message_id: int) -> None:
        message = await self._until_sent(message_id)
        while message is not None and not self._whole.is_set():
            pause = self.cls.limits.edit_pause
            text = self._so_far()
            if len(text) > len(self.progress.shown or ""):
                pause = max(pause, await self._show_more(message, text))
            with anyio.move_on_after(pause):
                await self._whole.wait()

    async def _until_sent(self, message_id: int) -> MessageRow | None:
        """None when it does not stand there, or the answer is whole meanwhile."""
        while not self._whole.is_set():
            message = await self.services.outbox.wait_settled(self.batch.row.id, message_id, 1.0)
            if message.status in STANDS:
                with anyio.move_on_after(self.cls.limits.edit_pause):
                    await self._whole.wait()
                return message
            if message.status in {"failed", "unknown"}:
                return None
        return None

    async def _show_more(self, message: MessageRow, text: str) -> float:
        """Seconds to wait in any case until the next."""
        await self._require_agent()
        await self.batch.hold.show(text)
        try:
            await self.port.edit(message.chat_id, message.platform_id or "", text + MARK, TextFormat.PLAIN)
        except StoreUnavailable:
            raise
        except RateLimited as error:
            return error.retry_after
        except Rejected:
            return math.inf
        except MessengerError:
            return 0.0
        self._stands = text
        self.progress = AnswerProgress(message.id, text, None)
        return 0.0

    async def finish(self, answer: str) -> None:
        """Bring the whole answer into the chat, and end the batch.

        Raises TakenOver, and what the platform raises when that is to be tried again.
        """
        answer = answer.strip()
        if not answer:
            await self.give_up("done", "There was nothing to say.")
            return
        message_id = self.progress.message_id
        if message_id is None:
            await self._require_agent()
            message_id, is_whole = await self._queue(answer, self.batch.key)
            if is_whole:
                await self.batch.hold.end("done")
                return
            # Its beginning was queued after all, though the store did not say so.
        await self._permit(Draft(client_id="0", chat_id=self.batch.chat_id, text=answer), f"{self.batch.key}:whole")
        await self.batch.hold.show(self.progress.shown or "", answer)
        await self._complete(message_id, answer)

    async def _complete(self, message_id: int, answer: str) -> None:
        message = await self.services.outbox.wait_settled(self.batch.row.id, message_id, SENT_WITHIN)
        await self._require_agent()
        if message.status in {"queued", "sending"}:
            await self.batch.hold.again(SENT_WITHIN)
            return
        if message.status == "failed":
            await self.batch.hold.end("dead", f"Its first message was not sent: {(message.error or {}).get('message', '')}")
            return
        # Of an unknown fate: nobody can tell where it ended, so the whole follows.
        rest = await self._edited(message, answer) if message.status in STANDS else answer
        if rest:
            await self._queue(rest, self.batch.key_of_rest)
        await self.batch.hold.end("done")

    async def _edited(self, message: MessageRow, answer: str) -> str:
        """Put the answer into its message; what has to go into a further one."""
        first, rest = first_and_rest(answer, self.cls.limits.max_text, self.cls.limits.text_unit)
        try:
            await self.port.edit(message.chat_id, message.platform_id or "", first, self._format)
        except Rejected as refusal:
            log.info("an answer goes on in a further message: %s", refusal, extra={"instance_id": str(self.batch.row.id)})
            return rest_of(answer, self._stands)
        await self._remember(message, first)
        return rest

    async def give_up(self, status: str, reason: str) -> None:
        """End the batch without an answer; one that is in the chat in part gets a note that it is incomplete."""
        if self.progress.message_id is not None:
            await self._mark_broken_off(self.progress.message_id)
        await self.batch.hold.end(status, reason)

    async def _mark_broken_off(self, message_id: int) -> None:
        message = await self.services.outbox.wait_settled(self.batch.row.id, message_id, 0.0)
        if message.status not in STANDS:
            return
        text = f"{self.progress.shown}{MARK}\n\n{BROKEN_OFF}"
        with suppress(Rejected):
            await self.port.edit(message.chat_id, message.platform_id or "", text, TextFormat.PLAIN)
            await self._remember(message, text)

    async def _remember_what_stands(self) -> None:
        if self.progress.message_id is not None and self._stands is not None:
            message = await self.services.outbox.wait_settled(self.batch.row.id, self.progress.message_id, 0.0)
            if message.status in STANDS:
                await self._remember(message, self._stands + MARK)

    async def _remember(self, message: MessageRow, text: str) -> None:
        """Not every platform tells us of our own edit again."""
        edited = MessageEdited(chat_id=message.chat_id, message_id=message.platform_id or "", text=text, at=datetime.now(UTC))
        await self.services.inbound.deliver(Source(self.batch.row.id, None), [edited])

    async def _require_agent(self) -> None:
        """Raises TakenOver when a person took over while the agent was thinking."""
        mode = await agents.mode(self.services.database, self.batch.row.id, self.batch.chat_id)
        if mode.mode != "agent" or await self._owner_wrote():
            raise TakenOver

    async def _owner_wrote(self) -> bool:
        """Waits while what looks like it may be an echo of ours; not for ever, since a send may hang."""
        for _ in range(LOOKS):
            row, after = self.batch.row, self.batch.messages[-1].id
            wrote = await agents.owner_wrote(self.services.database, row.id, self.batch.chat_id, after=after)
            if wrote is not None:
                return wrote
            await anyio.sleep(LOOK_EVERY)
        return True

    @property
    def _format(self) -> TextFormat:
        return TextFormat.MARKDOWN if Capability.FORMATTING in self.cls.capabilities else TextFormat.PLAIN

    async def _queue(self, text: str, key: str, format: TextFormat | None = None) -> tuple[int, bool]:
        """The number of the message, and whether it says this: another may have been queued under the key."""
        row, limits = self.batch.row, self.cls.limits
        can_reply = Capability.REPLY in self.cls.capabilities and self.batch.chat_kind is not ChatKind.PRIVATE
        draft = Draft(
            client_id="0",
            chat_id=self.batch.chat_id,
            text=text,
            format=format or self._format,
            reply_to=self.batch.messages[-1].platform_id if can_reply and key == self.batch.key else None,
            thread_id=self.batch.messages[-1].thread_id if Capability.THREADS in self.cls.capabilities else None,
            extra={"split": True} if limits.text_unit.length(text) > limits.max_text else {},
        )
        is_this = True
        permit = await self._permit(draft, key)
        try:
            message_id = await self.services.outbox.queue(row.id, draft, kind=self.batch.chat_kind, idempotency_key=key, permit=permit)
        except IdempotencyConflict:
            known = await outbox.known(self.services.database, row.id, key)
            if known is None:
                raise
            message_id, is_this = known.id, False
        await self.services.supervisor.wake_outbox(row.id)
        return message_id, is_this
