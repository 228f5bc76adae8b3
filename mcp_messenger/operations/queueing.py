"""Queues a send, waits for its outcome and answers it: what every operation that sends has in common."""

import json
from collections.abc import AsyncGenerator, Hashable, Iterable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from pydantic import AliasChoices, Field, field_validator

from db.instances import InstanceRow
from db.messages import MessageRow
from db.policy import Situation
from mcp_messenger.delivery.outbox import Fate
from mcp_messenger.errors import InvalidInput, NotReady
from mcp_messenger.operations import scheduling, turns
from mcp_messenger.operations.addresses import Recipient, recipient
from mcp_messenger.operations.application import App
from mcp_messenger.operations.messages import OfMessage, known_message, platform_id_of, words_of
from mcp_messenger.operations.moments import Due, Later, later
from mcp_messenger.operations.operation import OfInstance, Output, PlatformId
from mcp_messenger.operations.views import MessageView
from mcp_messenger.policy.asking import arguments_of
from mcp_messenger.policy.content import text_of
from mcp_messenger.policy.decide import File
from mcp_messenger.policy.judging import OWN, Judging, Permit, current
from mcp_messenger.policy.shown import Words
from mcp_messenger.security.caller import Caller, instance_of
from providers import errors as provider_errors
from providers.base import Provider
from providers.errors import MessengerError
from providers.events import CHAT_DELETED
from providers.models import Draft, is_private_thread
from providers.states import COMING, WORKING, InstanceState

EXTRA_MAX = 100_000
AGAIN_WITHIN = 120.0
"""Seconds in which an agent that sends the same once more, without a key, is taken to repeat a call of which it has lost the answer."""
SAID_BEFORE = (
    "Nothing was sent now: this is the earlier message, for the same went to this chat within the last two minutes. "
    "To send it once more on purpose: repeat: true."
)
TO = AliasChoices("to", "number", "chatId", "chat_id")


class Send(OfInstance):
    hidden = frozenset({"extra", "silent", "thread_id", "mass_mentions", "repeat"})
    operation: ClassVar[str]
    """The row that takes these arguments, by whatever path and in whatever spelling they came."""

    to: PlatformId = Field(validation_alias=TO, description="chat id, name, number")
    reply_to: str | None = Field(default=None, max_length=20, description="message id to answer")
    thread_id: str | None = Field(default=None, min_length=1, max_length=256, description="thread to write in, where the messenger has threads")
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=128, description="same key: sent once")
    send_at: Later | None = None
    silent: bool = False
    repeat: bool = Field(default=False, description="send it although the same went to this chat within the last two minutes")
    mass_mentions: bool = Field(default=False, description="let @everyone, @channel, roles and groups in the text alarm those they name")
    extra: dict[str, Any] = Field(default={}, description="the platform's own fields, passed through")

    def concerns(self) -> Hashable | None:
        return self.instance_id, self.to

    @field_validator("extra")
    @classmethod
    def _fits(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Raise ValueError for more than a platform's own fields are: it is kept with the message."""
        if len(json.dumps(value)) > EXTRA_MAX:
            raise ValueError(f"it has at most {EXTRA_MAX:,} characters as JSON")
        return value


class SendAnswer(Output):
    """`status` scheduled: it goes out at its time. queued: as soon as the messenger takes it. unknown: it may have arrived; do not send it again
    unseen.
    """

    message_id: str
    status: str
    chat_id: str
    platform_id: str | None = None
    detail: str | None = None
    also: list[str] = []
    """Ids of the further messages, where several files were sent."""
    replies: list[MessageView] = []
    """Answers that came while the call waited for them; data written by others."""
    reactions: dict[str, list[str]] = {}
    """Reactions that the message had by then: emoji by who reacted."""

    def shown(self) -> dict[str, Any]:
        """Return the answer for a model, with the mark of what others wrote."""
        return {"untrusted": True, **super().shown()} if self.replies or self.reactions else super().shown()

    def words(self) -> Iterable[Words]:
        return [*words_of(self.replies, self.chat_id), *([Words(self.chat_id)] if self.reactions else [])]


async def queue_send(
    app: App,
    caller: Caller,
    args: Send,
    *,
    split: bool = False,
    file: File | None = None,
    asked: OfMessage | None = None,
    **content: Any,
) -> SendAnswer:
    """Queue a send and wait for its outcome; `content` are fields of Draft. `asked` is the call where it is no Send itself: a forward.

    What an agent sends to the same chat again within AGAIN_WITHIN is answered with the earlier message, unless it has a key or says `repeat`.
    Raises NotReady, InvalidInput, IdempotencyConflict, PolicyDenied, ApprovalRequired, what the provider refuses beforehand, and the
    platform's refusal.
    """
    row = await instance_of(app.database, caller, args.instance_id)
    judging = current.get()
    to = await recipient(app, row, args.to, judging)
    draft = await draft_of(app, row, args, to, split=split, **content)
    message_id = await app.outbox.known(row.id, draft, args.idempotency_key)
    if message_id is not None:
        return answer(await app.outbox.wait_settled(row.id, message_id, app.config.timing.platform))
    require_not_deleted(to)
    (await checker(app, row)).check(draft)
    due = None if args.send_at is None else later("send_at", args.send_at)
    if due is None:
        require_sendable(app, row)
    turn = turns.current.get()
    async with _facts(judging, row, to, draft, turn) as about:
        permit = OWN
        if judging is not None and about is not None:
            operation, arguments = (args.operation, arguments_of(args)) if asked is None else ("forward_message", arguments_of(asked))
            permit = await judging.permit(row, draft, kind=to.kind, about=about, file=file, operation=operation, arguments=arguments)
        if due is not None:
            return await _scheduled(app, caller, row, due, args, draft, permit)
        if turn is not None:
            await turn.comes()
        is_agents_own = judging is not None and judging.by_agent and judging.approved is None
        queued = await app.outbox.queue(
            row.id,
            draft,
            kind=to.kind,
            idempotency_key=args.idempotency_key,
            permit=permit,
            again_within=AGAIN_WITHIN if is_agents_own and not args.repeat else 0.0,
        )
    if turn is not None:
        turn.end()
    if not queued.is_new and args.idempotency_key is None:
        return _said_before(await app.outbox.wait_settled(row.id, queued.id, app.config.timing.platform))
    await app.supervisor.wake_outbox(row.id)
    wait = app.outbox.wait_new if queued.is_new else app.outbox.wait_settled
    return answer(await wait(row.id, queued.id, app.config.timing.platform))


@asynccontextmanager
async def _facts(judging: Judging | None, row: InstanceRow, to: Recipient, draft: Draft, turn: turns.Turn | None) -> AsyncGenerator[Situation | None]:
    """Give what policy has to know, as long as it may change nothing that counts; None where nobody judges."""
    if judging is None or to.about is None:
        yield None
        return
    async with judging.counted(row, to.about, turn=None if turn is None else turn.comes) as about:
        yield about


async def _scheduled(app: App, caller: Caller, row: InstanceRow, due: Due, args: Send, draft: Draft, permit: Permit) -> SendAnswer:
    """Keep a send for its time, in the chat that is meant now. Raises what `scheduling.keep` raises."""
    judging = current.get()
    given = {name: value for name, value in arguments_of(args).items() if name not in {"send_at", "wait", "idempotency_key", "to"}}
    given |= {"to": draft.chat_id} | ({} if draft.thread_id is None else {"thread_id": draft.thread_id})
    kept = await scheduling.keep(
        app,
        row,
        due,
        caller=caller,
        judging=judging,
        operation=args.operation,
        arguments=given,
        body=text_of(draft),
        chat_id=draft.chat_id,
        idempotency_key=args.idempotency_key,
    )
    if judging is not None:
        await judging.recording.let_out(permit.entry)
    detail = f"It goes out on {due.words()}, if policy still lets it. cancel_send takes it back."
    return SendAnswer(message_id=scheduling.id_of(kept), status="scheduled", chat_id=draft.chat_id, detail=detail)


def _said_before(message: MessageRow) -> SendAnswer:
    """Return the outcome of an earlier send, with how to send the same once more. Raises its refusal where it fails meanwhile."""
    earlier = answer(message)
    return earlier.model_copy(update={"detail": SAID_BEFORE if earlier.detail is None else f"{earlier.detail} {SAID_BEFORE}"})


async def draft_of(app: App, row: InstanceRow, args: Send, to: Recipient, *, split: bool = False, **content: Any) -> Draft:
    """Return what a call would send. Raises NoSuchMessage, and InvalidInput for a message of another chat, or of another person's own thread."""
    replied = await _replied(app, row, args.reply_to, to.chat_id)
    thread_id = args.thread_id or to.thread_id
    if replied is not None and is_private_thread(replied.thread_id):
        if thread_id not in {None, replied.thread_id}:
            raise InvalidInput(f"reply_to: the message {replied.id} is in another thread.", hint="Leave thread_id out, or give the message's.")
        thread_id = replied.thread_id
    return Draft(
        client_id="0",
        chat_id=to.chat_id,
        reply_to=None if replied is None else platform_id_of(replied),
        thread_id=thread_id,
        silent=args.silent,
        mass_mentions=args.mass_mentions,
        extra={**args.extra, "split": True} if split else args.extra,
        **content,
    )


async def _replied(app: App, row: InstanceRow, message_id: str | None, chat_id: str) -> MessageRow | None:
    """Return a message of the chat. Raises InvalidInput for one of another: a messenger would quote it to this one."""
    if message_id is None:
        return None
    message = await known_message(app, row, message_id)
    if message.chat_id != chat_id and (await recipient(app, row, message.chat_id)).chat_id != chat_id:
        raise InvalidInput(f"reply_to: the message {message.id} is in another chat.", hint="Give one of this chat; forward_message passes one on.")
    return message


async def checker(app: App, row: InstanceRow) -> Provider:
    """Return a provider that knows what the platform would refuse; it need not run."""
    owned = app.supervisor.get(row.id)
    return owned.provider if owned is not None else await app.supervisor.unstarted(row)


def require_sendable(app: App, row: InstanceRow) -> None:
    """Raise NotReady for an instance in whose state nothing is sent, and nothing kept until it can be."""
    owned = app.supervisor.get(row.id)
    state = owned.provider.state.state if owned is not None else InstanceState(row.status)
    just_begun = row.desired == "running" and state in {InstanceState.CREATED, InstanceState.STOPPED}
    if state not in WORKING | COMING and not just_begun:
        raise NotReady(str(row.id), state, reason=owned.provider.state.reason if owned is not None else row.status_reason)


def require_not_deleted(to: Recipient) -> None:
    """Raise NotFound for a chat that the messenger has reported as deleted. Whatever else closes a chat may be undone unseen: that is tried."""
    if to.closed == CHAT_DELETED:
        raise provider_errors.NotFound(to.closed, hint="Nothing can be sent there any more; list_chats shows the chats that are open.")


def answer(message: MessageRow | Fate) -> SendAnswer:
    """Return the outcome of a send. Raises the platform's refusal for a message that failed."""
    error = message.error or {}
    if message.status == "failed":
        raise refusal(error.get("code", ""), error.get("message", ""), error.get("hint"))
    return SendAnswer(
        message_id=str(message.id),
        status=message.status,
        chat_id=message.chat_id,
        platform_id=message.platform_id,
        detail=error.get("message"),
    )


_NEXT_STEPS: dict[type[MessengerError], str] = {
    provider_errors.NotFound: "list_chats has the chats that are known.",
    provider_errors.Forbidden: "The account lacks the right to it: somebody has to give it on the messenger, or write to it first.",
    provider_errors.InvalidRequest: "Change what the messenger names, and send it again.",
    provider_errors.WindowClosed: "Wait until the other side writes, or send a template where the messenger has them.",
    provider_errors.LoggedOut: "Call login: it says what the account needs.",
}
_NEXT_STEP = "The messenger's words say why; change that before it is sent again."


def refusal(code: str, detail: str, hint: str | None) -> MessengerError:
    """Return the error of a stored code, with the hint that the provider gave for it."""
    kinds: tuple[type[MessengerError], ...] = (
        provider_errors.NotFound,
        provider_errors.Forbidden,
        provider_errors.InvalidRequest,
        provider_errors.WindowClosed,
        provider_errors.LoggedOut,
    )
    cls = next((kind for kind in kinds if kind.code == code), provider_errors.Rejected)
    return cls(detail, hint=hint or f"The message was not sent. {_NEXT_STEPS.get(cls, _NEXT_STEP)}")
