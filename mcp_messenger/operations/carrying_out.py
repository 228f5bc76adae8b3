"""Approved calls are carried out once, with the rights of their asker, also when a process dies over one."""

from contextlib import suppress
from functools import partial
from uuid import UUID

import anyio

from db import access_keys, page_links, scheduled
from db import approvals as store
from db import policy as policies
from db.approvals import ApprovalRow
from db.errors import StoreUnavailable
from mcp_messenger.errors import Conflict, NotAllowed
from mcp_messenger.operations.alongside import alongside
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Effect, Operation, Output, Transport
from mcp_messenger.operations.validation import validated
from mcp_messenger.policy.asking import Approved, unsealed
from mcp_messenger.security.caller import Caller
from providers.errors import MessengerError

LEASE, RENEW_EVERY = 12.0, 4.0
"""Seconds after which another server takes on what one is carrying out that says nothing any more, and between two times that it does."""
RESUME_EVERY = 4.0
BATCH = 20


async def carry_out(app: App, approval_id: UUID, *, again: bool = False) -> None:
    """Carry out an approved call with the rights of who asked for it, and store what became of it. `again`: a process died over it."""
    row = await store.get(app.database, approval_id)
    if row is None or row.status != "approved":
        return
    operation = _operation(row.operation)
    try:
        if operation is None or (again and not _may_repeat(operation)):
            raise Conflict("The server stopped while this was carried out; it may have been done.", hint="Look before you ask for it again.")
        output = await alongside(partial(_keep_claim, app, row.id), partial(_carried_out, app, row, operation))
    except StoreUnavailable:
        # It stays approved, and is taken on again.
        raise
    except MessengerError as error:
        await store.settle(app.database, row.id, "failed", {"code": error.code, "detail": error.detail, "hint": error.hint})
    else:
        await store.settle(app.database, row.id, "done", output.shown())


async def _keep_claim(app: App, approval_id: UUID) -> None:
    """Say again and again that the call is being done."""
    while True:
        await anyio.sleep(RENEW_EVERY)
        with suppress(StoreUnavailable):
            await store.renew(app.database, approval_id, lease=LEASE)


async def _carried_out(app: App, row: ApprovalRow, operation: Operation) -> Output:
    await _require_key(app, row)
    call = unsealed(app.vault(), row)
    arguments = dict(call.arguments)
    if "idempotency_key" in operation.input.model_fields:
        arguments["idempotency_key"] = row.idempotency_key or f"approval:{row.id}"
    caller = Caller(user_id=row.caller_user_id, instance_id=row.caller_instance_id)
    approved = Approved(row.id, row.chat_id, call.rest, row.decided_by or "", row.asker)
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
    # One by one: a claim is renewed only while its call is carried out.
    while claimed := await store.claim(app.database, lease=LEASE, limit=1):
        await carry_out(app, claimed[0], again=True)
    await store.expire(app.database, limit=BATCH)


async def forget(app: App) -> None:
    """Delete what was decided, carried out at its time, or shown, long ago."""
    await store.forget(app.database)
    await scheduled.forget(app.database)
    await policies.forget(app.database)
    await page_links.forget(app.database)
