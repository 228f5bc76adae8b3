"""Shows the audit log and verifies it: for people, never through a model."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from db import audit as store
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Input, Output
from mcp_messenger.security.caller import Caller, instance_of

OF_CHAIN = frozenset({"salt", "mac", "position", "is_genuine", "digest", "hash"})
"""Fields for whoever checks the chain."""


class ListAudit(Input):
    instance_id: str | None = Field(default=None, max_length=64, description="only this one's")
    operation: str | None = Field(default=None, max_length=64)
    outcome: Literal["allowed", "failed", "denied", "asked", "approved", "answered", "cancelled", "done"] | None = None
    oldest_first: bool = False
    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    cursor: str | None = Field(default=None, max_length=64, description="next_cursor of the page before")


class AuditEntry(Output):
    """`outcome`: allowed, before it was done, or failed after that; denied or asked, by the `rule`; approved, denied, answered or cancelled by
    `decided_by`. `content` is sha256 of the bytes of `id` and of what was sent, as JSON. The fields of the chain are for the administrator;
    `position` none: not in it yet.
    """

    id: str
    at: datetime
    user_id: str | None = None
    caller: str
    key_id: str | None = None
    session: str | None = None
    client: str | None = None
    operation: str
    instance_id: str | None = None
    chat_id: str | None = None
    target: str | None = None
    message_id: str | None = None
    outcome: str
    rule: str | None = None
    decided_by: str | None = None
    approval_id: str | None = None
    code: str | None = None
    content: str | None = None
    salt: str | None = None
    details: dict[str, Any] | None = None
    mac: str | None = None
    position: int | None = None
    is_genuine: bool | None = None
    digest: str | None = None
    hash: str | None = None
    erased_at: datetime | None = None


class AuditList(Output):
    entries: list[AuditEntry]
    next_cursor: str | None = None


async def list_audit(app: App, caller: Caller, args: ListAudit) -> AuditList:
    """Return a page of the audit log: the caller's rows, or all for the administrator. Raises NotAllowed for a key of some instances."""
    caller.require_owner()
    caller.require_all_instances()
    instance_id = None if args.instance_id is None else (await instance_of(app.database, caller, args.instance_id)).id
    wanted = store.Wanted(caller.user_id, instance_id, args.operation, args.outcome, _cursor(args.cursor))
    rows = await store.listing(app.database, wanted, oldest_first=args.oldest_first, limit=args.limit + 1)
    page = rows[: args.limit]
    return AuditList(entries=[_view(row, whole=caller.is_admin) for row in page], next_cursor=str(page[-1].id) if len(rows) > args.limit else None)


def _view(row: store.AuditRow, *, whole: bool) -> AuditEntry:
    """Return a row as callers see it; its place among those of all users only `whole`, for it tells how much others do."""
    values = {name: getattr(row, name) for name in AuditEntry.model_fields if whole or name not in OF_CHAIN}
    return AuditEntry.model_validate({name: _shown(value) if name != "position" else value for name, value in values.items()})


def _shown(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case UUID() | int() if not isinstance(value, bool):
            return str(value)
        case _:
            return value


def _cursor(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise InvalidInput("This cursor is not one of ours.", hint="Give the next_cursor of the page before, or none.") from None


class VerifyAudit(Input):
    head: str | None = Field(
        default=None, max_length=100, pattern=r"^[0-9]{1,18}:[0-9a-f]{64}$", description="position:hash of an end that was seen before"
    )


class AuditFault(Output):
    """`fault`: changed, removed, inserted, emptied, or head (the end of the log is not the one that was signed, or the one that is known)."""

    fault: str
    position: int
    id: str | None = None
    count: int = 1


class AuditCheck(Output):
    """`head` is the end of the log. Kept elsewhere and given with the next check, it shows also where the whole log was set back.

    `is_signed` none: the end is signed with a key that is not here. `faults` are the first hundred.
    """

    ok: bool
    rows: int
    to_seal: int
    head: str
    is_signed: bool | None = None
    faults: list[AuditFault] = []


async def verify_audit(app: App, caller: Caller, args: VerifyAudit) -> AuditCheck:
    """Check the whole audit log. Raises NotAllowed for all but the administrator, and VaultError without the secret key."""
    caller.require_owner()
    caller.require_admin()
    known = None
    if args.head is not None:
        position, _, hash = args.head.partition(":")
        known = int(position), hash
    found = await app.judge.audit.verify(known)
    return AuditCheck(
        ok=not found.faults and found.is_signed is True,
        rows=found.rows,
        to_seal=found.to_seal,
        head=f"{found.position}:{found.hash}",
        is_signed=found.is_signed,
        faults=[AuditFault(fault=one.fault, position=one.position, id=one.id and str(one.id), count=one.count) for one in found.faults],
    )
