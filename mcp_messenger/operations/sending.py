"""Sends messages, and says beforehand whether a send would be taken."""

import json
from collections.abc import Hashable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import anyio.to_thread
from pydantic import AliasChoices, Field, field_validator

from db import chats, messages
from db.chats import ChatRow
from db.instances import InstanceRow
from db.messages import MessageRow
from mcp_messenger.errors import InvalidInput, NotReady
from mcp_messenger.instances import classes
from mcp_messenger.net.network_policy import NetworkPolicy
from mcp_messenger.net.uploads import MediaPolicy, load_upload
from mcp_messenger.operations import turns
from mcp_messenger.operations.addresses import Recipient, recipient
from mcp_messenger.operations.application import App
from mcp_messenger.operations.messages import OfMessage, known_message, platform_id_of, words_of
from mcp_messenger.operations.operation import OfInstance, Output, PlatformId
from mcp_messenger.operations.port import port
from mcp_messenger.operations.views import MessageView
from mcp_messenger.operations.waiting import LONGEST_WAIT, WaitForReply, wait_for_reply
from mcp_messenger.policy.asking import arguments_of
from mcp_messenger.policy.decide import ALLOWED, Content, File
from mcp_messenger.policy.judging import OWN, Words, current
from mcp_messenger.security.caller import Caller, instance_of
from providers import errors as provider_errors
from providers.base import Provider
from providers.errors import MessengerError
from providers.models import (
    Capability,
    Choice,
    Contact,
    Draft,
    Forwarding,
    InstanceState,
    Limits,
    Location,
    MediaKind,
    Poll,
    Rate,
    SendingBudget,
    Template,
    TemplateButton,
    TemplateUse,
    TextFormat,
    Upload,
)
from providers.states import COMING, WORKING

EXTRA_MAX = 100_000
SETTLE = 3.0
"""Seconds of silence after an answer, in which people often write another one."""
DEFAULT_UPLOAD_MAX = 64 * 1024 * 1024
PATH_MAX = 4096
TO = AliasChoices("to", "number", "chatId", "chat_id")


class Send(OfInstance):
    hidden = frozenset({"extra", "silent", "thread_id", "mass_mentions"})
    operation: ClassVar[str]
    """The row that takes these arguments, by whatever path and in whatever spelling they came."""

    to: PlatformId = Field(validation_alias=TO, description="chat id or name from list_chats, or a number where the messenger takes one")
    reply_to: str | None = Field(default=None, max_length=20, description="message id to answer")
    thread_id: str | None = Field(default=None, min_length=1, max_length=256, description="thread to write in, where the messenger has threads")
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=128, description="same key, same send: never sent twice")
    silent: bool = False
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


class SendMessage(Send):
    operation = "send_message"

    message: str = Field(min_length=1, max_length=100_000)
    format: TextFormat = TextFormat.PLAIN
    split: bool = Field(default=False, description="send a too long text as several messages")
    wait: float = Field(default=0.0, ge=0, le=LONGEST_WAIT, description="seconds to wait for the answer")


class SendMedia(Send):
    operation = "send_media"

    source: str = Field(min_length=1, max_length=90_000_000, description="URL, path in a media folder, data: URI or base64:...")
    caption: str = Field(default="", max_length=100_000)
    format: TextFormat = TextFormat.PLAIN
    kind: MediaKind | None = Field(default=None, description="how to show it; found out by itself")
    name: str | None = Field(default=None, max_length=200)
    mime: str | None = Field(default=None, max_length=100)


class SendPoll(Send):
    operation = "send_poll"

    question: str = Field(min_length=1, max_length=1000)
    options: list[str] = Field(min_length=2, max_length=20)
    multiple: bool = False


class SendLocation(Send):
    operation = "send_location"

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    name: str | None = Field(default=None, max_length=200)


class SendContact(Send):
    operation = "send_contact"

    contact_id: str = Field(default="", max_length=256, description="from list_contacts, where it is one of them")
    name: str = Field(min_length=1, max_length=200)
    phone: str | None = Field(default=None, max_length=32)


class SendChoices(Send):
    operation = "send_choices"

    message: str = Field(min_length=1, max_length=100_000)
    format: TextFormat = TextFormat.PLAIN
    choices: list[Choice] = Field(min_length=1, max_length=25, description="shown as buttons or a list; the id comes back as chosen")


class SendTemplate(Send):
    operation = "send_template"

    template: str = Field(min_length=1, max_length=512, description="name, from list_templates")
    language: str = Field(min_length=2, max_length=16)
    parameters: list[str] = Field(default=[], max_length=50, description="for its placeholders, in order")
    named: dict[str, str] = Field(default={}, description="for its placeholders, where they have names")
    header: str | None = Field(default=None, max_length=1000, description="for the placeholder in a header of text")
    header_source: str | None = Field(default=None, max_length=90_000_000, description="the header's file: URL, path in a media folder, data: URI")
    buttons: list[TemplateButton] = Field(default=[], max_length=10, description="variable parts of its buttons")


class SendAnswer(Output):
    """`status` queued: it goes out as soon as the messenger takes it. unknown: it may have arrived; do not send it again unseen."""

    message_id: str
    status: str
    chat_id: str
    platform_id: str | None = None
    detail: str | None = None
    replies: list[MessageView] = []
    """Answers that came while the call waited for them; data written by others."""

    def shown(self) -> dict[str, Any]:
        """Return the answer for a model, with the mark of what others wrote."""
        return {"untrusted": True, **super().shown()} if self.replies else super().shown()

    def words(self) -> Iterable[Words]:
        return words_of(self.replies, self.chat_id)


async def send_message(app: App, caller: Caller, args: SendMessage) -> SendAnswer:
    """Send a text, and wait for the answer where that is wanted. Raises what `_send` raises."""
    sent = await _send(app, caller, args, text=args.message, format=args.format, split=args.split)
    judging = current.get()
    if not args.wait or (judging is not None and judging.approved is not None):
        return sent
    wanted = WaitForReply(instance_id=args.instance_id, message_id=sent.message_id, timeout=args.wait, settle=min(SETTLE, args.wait))
    heard = await wait_for_reply(app, caller, wanted)
    return sent.model_copy(update={"replies": heard.replies, "status": heard.status})


async def send_media(app: App, caller: Caller, args: SendMedia) -> SendAnswer:
    """Send a file from a URL, a media folder or the call itself. Raises Unsupported and what `_send` raises."""
    row = await instance_of(app.database, caller, args.instance_id)
    cls = await classes.load(row.provider)
    _require(cls, Capability.MEDIA)
    if not await app.outbox.is_known(row.id, args.idempotency_key):
        # Before a file is fetched that could not be sent.
        await recipient(app, row, args.to, current.get())
        (await checker(app, row)).check_lengths(Draft(client_id="0", chat_id=args.to, text=args.caption, format=args.format))
        _require_sendable(app, row)
    return await _send_file(app, caller, args, args.source, (args.name, args.mime, args.kind), text=args.caption, format=args.format)


async def _send_file(
    app: App, caller: Caller, args: Send, source: str, said: tuple[str | None, str | None, MediaKind | None], **content: Any
) -> SendAnswer:
    """Fetch a file and send it with `content`. `said` is what the caller says of it: name, mime and kind."""
    row = await instance_of(app.database, caller, args.instance_id)
    cls = await classes.load(row.provider)
    name, mime, kind = said
    async with app.upload_room.share() as share:
        upload = await load_upload(
            source,
            policy=media_policy(app, row),
            max_bytes=min(cls.limits.max_upload or DEFAULT_UPLOAD_MAX, app.config.max_upload),
            name=name,
            mime=mime,
            kind=kind,
            room=share.take,
        )
        file = await _file(app, row, source, upload)
        return await _send(app, caller, args, file=file, upload=upload, **content)


async def _file(app: App, row: InstanceRow, source: str, upload: Upload) -> File:
    """Return what policy has to know of a file: one in the folder of downloads was received in a chat."""
    folder = app.downloads_dir(row.id)

    def place() -> Path | None:
        path = Path(source.removeprefix("file://"))
        try:
            return path.resolve().relative_to(folder.parent.resolve())
        except (ValueError, OSError):
            return None

    found = None if len(source) > PATH_MAX else await anyio.to_thread.run_sync(place)
    if found is None:
        return File(len(upload.content))
    instance = found.parts[0] if found.parts else ""
    number = found.parts[1] if len(found.parts) > 1 else ""
    message = None
    if instance == str(row.id) and number.isascii() and number.isdecimal() and int(number) < 2**63:
        message = await messages.get(app.database, row.id, int(number))
    return File(len(upload.content), from_chat=message and message.chat_id, is_received=True)


async def send_poll(app: App, caller: Caller, args: SendPoll) -> SendAnswer:
    """Send a poll. Raises what `_send` raises."""
    poll = Poll(question=args.question, options=tuple(args.options), multiple=args.multiple)
    return await _send(app, caller, args, poll=poll)


async def send_location(app: App, caller: Caller, args: SendLocation) -> SendAnswer:
    """Send a place. Raises what `_send` raises."""
    return await _send(app, caller, args, location=Location(latitude=args.latitude, longitude=args.longitude, name=args.name))


async def send_contact(app: App, caller: Caller, args: SendContact) -> SendAnswer:
    """Send a contact card. Raises what `_send` raises."""
    return await _send(app, caller, args, contact=Contact(id=args.contact_id, name=args.name, phone=args.phone))


async def send_choices(app: App, caller: Caller, args: SendChoices) -> SendAnswer:
    """Send a text with choices to tap. Raises what `_send` raises."""
    return await _send(app, caller, args, text=args.message, format=args.format, choices=tuple(args.choices))


async def send_template(app: App, caller: Caller, args: SendTemplate) -> SendAnswer:
    """Send a template that the platform has approved. Raises what `_send` raises."""
    use = TemplateUse(
        name=args.template,
        language=args.language,
        parameters=tuple(args.parameters),
        named=args.named,
        header=args.header,
        buttons=tuple(args.buttons),
    )
    if args.header_source is None:
        return await _send(app, caller, args, template=use)
    row = await instance_of(app.database, caller, args.instance_id)
    _require(await classes.load(row.provider), Capability.TEMPLATES)
    _require_sendable(app, row)
    return await _send_file(app, caller, args, args.header_source, (None, None, None), template=use)


class ForwardMessage(OfMessage):
    to: PlatformId = Field(validation_alias=TO, description="chat id from list_chats, or a number where the messenger takes one")
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=128, description="same key, same send: never sent twice")

    def concerns(self) -> Hashable | None:
        return self.instance_id, self.to


async def forward_message(app: App, caller: Caller, args: ForwardMessage) -> SendAnswer:
    """Pass a message on to another chat, marked as forwarded. Raises NoSuchMessage and what `_send` raises."""
    row = await instance_of(app.database, caller, args.instance_id)
    message = await known_message(app, row, args.message_id)
    if message.deleted_at is not None:
        raise InvalidInput(f"The message {message.id} was deleted.", hint="Forward another one.")
    forward = Forwarding(chat_id=message.chat_id, message_id=platform_id_of(message))
    send = Send(instance_id=str(row.id), to=args.to, idempotency_key=args.idempotency_key)
    return await _send(app, caller, send, asked=args, text=message.body, forward=forward)


class TemplateList(Output):
    templates: list[Template]


async def list_templates(app: App, caller: Caller, args: OfInstance) -> TemplateList:
    """Ask the platform for its approved templates. Raises Unsupported, NotReady."""
    row = await instance_of(app.database, caller, args.instance_id)
    return TemplateList(templates=list(await (await port(app, row, Capability.TEMPLATES)).list_templates()))


class SendingBudgetAnswer(Output):
    """Chats with people who never wrote: those `begun` in 24 hours and those `allowed`; `next_at` none: now. Answers are not counted.

    `pace` and `pace_in_chat` are the most sends in so many seconds.
    """

    begun: int
    allowed: int
    allowed_after_warm_up: int
    warm_up_until: datetime | None = None
    locked_until: datetime | None = None
    next_at: datetime | None = None
    pace: Rate | None = None
    pace_in_chat: Rate | None = None


def budget_answer(budget: SendingBudget, limits: Limits) -> SendingBudgetAnswer:
    """Return a sending budget as callers see it."""
    return SendingBudgetAnswer(**budget.model_dump(), pace=limits.overall_rate, pace_in_chat=limits.chat_rate)


async def get_sending_budget(app: App, caller: Caller, args: OfInstance) -> SendingBudgetAnswer:
    """Return how many new chats may be opened. Raises Unsupported, NotReady."""
    row = await instance_of(app.database, caller, args.instance_id)
    budget = await (await port(app, row, Capability.SENDING_BUDGET)).sending_budget()
    return budget_answer(budget, (await classes.load(row.provider)).limits)


def media_policy(app: App, row: InstanceRow) -> MediaPolicy:
    """Return whence files come: the media folders, that of the instance's user, and what this very instance has downloaded."""
    of_users = app.config.data_dir / "media" / "users"
    roots = app.config.media_roots or (app.config.data_dir / "media",)
    own = of_users / quote(row.user_id, safe="").replace(".", "%2E")
    return MediaPolicy(
        roots=(*roots, own, app.downloads_dir(row.id)),
        closed=of_users,
        spool=app.config.data_dir,
        network=NetworkPolicy(allowed_networks=app.config.allowed_networks),
        tls=app.tls(),
    )


def _require(cls: type[Provider], capability: Capability) -> None:
    if capability not in cls.capabilities:
        raise provider_errors.Unsupported(cls.name, capability)


async def _send(
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

    Raises NotReady, InvalidInput, IdempotencyConflict, PolicyDenied, ApprovalRequired, what the provider refuses beforehand, and the
    platform's refusal.
    """
    row = await instance_of(app.database, caller, args.instance_id)
    judging = current.get()
    to = await recipient(app, row, args.to, judging)
    draft = Draft(
        client_id="0",
        chat_id=to.chat_id,
        reply_to=await _reply_target(app, row, args.reply_to),
        thread_id=args.thread_id or to.thread_id,
        silent=args.silent,
        mass_mentions=args.mass_mentions,
        extra={**args.extra, "split": True} if split else args.extra,
        **content,
    )
    message_id = await app.outbox.known(row.id, draft, args.idempotency_key)
    if message_id is not None:
        return answer(await app.outbox.wait_settled(row.id, message_id, app.config.timing.platform))
    (await checker(app, row)).check(draft)
    _require_sendable(app, row)
    permit = OWN
    if judging is not None and to.about is not None:
        operation, arguments = (args.operation, arguments_of(args)) if asked is None else ("forward_message", arguments_of(asked))
        permit = await judging.permit(row, draft, kind=to.kind, about=to.about, file=file, operation=operation, arguments=arguments)
    async with app.feed.waiter(row.id, to.chat_id) as grown:
        turn = turns.current.get()
        if turn is not None:
            await turn.comes()
        message_id = await app.outbox.queue(row.id, draft, kind=to.kind, idempotency_key=args.idempotency_key, permit=permit)
        if turn is not None:
            turn.end()
        await app.supervisor.wake_outbox(row.id)
        return answer(await app.outbox.wait_settled(row.id, message_id, app.config.timing.platform, since_queued=grown))


async def _reply_target(app: App, row: InstanceRow, message_id: str | None) -> str | None:
    return None if message_id is None else platform_id_of(await known_message(app, row, message_id))


async def checker(app: App, row: InstanceRow) -> Provider:
    """Return a provider that knows what the platform would refuse; it need not run."""
    owned = app.supervisor.get(row.id)
    return owned.provider if owned is not None else await app.supervisor.unstarted(row)


def _require_sendable(app: App, row: InstanceRow) -> None:
    owned = app.supervisor.get(row.id)
    state = owned.provider.state.state if owned is not None else InstanceState(row.status)
    just_begun = row.desired == "running" and state in {InstanceState.CREATED, InstanceState.STOPPED}
    if state not in WORKING | COMING and not just_begun:
        raise NotReady(str(row.id), state)


def answer(message: MessageRow) -> SendAnswer:
    """Raises the platform's refusal for a message that failed."""
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
    provider_errors.InvalidRequest: "Change what the messenger names, and send it again; check_send tells what would be taken.",
    provider_errors.WindowClosed: "Wait until the other side writes, or send a template where the messenger has them.",
    provider_errors.LoggedOut: "get_auth_status tells what the account needs.",
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


class CheckSend(OfInstance):
    to: PlatformId = Field(validation_alias=TO)
    message: str = Field(default="", max_length=100_000)
    format: TextFormat = TextFormat.PLAIN


class SendCheck(Output):
    """Whether a send would be tried and taken now; `refusal` gives the reason if not, `instead` an alternative.

    `policy` is what the owner's policy says: allow, ask (the call waits for a person) or deny; `rule` and `policy_words` say why.
    """

    ok: bool
    policy: str = "allow"
    rule: str | None = None
    policy_words: str | None = None
    refusal: str | None = None
    reason: str | None = None
    instead: str | None = None
    length: int
    max_length: int
    length_unit: str
    wait_seconds: float = 0.0


async def check_send(app: App, caller: Caller, args: CheckSend) -> SendCheck:
    """Return whether a send would be tried and taken now, without sending anything."""
    row = await instance_of(app.database, caller, args.instance_id)
    provider = await checker(app, row)
    owned = app.supervisor.get(row.id)
    problem: MessengerError | None = None
    to: Recipient | None = None
    decision = ALLOWED
    judging = current.get()
    try:
        to = await recipient(app, row, args.to, judging)
        if judging is not None and to.about is not None:
            decision, _ = await judging.judged(row, to.chat_id, to.kind, to.about, content=Content(args.message))
        provider.check(Draft(client_id="0", chat_id=to.chat_id, thread_id=to.thread_id, text=args.message, format=args.format))
        _require_sendable(app, row)
        if to.closed is not None:
            raise provider_errors.Forbidden(to.closed, hint="Nothing can be sent there until the other side opens the chat again.")
        require_open_window(provider, await chats.get(app.database, row.id, to.chat_id))
    except MessengerError as error:
        problem = error
    return SendCheck(
        ok=problem is None and decision.outcome != "deny",
        policy=decision.outcome,
        rule=None if decision is ALLOWED else decision.rule,
        policy_words=decision.words or None,
        refusal=problem and problem.code,
        reason=problem and problem.detail,
        instead=problem and problem.hint,
        length=provider.limits.text_unit.length(args.message),
        max_length=provider.limits.max_text,
        length_unit=provider.limits.text_unit,
        wait_seconds=round(owned.pacing.wait(to.chat_id, to.kind), 3) if owned is not None and to is not None else 0.0,
    )


def require_open_window(provider: Provider, chat: ChatRow | None) -> None:
    """Raise WindowClosed where the reply window seems closed. Only `check_send` asks: the platform may know of a message that we do not."""
    hours = provider.limits.reply_window_hours
    if hours is None:
        return
    since = None if chat is None else chat.last_incoming_at
    if since is not None and datetime.now(UTC) - since < timedelta(hours=hours):
        return
    said = "has not written yet" if since is None else f"wrote last at {since:%Y-%m-%d %H:%M} UTC"
    other_way = Capability.TEMPLATES in provider.capabilities
    raise provider_errors.WindowClosed(
        f"{provider.title} takes free messages for {hours} hours after the other side wrote; here it {said}.",
        hint="Send a template; list_templates has those there are." if other_way else "Wait until the other side writes.",
    )
