"""The place that every call passes: it gathers the facts, has them judged, and stores what needs a person."""

import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

import anyio
from pydantic import BaseModel

from db import chats, messages
from db import policy as store
from db.audit import Entry
from db.database import Database
from db.instances import InstanceRow
from db.policy import Situation
from mcp_messenger.errors import ApprovalRequired, NotAllowed, PolicyDenied
from mcp_messenger.policy.asking import Approved, Asked, Call, arguments_of, ask
from mcp_messenger.policy.audit import Audit, content_digest, new_id
from mcp_messenger.policy.content import UNFETCHED, content_of, rest_of, text_of
from mcp_messenger.policy.decide import (
    ALLOWED,
    Content,
    Decision,
    File,
    Recent,
    Shown,
    Target,
    decide_fetch,
    decide_other,
    decide_send,
    matches,
    stricter,
)
from mcp_messenger.policy.model import DEFAULT, TAINT_MINUTES, Policy, of_key, stored
from mcp_messenger.policy.recording import Recording
from mcp_messenger.policy.shown import NOWHERE, ShownLately, Words, note_shown
from mcp_messenger.policy.touch import Touch
from mcp_messenger.security.caller import ADMIN, Caller, readable_of
from mcp_messenger.security.vault import Vault
from providers import REHEARSAL
from providers.models import ChatKind, Draft, conversation_of

log = logging.getLogger(__name__)

CHATS = ("chat_id", "group_id")
"""Arguments that name the chat that a change is about."""


@dataclass(frozen=True)
class Permit:
    """Says that policy lets a message go out, by which rule. Made in this module alone; the outbox takes nothing without one."""

    rule: str
    by: str
    entry: Entry | None = None
    """The row of the audit log that is written with the message."""


OWN = Permit("own", "application")
"""For what the application itself has to say, such as to its owner."""


class Rehearsed(Exception):
    """What policy would do with the call that is rehearsed."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.outcome)
        self.decision = decision


@dataclass(frozen=True)
class Judge:
    """The parts of the application that judging needs."""

    database: Database
    vault: Callable[[], Vault]
    shown: ShownLately = field(default_factory=ShownLately)
    counting: WeakValueDictionary[UUID, anyio.Lock] = field(default_factory=WeakValueDictionary[UUID, anyio.Lock])
    """By instance whose sends are counted: what is judged and not yet queued."""

    @cached_property
    def audit(self) -> Audit:
        """Return what writes the audit log."""
        return Audit(self.database, self.vault)


@dataclass
class Judging:
    """One call on its way. `by_agent`: it came from an agent; other calls are a person's. `is_audited`: it changes something."""

    judge: Judge
    caller: Caller
    by_agent: bool
    operation: str
    touches: Touch
    args: BaseModel | None
    approved: Approved | None = None
    name: str | None = None
    is_audited: bool = False
    is_rehearsal: bool = False
    """Nothing is done: the call ends with Rehearsed where it would have been let go on."""
    is_later: bool = False
    """It was asked for before, with the words that it has: no words that the agent was shown since have steered it."""

    @property
    def asker(self) -> str:
        """Return under which name the agent's calls and what it was shown belong together."""
        return self.name or asker_of(self.caller)

    @cached_property
    def recording(self) -> Recording:
        """Return what writes the audit log of this call."""
        return Recording(self.judge.audit, self.caller, self.operation, self.args, self.asker, self.by_agent, self.approved, self.is_audited)

    async def enter(self) -> None:
        """Judge a call that does not send, and write it into the audit log. Raises PolicyDenied, ApprovalRequired, NoSuchInstance."""
        if self.by_agent and self.approved is None and self.touches not in {Touch.NOTHING, Touch.SEND}:
            await self._judge_change()
        if self.is_rehearsal and self.touches is not Touch.SEND:
            raise Rehearsed(ALLOWED)
        if self.touches is not Touch.SEND:
            await self.recording.let()

    async def _judge_change(self) -> None:
        if self.touches is Touch.OWNER and self.is_rehearsal:
            raise Rehearsed(decide_other(DEFAULT, Touch.OWNER, Shown()))
        if self.touches is Touch.OWNER:
            self.caller.require_owner()
            raise PolicyDenied(decide_other(DEFAULT, Touch.OWNER, Shown()).words)
        instance_id: str | None = getattr(self.args, "instance_id", None)
        row = None if instance_id is None else await readable_of(self.judge.database, self.caller, instance_id)
        chat_id = next((one for name in CHATS if isinstance(one := getattr(self.args, name, None), str)), "")
        about = await self._situation(NOWHERE if row is None else row.id, chat_id)
        touch = Touch.SETTINGS if row is not None and self._hides_trusted(row, about) else self.touches
        decision = stricter(decide_other(policy, touch, _shown(about)) for policy in self._policies(about))
        call = Call({} if self.args is None else arguments_of(self.args), title=about.title)
        if row is not None and decision.outcome == "ask":
            call = await self._in_words(row, call)
        await self._require(decision, row, stored(about.document), operation=self.operation, call=call)

    def _hides_trusted(self, row: InstanceRow, about: Situation) -> bool:
        """Return whether the owner would see messages of a chat no more that is trusted: a stranger's words must not bring that about."""
        if about.chat_id is None or not getattr(self.args, "hides", False):
            return False
        return self.target(row, about.chat_id, ChatKind(about.kind), about).trusted

    async def _in_words(self, row: InstanceRow, call: Call) -> Call:
        """Return a call with the text of the message that it is about, and the name of that one's chat: nobody can judge an id."""
        number: object = call.arguments.get("message_id")
        if not isinstance(number, str) or not re.fullmatch(r"[0-9]{1,18}", number):
            return call
        message = await messages.get(self.judge.database, row.id, int(number))
        if message is None:
            return call
        titles = await chats.titles(self.judge.database, [(row.id, message.chat_id)])
        return replace(call, title=call.title or titles.get((row.id, message.chat_id), ""), text=call.text or about_message(message.body))

    async def require_word(self, row: InstanceRow, text: str) -> None:
        """Ask the owner about what nobody can undo, unless their policy asks about nothing. Raises PolicyDenied, ApprovalRequired."""
        if not self.by_agent or self.approved is not None:
            return
        about = await self._situation(row.id, "")
        is_asked = any(policy.taint != "off" for policy in self._policies(about))
        decision = Decision("ask", "for_good", "This cannot be undone, so it needs the owner's word.") if is_asked else ALLOWED
        call = Call({} if self.args is None else arguments_of(self.args), text=text)
        await self._require(decision, row, stored(about.document), operation=self.operation, call=call)

    async def require(self, touch: Touch, row: InstanceRow, text: str) -> None:
        """Judge a change that shows only while the call is carried out; `text` says what it is. Raises PolicyDenied, ApprovalRequired."""
        if not self.by_agent or self.approved is not None:
            return
        about = await self._situation(row.id, "")
        decision = stricter(decide_other(policy, touch, _shown(about)) for policy in self._policies(about))
        call = Call({} if self.args is None else arguments_of(self.args), text=text)
        await self._require(decision, row, stored(about.document), operation=self.operation, call=call)

    async def was_shown_a_stranger(self, row: InstanceRow) -> bool:
        """Return whether an agent calls that was shown a stranger's words lately."""
        return self.by_agent and (await self._situation(row.id, "")).stranger_shown

    async def situation(self, row: InstanceRow, to: str) -> Situation:
        """Return what is known of the chat that an address means, and of the agent."""
        return await self._situation(row.id, to)

    async def _situation(self, instance_id: UUID, to: str, conversation: str | None = None) -> Situation:
        asker = self.asker if self.by_agent and not self.is_later else ""
        narrowed = self.caller.narrowed is not None
        if asker and self.name is None and str(self.caller) == str(ADMIN):
            await self.judge.shown.adopt(self.judge.database, asker, str(self.caller))
        return await store.situation(
            self.judge.database,
            instance_id,
            to,
            asker=asker,
            minutes=TAINT_MINUTES,
            narrowed=narrowed,
            conversation=conversation,
        )

    async def judged(
        self, row: InstanceRow, chat_id: str, kind: ChatKind, about: Situation, *, content: Content, thread_id: str | None = None
    ) -> tuple[Decision, Policy]:
        """Return what the policy says of a message to a chat, or to one person's own thread in it. `about` may be of another id of the chat."""
        conversation = conversation_of(chat_id, thread_id)
        if conversation != chat_id or about.chat_id not in {None, chat_id}:
            about = await self._situation(row.id, chat_id, conversation)
        policy = stored(about.document)
        if not self.by_agent and not policy.binds_owner:
            return ALLOWED, policy
        recent = None
        if self._counts(about):
            sent = await store.sent(self.judge.database, row.id, chat_id)
            recent = Recent(sent.in_hour, sent.new_chats, sent.is_new)
        target = self.target(row, chat_id, kind, about)
        now = datetime.now(UTC)
        decision = decide_send(policy, target, _shown(about), now, content=content, recent=recent, by_agent=self.by_agent)
        narrowed = of_key(self.caller.narrowed) if self.by_agent else None
        if narrowed is not None:
            # Whom the owner trusts is not therefore whom this key is for.
            own = replace(target, trusted=target.trusted and narrowed.outbound.send_to not in {"list", "nobody"})
            decision = stricter([decision, decide_send(narrowed, own, _shown(about), now, content=content, recent=recent)])
        return decision, policy

    def _policies(self, about: Situation) -> list[Policy]:
        """Return the policies that bind the caller: the instance's, and that of the key, which only narrows it."""
        narrowed = of_key(self.caller.narrowed)
        return [stored(about.document), *([narrowed] if narrowed is not None else [])]

    @asynccontextmanager
    async def counted(self, row: InstanceRow, about: Situation, *, turn: Callable[[], Awaitable[None]] | None = None) -> AsyncGenerator[Situation]:
        """Give the facts by which a send is judged and queued. Where sends are counted one does so after the other, in this process.

        `turn` waits for calls that have to be queued before it.
        """
        if not self._counts(about):
            yield about
            return
        lock = self.judge.counting.get(row.id) or anyio.Lock()
        self.judge.counting[row.id] = lock
        if turn is not None:
            await turn()
        async with lock:
            yield about

    def _counts(self, about: Situation) -> bool:
        """Return whether a policy limits the number of sends."""
        outs = [policy.outbound for policy in self._policies(about)]
        return any(out.sends_an_hour is not None or out.new_chats_a_day is not None for out in outs)

    def target(self, row: InstanceRow, chat_id: str, kind: ChatKind, about: Situation) -> Target:
        """Return how a chat is known. One that the owner has listed is trusted, and so are the people of a rehearsal."""
        is_listed = matches(stored(about.document).outbound.allow, chat_id)
        return Target(
            chat_id,
            is_group=kind in {ChatKind.GROUP, ChatKind.CHANNEL},
            trusted=about.trusted or is_listed or chat_id in REHEARSAL.get(row.provider, ()),
            is_contact=about.is_contact,
            has_written=about.has_written,
        )

    async def permit(
        self,
        row: InstanceRow,
        draft: Draft,
        *,
        kind: ChatKind,
        about: Situation,
        file: File | None = None,
        operation: str | None = None,
        arguments: dict[str, Any] | None = None,
        change: Touch | None = None,
        words: str = "",
    ) -> Permit:
        """Return that a message may go out. `about` is of the chat that `draft` goes to; `change`: something that it does besides.

        `words`: what a person is shown of the call where the draft has no text.

        Raises PolicyDenied, ApprovalRequired. Raises NotAllowed for an approved call that would now do something else.
        """
        rest = rest_of(row.id, draft)
        if self.approved is not None:
            unfetched = self.approved.rest.startswith(UNFETCHED) and UNFETCHED + rest_of(row.id, draft.model_copy(update={"upload": None}))
            if self.approved.chat_id != draft.chat_id or self.approved.rest not in {rest, unfetched}:
                raise NotAllowed(
                    "This is not what was approved: its recipient or its file has changed since.", hint="Ask again with the call as it is now."
                )
            return Permit("approval", self.approved.by, self.recording.of_send(row, draft, rest, operation))
        content = content_of(draft, file)
        decision, policy = await self.judged(row, draft.chat_id, kind, about, content=content, thread_id=draft.thread_id)
        if change is not None and self.by_agent:
            decision = stricter([decision, *(decide_other(one, change, _shown(about)) for one in self._policies(about))])
        if self.is_rehearsal:
            raise Rehearsed(decision)
        if decision.outcome != "allow":
            given = arguments if arguments is not None else arguments_of(self.args) if self.args is not None else {}
            call = Call(given, rest, about.title, text_of(draft) or words)
            await self._require(decision, row, policy, operation=operation or self.operation, call=call, chat_id=draft.chat_id)
        return Permit(decision.rule, self.asker, self.recording.of_send(row, draft, rest, operation, rule=decision.rule))

    async def permit_fetch(
        self, row: InstanceRow, draft: Draft, *, kind: ChatKind, about: Situation, operation: str, arguments: dict[str, Any]
    ) -> None:
        """Judge a message before its file is fetched from an address. `draft` is without the file. Raises PolicyDenied, ApprovalRequired."""
        if self.approved is not None:
            return
        decision, policy = await self._judged_fetch(row, draft, kind, about)
        if self.is_rehearsal:
            raise Rehearsed(decision)
        if decision.outcome != "allow":
            call = Call(arguments, UNFETCHED + rest_of(row.id, draft), about.title, text_of(draft))
            await self._require(decision, row, policy, operation=operation, call=call, chat_id=draft.chat_id)

    async def lets_fetch(self, row: InstanceRow, draft: Draft, *, kind: ChatKind, about: Situation) -> bool:
        """Return whether a message's file would be fetched from an address without a question."""
        return self.approved is not None or (await self._judged_fetch(row, draft, kind, about))[0].outcome == "allow"

    async def _judged_fetch(self, row: InstanceRow, draft: Draft, kind: ChatKind, about: Situation) -> tuple[Decision, Policy]:
        content = content_of(draft, File(0))
        decision, policy = await self.judged(row, draft.chat_id, kind, about, content=content, thread_id=draft.thread_id)
        if decision.outcome == "allow" and self.by_agent:
            decision = stricter(decide_fetch(one, _shown(about)) for one in self._policies(about))
        return decision, policy

    async def _require(
        self,
        decision: Decision,
        row: InstanceRow | None,
        policy: Policy,
        *,
        operation: str,
        call: Call,
        chat_id: str | None = None,
    ) -> None:
        if self.is_rehearsal:
            raise Rehearsed(decision)
        if decision.outcome == "allow":
            return
        if decision.outcome == "deny":
            await self.recording.refuse("denied", decision.rule, row, operation, chat_id)
            raise PolicyDenied(decision.words)
        kept, is_new = await ask(
            self.judge.database,
            self.judge.vault(),
            Asked(
                operation=operation,
                call=call,
                rule=decision.rule,
                reason=decision.words,
                asker=self.asker,
                caller=self.caller,
                user_id=row.user_id if row is not None else self.caller.user_id or "local",
                instance_id=None if row is None else row.id,
                chat_id=chat_id,
                idempotency_key=call.arguments.get("idempotency_key"),
                minutes=policy.approval_minutes,
            ),
        )
        if is_new:
            await self.recording.refuse("asked", decision.rule, row, operation, chat_id, approval_id=kept.id)
        self.recording.is_refused = True
        raise ApprovalRequired(str(kept.id), decision.words, is_new=is_new)

    async def leave(self, words: Iterable[Words]) -> None:
        """Write down whose words the answer shows to an agent, before it is given."""
        if not self.by_agent:
            return
        asked_about: str | None = getattr(self.args, "instance_id", None)
        await note_shown(self.judge.database, self.judge.shown, self.asker, words, asked_about)


def about_message(body: str) -> str:
    """Return the words of a call that is about a message, for the person who decides."""
    return f"The message: {body}" if body else ""


def own_permit(judge: Judge, row: InstanceRow, draft: Draft) -> Permit:
    """Return that the application may say something itself, such as to the owner."""
    id = new_id()
    content = content_digest(id, text_of(draft), rest_of(row.id, draft))
    entry = judge.audit.entry(
        None, "send_message", "allowed", id=id, user_id=row.user_id, instance_id=row.id, chat_id=draft.chat_id, rule=OWN.rule, content=content
    )
    return Permit(OWN.rule, OWN.by, entry)


def asker_of(caller: Caller) -> str:
    """Return under which name a caller's calls belong together: a key's own, and where no key tells agents apart their clients' names."""
    return f"{caller} client:{caller.client}" if caller.client and str(caller) == str(ADMIN) else str(caller)


def of_agent_run(judge: Judge, row: InstanceRow, chat_id: str) -> Judging:
    """Return the judging of an instance's own agent, which was shown one chat alone."""
    return Judging(judge, Caller(row.user_id, row.id), True, "send_message", Touch.SEND, None, name=f"agent:{row.id}:{chat_id}")


current: ContextVar[Judging | None] = ContextVar("judging", default=None)
"""The call that is being carried out; None where the application itself acts."""


def _shown(about: Situation) -> Shown:
    return Shown(about.stranger_shown, about.other_shown, about.target_shown)


def outcome_of(error: Exception) -> Mapping[str, Any]:
    """Return an error as it is kept with an approval."""
    return {"code": getattr(error, "code", "internal_error"), "detail": getattr(error, "detail", ""), "hint": getattr(error, "hint", None)}
