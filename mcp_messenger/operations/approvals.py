"""Calls that wait for a person: shown, decided, carried out once; drafts and questions that an agent puts before its owner."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import anyio
from pydantic import Field

from db import access_keys
from db import approvals as store
from db import policy as policies
from db.approvals import ApprovalRow
from db.errors import StoreUnavailable
from mcp_messenger.errors import Conflict, InvalidInput, NoSuchApproval, NotAllowed, ShuttingDown
from mcp_messenger.operations import cursor as cursors
from mcp_messenger.operations.addresses import recipient
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Cursor, Effect, FromOthers, Input, Limit, OfInstance, Operation, Output, PlatformId, Transport
from mcp_messenger.operations.sending import TO
from mcp_messenger.operations.validation import validated
from mcp_messenger.policy import asking
from mcp_messenger.policy.asking import Asked, Call, unsealed
from mcp_messenger.policy.judging import Approved, Words, current, rest_of
from mcp_messenger.policy.model import stored
from mcp_messenger.security.caller import Caller, instance_of, parse_instance_id
from providers.errors import MessengerError
from providers.models import Draft, TextFormat

PAGE = "/approve"
LEASE = 180.0
"""Seconds in which an approved call is carried out, or somebody else takes it on."""
LOOK_EVERY = 1.0
RESUME_EVERY = 30.0
LONGEST_WAIT = 300.0
BATCH = 20
EDITABLE = ("message", "caption")
SHOWN_MAX = 2000
WAITING, SETTLED = frozenset({"pending", "approved"}), frozenset({"done", "failed", "denied", "answered", "cancelled", "expired"})

NEXT_STEPS: Mapping[str, str] = {
    "pending": "The owner has not decided yet. Go on with something else, or wait again.",
    "approved": "It is being carried out.",
    "done": "It was carried out as `result` says; do not do it again.",
    "failed": "The owner approved it, and it could not be carried out, for the reason in `result`.",
    "denied": "The owner said no. Do not do it in another way; tell the person you work for.",
    "answered": "`answer` is what the owner says.",
    "cancelled": "It was taken back, and nothing was done.",
    "expired": "Nobody decided in time, and nothing was done. Ask the person before you make the call again.",
}


class ApprovalView(Output):
    """A call that waits for the owner, or did. `arguments` are those of `operation`; `content` is its text; `result` the outcome.

    `code` is what the owner answers with in the owner's chat; no agent is shown it. `next_step` says what to do now.
    """

    approval_id: str
    code: str | None = None
    kind: str
    status: str
    operation: str
    instance_id: str | None = None
    chat_id: str | None = None
    chat_title: str | None = None
    content: str = ""
    arguments: dict[str, Any] = {}
    rule: str
    reason: str
    asked_by: str
    created_at: datetime
    expires_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    result: dict[str, Any] | None = None
    answer: str | None = None
    next_step: str = ""


class ApprovalAnswer(FromOthers):
    approval: ApprovalView

    def words(self) -> Iterable[Words]:
        return _words([self.approval])


class ApprovalList(FromOthers):
    approvals: list[ApprovalView]
    next_cursor: str | None = None

    def words(self) -> Iterable[Words]:
        return _words(self.approvals)


def _words(views: Iterable[ApprovalView]) -> Iterable[Words]:
    return [Words(view.chat_id, view.instance_id, incoming=bool(view.chat_title)) for view in views if view.chat_id is not None]


SECRETS = frozenset({"credentials", "headers", "secret", "token", "password"})


def _shown(value: object) -> Any:
    """Return arguments as they are shown: without secrets, and long texts cut."""
    if isinstance(value, dict):
        return {name: "(hidden)" if name in SECRETS else _shown(one) for name, one in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_shown(one) for one in cast("list[object]", value)]
    return value[:SHOWN_MAX] if isinstance(value, str) else value


def view(app: App, row: ApprovalRow) -> ApprovalView:
    """Return an approval as callers see it; the chat's name, which others wrote, only as a person sees it."""
    call = unsealed(app.vault(), row)
    judging = current.get()
    by_agent = judging is not None and judging.by_agent
    outcome = row.outcome or {}
    return ApprovalView(
        approval_id=str(row.id),
        code=None if by_agent else row.code,
        kind=row.kind,
        status=row.status,
        operation=row.operation,
        instance_id=None if row.instance_id is None else str(row.instance_id),
        chat_id=row.chat_id,
        chat_title=None if by_agent else call.title or None,
        content=call.text[:SHOWN_MAX],
        arguments=_shown({name: value for name, value in call.arguments.items() if name not in {"instance_id", *EDITABLE}}),
        rule=row.rule,
        reason=row.reason,
        asked_by=row.asker,
        created_at=row.created_at,
        expires_at=row.expires_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        result={name: value for name, value in outcome.items() if name != "words"} or None,
        answer=outcome.get("words"),
        next_step=NEXT_STEPS[row.status],
    )


async def known(app: App, caller: Caller, approval_id: str) -> ApprovalRow:
    """Return an approval that the caller may see. Raises NoSuchApproval, also for another's."""
    try:
        row = await store.get(app.database, UUID(approval_id))
    except ValueError:
        row = None
    if row is None:
        raise NoSuchApproval(approval_id)
    is_theirs = row.instance_id == caller.instance_id if caller.instance_id is not None else caller.user_id in {None, row.user_id}
    if not is_theirs or not _shown_to(caller, row):
        raise NoSuchApproval(approval_id)
    return row


def _shown_to(caller: Caller, row: ApprovalRow) -> bool:
    """Return whether a caller may see an approval of its user: an agent sees what it asked for itself, for others' words could steer it."""
    judging = current.get()
    if judging is not None and judging.by_agent and row.asker != judging.asker:
        return False
    return caller.instances is None or row.instance_id in caller.instances


class ListApprovals(Input):
    instance_id: str | None = Field(default=None, max_length=64, description="only this one")
    pending: bool = Field(default=True, description="only those that wait")
    limit: Limit = 20
    cursor: Cursor = None


async def list_approvals(app: App, caller: Caller, args: ListApprovals) -> ApprovalList:
    """Return approvals, newest first."""
    instance_id = caller.instance_id
    if args.instance_id is not None:
        instance_id = (await instance_of(app.database, caller, args.instance_id)).id
    before = cursors.decode(args.cursor)
    after = None if before is None or before[0] is None else (before[0], parse_instance_id(before[1]))
    user_id = None if caller.instance_id is not None else caller.user_id
    rows = await store.listing(app.database, user_id=user_id, instance_id=instance_id, pending=args.pending, after=after, limit=args.limit + 1)
    page = rows[: args.limit]
    return ApprovalList(
        approvals=[view(app, row) for row in page if _shown_to(caller, row)],
        next_cursor=cursors.encode(page[-1].created_at, str(page[-1].id)) if len(rows) > args.limit else None,
    )


class OfApproval(Input):
    approval_id: str = Field(max_length=64, description="from the error approval_required, or list_approvals")


class WaitForApproval(OfApproval):
    timeout: float = Field(default=60.0, ge=0, le=LONGEST_WAIT, description="seconds")


async def wait_for_approval(app: App, caller: Caller, args: WaitForApproval) -> ApprovalAnswer:
    """Return an approval as soon as it is decided and carried out, or as it is after `timeout` seconds. Raises NoSuchApproval, ShuttingDown."""
    deadline = anyio.current_time() + args.timeout
    ends = app.feed.ends
    row = await known(app, caller, args.approval_id)
    while True:
        async with app.feed.waiter(row.instance_id) as grown:
            row = await known(app, caller, args.approval_id)
            if row.status in SETTLED or anyio.current_time() >= deadline:
                return ApprovalAnswer(approval=view(app, row))
            if ends.is_set():
                raise ShuttingDown("This server stops before the wait is over.", hint="Ask again in a few seconds.")
            # One without an instance makes no event.
            left = deadline - anyio.current_time()
            with anyio.move_on_after(left if row.instance_id is not None else min(LOOK_EVERY, left)):
                await grown.wait()


async def cancel_approval(app: App, caller: Caller, args: OfApproval) -> ApprovalAnswer:
    """Take a call back that waits. Raises NoSuchApproval, and Conflict where it was decided."""
    row = await known(app, caller, args.approval_id)
    await _decide(app, row, "cancelled", str(caller))
    return ApprovalAnswer(approval=view(app, await known(app, caller, args.approval_id)))


class Approve(OfApproval):
    message: str | None = Field(default=None, min_length=1, max_length=100_000, description="the text to send instead, where it is a message")
    answer: str | None = Field(default=None, min_length=1, max_length=10_000, description="to a question")
    always: bool = Field(default=False, description="this chat is trusted from now on")


async def approve(app: App, caller: Caller, args: Approve) -> ApprovalAnswer:
    """Approve a call and carry it out. Raises NoSuchApproval, Conflict where it was decided, InvalidInput for a change it cannot take."""
    caller.require_owner()
    row = await known(app, caller, args.approval_id)
    await approve_as(app, row, str(caller), message=args.message, answer=args.answer, always=args.always)
    return ApprovalAnswer(approval=view(app, await known(app, caller, args.approval_id)))


async def approve_as(app: App, row: ApprovalRow, by: str, *, message: str | None = None, answer: str | None = None, always: bool = False) -> None:
    """Approve in the name of `by`, who may, and carry it out. Raises Conflict, InvalidInput."""
    if row.kind == "question":
        if answer is None:
            raise InvalidInput("answer: this is a question.", hint="Give the words that the agent gets.")
        await _decide(app, row, "answered", by, outcome={"words": answer})
        return
    sealed = None
    if message is not None:
        call = unsealed(app.vault(), row)
        name = next((name for name in EDITABLE if name in call.arguments), None)
        if name is None:
            raise InvalidInput(f"message: {row.operation} has no text that could be changed.", hint="Approve it as it is, or deny it.")
        edited = replace(call, arguments={**call.arguments, name: message}, text=message)
        sealed = asking.sealed(app.vault(), row.id, edited)
    await _decide(app, row, "approved", by, sealed=sealed, lease=LEASE)
    if always and row.instance_id is not None and row.chat_id is not None:
        await policies.trust(app.database, row.instance_id, row.chat_id, by=by)
    await carry_out(app, row.id)


class Deny(OfApproval):
    reason: str | None = Field(default=None, max_length=1000, description="for the agent")


async def deny(app: App, caller: Caller, args: Deny) -> ApprovalAnswer:
    """Deny a call: it is not carried out. Raises NoSuchApproval, Conflict where it was decided."""
    caller.require_owner()
    row = await known(app, caller, args.approval_id)
    await deny_as(app, row, str(caller), args.reason)
    return ApprovalAnswer(approval=view(app, await known(app, caller, args.approval_id)))


class ApprovalLink(Output):
    """The address of a page on which whoever has it decides, once. A new one ends the one before."""

    url: str
    expires_at: datetime


async def get_approval_link(app: App, caller: Caller, args: OfApproval) -> ApprovalLink:
    """Return the address of an approval's page. Raises NoSuchApproval, Conflict where it was decided."""
    caller.require_owner()
    row = await known(app, caller, args.approval_id)
    if row.status != "pending":
        raise Conflict(f"This is decided already: {row.status}.", hint="list_approvals shows what still waits.")
    return ApprovalLink(url=f"{app.config.own_url}{PAGE}/{await page_secret(app, row)}", expires_at=row.expires_at)


async def page_secret(app: App, row: ApprovalRow) -> str:
    """Return a new secret that opens the page of an approval."""
    secret = secrets.token_urlsafe(24)
    await store.set_page(app.database, row.id, app.vault().digest(secret))
    return secret


async def by_page(app: App, secret: str) -> ApprovalRow:
    """Return the approval that waits under the secret of a page. Raises NoSuchApproval for one that is decided, or over."""
    await app.database.started()
    row = await store.by_page(app.database, app.vault().digests(secret[:100]))
    if row is None:
        raise NoSuchApproval(None)
    return row


async def deny_as(app: App, row: ApprovalRow, by: str, reason: str | None = None) -> None:
    """Deny in the name of `by`, who may. Raises Conflict."""
    await _decide(app, row, "denied", by, outcome=None if reason is None else {"words": reason})


async def _decide(
    app: App, row: ApprovalRow, status: str, by: str, *, outcome: dict[str, Any] | None = None, sealed: bytes | None = None, lease: float = 0.0
) -> None:
    if not await store.decide(app.database, row.id, status, by=by, outcome=outcome, sealed=sealed, lease=lease):
        now = await store.get(app.database, row.id)
        raise Conflict(f"This is decided already: {'gone' if now is None else now.status}.", hint="list_approvals shows what still waits.")


async def carry_out(app: App, approval_id: UUID, *, again: bool = False) -> None:
    """Carry out an approved call with the rights of who asked for it, and store what became of it. `again`: a process died over it."""
    row = await store.get(app.database, approval_id)
    if row is None or row.status != "approved":
        return
    operation = _operation(row.operation)
    try:
        if operation is None or (again and not _may_repeat(operation)):
            raise Conflict("The server stopped while this was carried out; it may have been done.", hint="Look before you ask for it again.")
        output = await _carried_out(app, row, operation)
    except StoreUnavailable:
        # It stays approved, and is taken on again.
        raise
    except MessengerError as error:
        await store.settle(app.database, row.id, "failed", {"code": error.code, "detail": error.detail, "hint": error.hint})
    else:
        await store.settle(app.database, row.id, "done", output.shown())


async def _carried_out(app: App, row: ApprovalRow, operation: Operation) -> Output:
    await _require_key(app, row)
    call = unsealed(app.vault(), row)
    arguments = dict(call.arguments)
    if "idempotency_key" in operation.input.model_fields:
        arguments["idempotency_key"] = row.idempotency_key or f"approval:{row.id}"
    caller = Caller(user_id=row.caller_user_id, instance_id=row.caller_instance_id)
    approved = Approved(row.id, row.chat_id, call.rest, row.decided_by or "")
    return await operation.carry_out(app, caller, validated(operation, arguments), transport=Transport.REST, approved=approved)


async def _require_key(app: App, row: ApprovalRow) -> None:
    """Raise NotAllowed where the key that asked has been revoked since, or has expired."""
    _, found, key_id = row.asker.rpartition(" key:")
    if found and await access_keys.ended(app.database, [UUID(key_id)]):
        raise NotAllowed("The key that asked for this is not valid any more.", hint="Whoever holds a valid key may ask again.")


def _operation(name: str) -> Operation | None:
    from mcp_messenger.operations.table import BY_NAME

    return BY_NAME.get(name)


def _may_repeat(operation: Operation) -> bool:
    return operation.idempotent or operation.effect is Effect.READ or "idempotency_key" in operation.input.model_fields


async def resume(app: App) -> None:
    """Carry out what was approved and not done because a process died, and end what nobody decided in time."""
    for approval_id in await store.claim(app.database, lease=LEASE, limit=BATCH):
        await carry_out(app, approval_id, again=True)
    await store.expire(app.database, limit=BATCH)


async def forget(app: App) -> None:
    """Delete what was decided, or shown, long ago."""
    await store.forget(app.database)
    await policies.forget(app.database)


class DraftMessage(OfInstance):
    to: PlatformId = Field(validation_alias=TO, description="as in send_message")
    message: str = Field(min_length=1, max_length=100_000)
    format: TextFormat = TextFormat.PLAIN
    reason: str = Field(default="The agent drafted this message.", max_length=500, description="for the owner")


async def draft_message(app: App, caller: Caller, args: DraftMessage) -> ApprovalAnswer:
    """Put a message before the owner, who may change it, and approves or denies it. Raises what `recipient` raises."""
    row = await instance_of(app.database, caller, args.instance_id)
    to = await recipient(app, row, args.to)
    draft = Draft(client_id="0", chat_id=to.chat_id, thread_id=to.thread_id, text=args.message, format=args.format)
    arguments = {"instance_id": args.instance_id, "to": args.to, "message": args.message, "format": str(args.format)}
    policy = stored(await policies.document(app.database, row.id))
    kept, _ = await asking.ask(
        app.database,
        app.vault(),
        Asked(
            kind="draft",
            operation="send_message",
            call=Call(arguments, rest_of(row.id, draft), "", args.message),
            rule="draft",
            reason=args.reason,
            asker=str(caller),
            caller=caller,
            user_id=row.user_id,
            instance_id=row.id,
            chat_id=to.chat_id,
            minutes=policy.approval_minutes,
        ),
    )
    return ApprovalAnswer(approval=view(app, kept))


class AskOwner(OfInstance):
    question: str = Field(min_length=1, max_length=4000)


async def ask_owner(app: App, caller: Caller, args: AskOwner) -> ApprovalAnswer:
    """Ask the owner a question; wait_for_approval gives the answer."""
    row = await instance_of(app.database, caller, args.instance_id)
    policy = stored(await policies.document(app.database, row.id))
    kept, _ = await asking.ask(
        app.database,
        app.vault(),
        Asked(
            kind="question",
            operation="ask_owner",
            call=Call({"question": args.question}, "", "", args.question),
            rule="question",
            reason="The agent asks you something.",
            asker=str(caller),
            caller=caller,
            user_id=row.user_id,
            instance_id=row.id,
            minutes=policy.approval_minutes,
        ),
    )
    return ApprovalAnswer(approval=view(app, kept))
