"""The instances that a caller may see."""

from uuid import UUID

from db import instances
from mcp_messenger.operations.application import App
from mcp_messenger.security.caller import Caller, instance_of, readable_of


async def visible(app: App, caller: Caller, instance_id: str | None, *, removed: bool = False) -> list[UUID] | None:
    """Return the one instance that is asked for, which may be a removed one with `removed`, else all that the caller may see; None: every one.

    Raises NoSuchInstance.
    """
    if instance_id is not None:
        of = readable_of if removed else instance_of
        return [(await of(app.database, caller, instance_id)).id]
    if caller.instance_id is not None:
        return [caller.instance_id]
    if caller.instances is not None:
        return [id for id in await instances.ids_of_user(app.database, caller.user_id or "") if id in caller.instances]
    return None if caller.user_id is None else await instances.ids_of_user(app.database, caller.user_id)
