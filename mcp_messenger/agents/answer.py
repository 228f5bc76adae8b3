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

import anyio

from db import agents, outbox
from db.batches import AnswerProgress
from db.database import Database
from db.errors import StoreUnavailable
from db.messages import MessageRow
from db.policy import Situation
from mcp_messenger.agents.agent import Hear
from mcp_messenger.agents.batch import Batch, Stopped, TakenOver
from mcp_messenger.agents.run import Port
from mcp_messenger.agents.text import BROKEN_OFF, MARK, STOPPED, first_and_rest, has_sentence, rest_of, so_far
from mcp_messenger.delivery.inbound import Inbound
from mcp_messenger.delivery.outbox import Outbox
from mcp_messenger.delivery.own_changes import store_edit
from mcp_messenger.errors import AgentFailed, IdempotencyConflict, PolicyDenied
from mcp_messenger.instances.calls import Calls
from mcp_messenger.instances.supervisor import Supervisor
from mcp_messenger.policy.decide import Content
from mcp_messenger.policy.judging import Judge, Judging, Permit, of_agent_run
from providers.base import Provider
from providers.capabilities import Capability
from providers.errors import MessengerError, RateLimited, Rejected
from providers.models import ChatKind, Draft, TextFormat

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
    calls: Calls
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
        return await self._permitted(judging, await judging.situation(self.batch.row, self.batch.chat_id), draft, key)

    async def _permitted(self, judging: Judging, about: Situation, draft: Draft, key: str) -> Permit:
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
        message_id, is_this = await self._queue(text + self._mark, self.batch.key, TextFormat.PLAIN, growing=self._grows)
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
            await self._put(message, text + self._mark, TextFormat.PLAIN, is_whole=False)
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
            await self._put(message, first, self._format, is_whole=True)
        except Rejected as refusal:
            log.info("an answer goes on in a further message: %s", refusal, extra={"instance_id": str(self.batch.row.id)})
            return rest_of(answer, self._stands)
        return rest

    async def give_up(self, status: str, reason: str) -> None:
        """End the batch without an answer; one that is in the chat in part gets a note that it is incomplete."""
        await self._close_with(BROKEN_OFF)
        await self.batch.hold.end(status, reason)

    async def leave_off(self) -> None:
        """Say in the part that is in the chat that a person stopped the answer; the batch has ended by that."""
        await self._close_with(STOPPED)

    async def _close_with(self, remark: str) -> None:
        """Put a remark under the part of an answer that is in the chat, where one is."""
        if self.progress.message_id is None:
            return
        message = await self.services.outbox.wait_settled(self.batch.row.id, self.progress.message_id, 0.0)
        if message.status not in STANDS:
            return
        text = f"{self.progress.shown}{self._mark}\n\n{remark}"
        with suppress(Rejected):
            await self._put(message, text, TextFormat.PLAIN, is_whole=True)

    async def _remember_what_stands(self) -> None:
        if self.progress.message_id is not None and self._stands is not None:
            message = await self.services.outbox.wait_settled(self.batch.row.id, self.progress.message_id, 0.0)
            if message.status in STANDS:
                text = self._stands + self._mark
                await store_edit(self.services.inbound, self.batch.row.id, message.chat_id, message.platform_id or "", text)

    @property
    def _grows(self) -> bool:
        """Whether the messenger has messages that grow; in another one the message is edited, and a mark shows that it is not whole."""
        return self.cls.grow is not Provider.grow

    @property
    def _mark(self) -> str:
        return "" if self._grows else MARK

    async def _put(self, message: MessageRow, text: str, format: TextFormat, *, is_whole: bool) -> None:
        """Change what is in the chat; store a whole text too: it is not changed again by this answer."""
        row, chat_id, id = self.batch.row, message.chat_id, message.platform_id or ""
        if self._grows:
            await self.port.grow(chat_id, id, text, format, is_whole=is_whole)
            if is_whole:
                await store_edit(self.services.inbound, row.id, chat_id, id, text)
        elif is_whole:
            await self.services.calls.edit(row.id, chat_id, id, text, format)
        else:
            await self.port.edit(chat_id, id, text, format)

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

    async def _queue(self, text: str, key: str, format: TextFormat | None = None, *, growing: bool = False) -> tuple[int, bool]:
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
            growing=growing,
        )
        is_this = True
        judging = of_agent_run(self.services.judge, row, self.batch.chat_id)
        found = await judging.situation(row, self.batch.chat_id)
        try:
            async with judging.counted(row, found) as about:
                permit = await self._permitted(judging, about, draft, key)
                queued = await self.services.outbox.queue(row.id, draft, kind=self.batch.chat_kind, idempotency_key=key, permit=permit)
        except IdempotencyConflict:
            known = await outbox.known(self.services.database, row.id, key)
            if known is None:
                raise
            queued, is_this = known, False
        await self.services.supervisor.wake_outbox(row.id)
        return queued.id, is_this
