"""Deletes instances, and lists and purges what deleted ones left."""

import logging
from datetime import datetime

import anyio.to_thread
from pydantic import Field

from db import instances
from db.audit import ERASED
from mcp_messenger.errors import NoSuchInstance
from mcp_messenger.operations import cursor as cursors
from mcp_messenger.operations.application import App
from mcp_messenger.operations.cursor import instance_id_of
from mcp_messenger.operations.lifecycle import discard_login, halt, remove_folder
from mcp_messenger.operations.operation import Cursor, Input, Limit, Nothing, OfInstance, Output
from mcp_messenger.policy.judging import current
from mcp_messenger.security.caller import Caller, instance_of, parse_instance_id, readable_of
from providers.errors import MessengerError

log = logging.getLogger(__name__)


class DeleteInstance(OfInstance):
    purge: bool = Field(default=False, description="also its messages, chats and contacts")


async def delete_instance(app: App, caller: Caller, args: DeleteInstance) -> Nothing:
    """Stop and delete an instance with its login; its messages stay unless `purge`, which also works later. Raises NotAllowed."""
    caller.require_owner()
    await _require_word(app, caller, args)
    try:
        row = await instance_of(app.database, caller, args.instance_id)
    except NoSuchInstance:
        if args.purge and await _purge_removed(app, caller, args.instance_id):
            return Nothing()
        raise
    await halt(app, row)
    entry = app.judge.audit.entry(caller, ERASED, "done", user_id=row.user_id, instance_id=row.id) if args.purge else None
    await instances.delete(app.database, row.id, purge=args.purge, entry=entry)
    app.memory.forget(row.id)
    app.metrics.forget(row.id)
    app.supervisor.wake()
    try:
        await discard_login(app, row)
    except MessengerError as error:
        # Whoever looks after the containers collects what belongs to no instance.
        log.warning("what the instance ran in is removed later: %s", error, extra={"instance_id": str(row.id)})
    if args.purge:
        await anyio.to_thread.run_sync(remove_folder, app.downloads_dir(row.id))
    return Nothing()


async def _require_word(app: App, caller: Caller, args: DeleteInstance) -> None:
    """Have the owner asked before an agent removes messages for good."""
    judging = current.get()
    if args.purge and judging is not None and judging.by_agent:
        row = await readable_of(app.database, caller, args.instance_id)
        await judging.require_word(row, f"Remove the messages of the {row.provider} account {row.name or row.id} for good.")


async def _purge_removed(app: App, caller: Caller, instance_id: str) -> bool:
    """Remove what an instance left that was removed before; return whether there was anything of the caller's."""
    id = parse_instance_id(instance_id)
    if not caller.is_admin and await instances.owner_of_removed(app.database, id) != caller.user_id:
        return False
    found = await instances.purge_removed(app.database, id, app.judge.audit.entry(caller, ERASED, "done", instance_id=id))
    await anyio.to_thread.run_sync(remove_folder, app.downloads_dir(id))
    return found


class ListRemoved(Input):
    limit: Limit = 50
    cursor: Cursor = None


class RemovedInstance(Output):
    """What is not known of an instance that an earlier version removed is left out; only the administrator is shown it."""

    instance_id: str
    provider: str | None = None
    user_id: str | None = None
    removed_at: datetime | None = None
    chats: int


class RemovedInstances(Output):
    removed: list[RemovedInstance]
    next_cursor: str | None = None


async def list_removed_instances(app: App, caller: Caller, args: ListRemoved) -> RemovedInstances:
    """Return removed instances of which messages are kept, the newest removal first. Raises NotAllowed."""
    caller.require_owner()
    position = cursors.decode(args.cursor)
    after = None if position is None else (position[0], instance_id_of(position[1]))
    rows = await instances.removed(app.database, user_id=caller.user_id, after=after, limit=args.limit + 1)
    last = rows[args.limit - 1] if len(rows) > args.limit else None
    return RemovedInstances(
        removed=[
            RemovedInstance(instance_id=str(row.id), provider=row.provider, user_id=row.user_id, removed_at=row.removed_at, chats=row.chats)
            for row in rows[: args.limit]
        ],
        next_cursor=None if last is None else cursors.encode(last.removed_at, last.id),
    )
