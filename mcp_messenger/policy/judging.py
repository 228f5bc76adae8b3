"""The place that every call passes: it gathers the facts, has them judged, and stores what needs a person."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from db import policy as store
from db.database import Database
from db.instances import InstanceRow
from db.policy import Situation
from mcp_messenger.errors import ApprovalRequired, NotAllowed, PolicyDenied
from mcp_messenger.policy.asking import Asked, Call, arguments_of, ask
from mcp_messenger.policy.decide import ALLOWED, Content, Decision, File, Recent, Shown, Target, decide_other, decide_send, matches
from mcp_messenger.policy.model import DEFAULT, TAINT_MINUTES, Policy, stored
from mcp_messenger.policy.touch import Touch
from mcp_messenger.security.caller import Caller, instance_of
from mcp_messenger.security.vault import Vault
from providers import REHEARSAL
from providers.drafts import fingerprint_of, stored_draft
from providers.models import ChatKind, Draft

AGAIN_AFTER = 10.0
"""Seconds in which it is not written again that a chat's words were shown."""
REMEMBERED = 10_000
NOWHERE = UUID(int=0)
"""In the place of an instance, where nobody can name it."""


@dataclass(frozen=True)
class Permit:
    """Says that policy lets a message go out, by which rule. Made in this module alone; the outbox takes nothing without one."""

    rule: str
    by: str


OWN = Permit("own", "application")
"""For what the application itself has to say, such as to its owner."""


@dataclass(frozen=True)
class Words:
    """Words of a chat that an answer shows. `instance_id` None: the one that was asked about."""

    chat_id: str
    instance_id: str | None = None
    incoming: bool = True


@dataclass(frozen=True)
class Approved:
    """A call that a person approved: it may go to this chat and nowhere else, with this content."""

    approval_id: UUID
    chat_id: str | None
    rest: str
    by: str


class ShownLately:
    """What this process has written down of words that were shown, so that it is not written at every reading."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at: dict[tuple[str, UUID, str, bool], float] = {}

    def news(self, asker: str, chats: Iterable[tuple[UUID, str, bool]]) -> list[tuple[UUID, str, bool]]:
        """Return those that have to be written."""
        now = self._clock()
        return [chat for chat in chats if now - self._at.get((asker, *chat), -AGAIN_AFTER) >= AGAIN_AFTER]

    def written(self, asker: str, chats: Iterable[tuple[UUID, str, bool]]) -> None:
        """Remember that these were written."""
        now = self._clock()
        for chat in chats:
            self._at.pop((asker, *chat), None)
            self._at[asker, *chat] = now
        for oldest in list(self._at)[: max(0, len(self._at) - REMEMBERED)]:
            del self._at[oldest]


@dataclass(frozen=True)
class Judge:
    """What judging needs of the application."""

    database: Database
    vault: Callable[[], Vault]
    shown: ShownLately = field(default_factory=ShownLately)


@dataclass
class Judging:
    """One call on its way. `by_agent`: it came from an agent; other calls are a person's."""

    judge: Judge
    caller: Caller
    by_agent: bool
    operation: str
    touches: Touch
    args: BaseModel | None
    approved: Approved | None = None
    name: str | None = None

    @property
    def asker(self) -> str:
        """Return under which name the agent's calls and what it was shown belong together."""
        return self.name or str(self.caller)

    async def enter(self) -> None:
        """Judge a call that does not send. Raises PolicyDenied, ApprovalRequired, NoSuchInstance."""
        if not self.by_agent or self.approved is not None or self.touches in {Touch.NOTHING, Touch.SEND}:
            return
        if self.touches is Touch.OWNER:
            self.caller.require_owner()
            raise PolicyDenied(decide_other(DEFAULT, Touch.OWNER, Shown()).words)
        instance_id: str | None = getattr(self.args, "instance_id", None)
        row = None if instance_id is None else await instance_of(self.judge.database, self.caller, instance_id)
        about = await self._situation(NOWHERE if row is None else row.id, "")
        decision = decide_other(stored(about.document), self.touches, _shown(about))
        call = Call({} if self.args is None else arguments_of(self.args))
        await self._require(decision, row, stored(about.document), operation=self.operation, call=call)

    async def situation(self, row: InstanceRow, to: str) -> Situation:
        """Return what is known of the chat that an address means, and of the agent."""
        return await self._situation(row.id, to)

    async def _situation(self, instance_id: UUID, to: str) -> Situation:
        return await store.situation(self.judge.database, instance_id, to, asker=self.asker if self.by_agent else "", minutes=TAINT_MINUTES)

    async def judged(
        self, row: InstanceRow, chat_id: str, kind: ChatKind, about: Situation, *, content: Content, is_new_address: bool = False
    ) -> tuple[Decision, Policy]:
        """Return what the policy says of a message to a chat. `is_new_address`: `about` is of another id of the chat."""
        if is_new_address:
            about = await self._situation(row.id, chat_id)
        policy = stored(about.document)
        if not self.by_agent and not policy.binds_owner:
            return ALLOWED, policy
        out = policy.outbound
        recent = None
        if out.new_chats_a_day is not None or out.sends_an_hour is not None:
            sent, has_messages = await store.sent(self.judge.database, row.id, chat_id)
            recent = Recent(sent.in_hour, sent.new_chats, is_new=not has_messages)
        target = self.target(row, chat_id, kind, about)
        return decide_send(policy, target, _shown(about), datetime.now(UTC), content=content, recent=recent, by_agent=self.by_agent), policy

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
    ) -> Permit:
        """Return that a message may go out. `about` is of the chat that `draft` goes to.

        Raises PolicyDenied, ApprovalRequired. Raises NotAllowed for an approved call that would now do something else.
        """
        rest = rest_of(row.id, draft)
        if self.approved is not None:
            if (self.approved.chat_id, self.approved.rest) != (draft.chat_id, rest):
                raise NotAllowed(
                    "This is not what was approved: its recipient or its file has changed since.", hint="Ask again with the call as it is now."
                )
            return Permit("approval", self.approved.by)
        content = Content(text_of(draft), file, draft.mass_mentions)
        is_other = about.chat_id is not None and about.chat_id != draft.chat_id
        decision, policy = await self.judged(row, draft.chat_id, kind, about, content=content, is_new_address=is_other)
        if decision.outcome != "allow":
            given = arguments if arguments is not None else arguments_of(self.args) if self.args is not None else {}
            call = Call(given, rest, about.title, text_of(draft))
            await self._require(decision, row, policy, operation=operation or self.operation, call=call, chat_id=draft.chat_id)
        return Permit(decision.rule, self.asker)

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
        if decision.outcome == "allow":
            return
        if decision.outcome == "deny":
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
        raise ApprovalRequired(str(kept.id), decision.words, is_new=is_new)

    async def leave(self, words: Iterable[Words]) -> None:
        """Write down whose words the answer shows to an agent, before it is given."""
        if not self.by_agent:
            return
        asked_about: str | None = getattr(self.args, "instance_id", None)
        await note_shown(self.judge, self.asker, words, asked_about)


def of_agent_run(judge: Judge, row: InstanceRow, chat_id: str) -> Judging:
    """Return the judging of an instance's own agent, which was shown one chat alone."""
    return Judging(judge, Caller(row.user_id, row.id), True, "send_message", Touch.SEND, None, name=f"agent:{row.id}:{chat_id}")


async def note_shown(judge: Judge, asker: str, words: Iterable[Words], instance_id: str | None) -> None:
    """Write down whose words an agent is shown, unless that was done a short while ago."""
    chats: dict[tuple[UUID, str], bool] = {}
    for one in words:
        key = _uuid(one.instance_id or instance_id), one.chat_id
        chats[key] = chats.get(key, False) or one.incoming
    news = judge.shown.news(asker, [(instance, chat, incoming) for (instance, chat), incoming in chats.items()])
    if news:
        await store.show(judge.database, asker, news, rehearsal=REHEARSAL)
        judge.shown.written(asker, news)


current: ContextVar[Judging | None] = ContextVar("judging", default=None)
"""The call that is being carried out; None where the application itself acts."""


def rest_of(instance_id: UUID, draft: Draft) -> str:
    """Return the digest of all of a message but its text."""
    stored = stored_draft(draft.model_copy(update={"text": ""}))
    return hashlib.sha256(f"{instance_id} {draft.chat_id} {fingerprint_of(stored, draft.upload)}".encode()).hexdigest()


def text_of(draft: Draft) -> str:
    """Return all words of a message."""
    parts: list[str] = [draft.text]
    if draft.poll is not None:
        parts += [draft.poll.question, *draft.poll.options]
    if draft.contact is not None:
        parts += [draft.contact.name, draft.contact.phone or ""]
    if draft.location is not None:
        parts.append(json.dumps(draft.location.model_dump(exclude_none=True)))
    if draft.template is not None:
        parts += [draft.template.name, *draft.template.parameters]
    parts += [choice.title for choice in draft.choices]
    return "\n".join(part for part in parts if part)


def _shown(about: Situation) -> Shown:
    return Shown(about.stranger_shown, about.other_shown, about.target_shown)


def _uuid(text: str | None) -> UUID:
    try:
        return NOWHERE if text is None else UUID(text)
    except ValueError:
        return NOWHERE


def outcome_of(error: Exception) -> Mapping[str, Any]:
    """Return an error as it is kept with an approval."""
    return {"code": getattr(error, "code", "internal_error"), "detail": getattr(error, "detail", ""), "hint": getattr(error, "hint", None)}
