"""Says beforehand whether a send would be tried and taken."""

from datetime import UTC, datetime, timedelta

from pydantic import Field

from db import chats
from db.chats import ChatRow
from mcp_messenger.operations.addresses import Recipient, recipient
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import OfInstance, Output, PlatformId
from mcp_messenger.operations.queueing import TO, checker, require_not_deleted, require_sendable
from mcp_messenger.policy.decide import ALLOWED, Content
from mcp_messenger.policy.judging import current
from mcp_messenger.security.caller import Caller, instance_of
from providers import errors as provider_errors
from providers.base import Provider
from providers.capabilities import Capability
from providers.errors import MessengerError
from providers.models import Draft, TextFormat


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
        require_sendable(app, row)
        require_not_deleted(to)
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
