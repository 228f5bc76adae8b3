"""What the owner decides about a call that waits: approved, denied, answered, by a page or by a key; what its asker takes back."""

import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import Field

from db import approvals as store
from db import pairing
from db import policy as policies
from db.approvals import ApprovalRow
from db.audit import Entry
from mcp_messenger.errors import Conflict, InvalidInput, NoSuchApproval
from mcp_messenger.operations.application import App
from mcp_messenger.operations.approvals import EDITABLE, ApprovalAnswer, OfApproval, known, view
from mcp_messenger.operations.carrying_out import LEASE, carry_out
from mcp_messenger.operations.operation import Output
from mcp_messenger.policy import asking
from mcp_messenger.policy.asking import unsealed
from mcp_messenger.policy.judging import current
from mcp_messenger.security.caller import Caller

PAGE = "/approve"


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
    if row.kind == pairing.KIND:
        if not await pairing.accept(app.database, row.id, by=by, entry=_entry(app, row, "approved", by)):
            raise await _decided(app, row)
        if always and row.instance_id is not None and row.chat_id is not None:
            await policies.trust(app.database, row.instance_id, row.chat_id, by=by)
        return
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
    return ApprovalLink(url=f"{await app.pages.url()}{PAGE}/{await page_secret(app, row)}", expires_at=row.expires_at)


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
    entry = _entry(app, row, status, by)
    if not await store.decide(app.database, row.id, status, by=by, entry=entry, outcome=outcome, sealed=sealed, lease=lease):
        raise await _decided(app, row)


def _entry(app: App, row: ApprovalRow, status: str, by: str) -> Entry:
    """Return the row of the audit log for a decision."""
    judging = current.get()
    return app.judge.audit.entry(
        None if judging is None else judging.caller,
        "decide_approval",
        status,
        name=by,
        user_id=row.user_id,
        instance_id=row.instance_id,
        chat_id=row.chat_id,
        target=row.operation,
        rule=row.rule,
        decided_by=by,
        approval_id=row.id,
    )


async def _decided(app: App, row: ApprovalRow) -> Conflict:
    now = await store.get(app.database, row.id)
    return Conflict(f"This is decided already: {'gone' if now is None else now.status}.", hint="list_approvals shows what still waits.")


async def cancel_approval(app: App, caller: Caller, args: OfApproval) -> ApprovalAnswer:
    """Take a call back that waits. Raises NoSuchApproval, and Conflict where it was decided."""
    row = await known(app, caller, args.approval_id)
    await _decide(app, row, "cancelled", str(caller))
    return ApprovalAnswer(approval=view(app, await known(app, caller, args.approval_id)))
