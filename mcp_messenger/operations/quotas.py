"""Shows how much a user has and may have, and sets it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import anyio.to_thread
from pydantic import AfterValidator, Field

from db import instances
from db import quotas as store
from mcp_messenger.config.quotas import Quota, parse_most, shown_most
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Input, Output
from mcp_messenger.security.caller import Caller


class GetQuotas(Input):
    user_id: str | None = Field(default=None, min_length=1, max_length=128, description="whose; for the administrator")


class QuotaView(Output):
    """`most` any: without a limit; `is_own`: set for this user. `used` is in bytes for memory and media, and of this server but for instances."""

    most: str
    used: int
    is_own: bool = False


class QuotaList(Output):
    user_id: str
    quotas: dict[str, QuotaView]


async def get_quotas(app: App, caller: Caller, args: GetQuotas) -> QuotaList:
    """Return a user's limits, and how much of each is used."""
    caller.require_owner()
    user_id = caller.user_id or args.user_id or "local"
    used = {
        Quota.INSTANCES: await instances.count_of_user(app.database, user_id),
        Quota.MEMORY: await instances.contained_of_user(app.database, user_id) * app.config.containers.memory,
        Quota.MEDIA: await media_of_user(app, user_id),
        Quota.SUBSCRIPTIONS: app.quotas.held(user_id, Quota.SUBSCRIPTIONS),
        Quota.WAITS: app.quotas.held(user_id, Quota.WAITS),
    }
    own = await app.quotas.own(user_id)
    views = {str(kind): QuotaView(most=shown_most(kind, await app.quotas.most(user_id, kind)), used=used[kind], is_own=kind in own) for kind in Quota}
    return QuotaList(user_id=user_id, quotas=views)


def _readable(limits: dict[Quota, str]) -> dict[Quota, str]:
    for kind, most in limits.items():
        if most:
            parse_most(kind, most)
    return limits


class SetQuotas(Input):
    user_id: str = Field(min_length=1, max_length=128)
    limits: Annotated[dict[Quota, str], AfterValidator(_readable)] = Field(
        min_length=1, description='e.g. {"instances": "200", "memory": "16g"}; "any": no limit; "": as the server\'s'
    )


async def set_quotas(app: App, caller: Caller, args: SetQuotas) -> QuotaList:
    """Set limits of a user. Raises NotAllowed for all but the administrator."""
    caller.require_admin()
    limits = {str(kind): parse_most(kind, most) for kind, most in args.limits.items() if most}
    unset = [str(kind) for kind, most in args.limits.items() if not most]
    await store.set_limits(app.database, args.user_id, limits, unset, by=str(caller))
    app.quotas.forget(args.user_id)
    return await get_quotas(app, caller, GetQuotas(user_id=args.user_id))


async def media_of_user(app: App, user_id: str) -> int:
    """Return how many bytes of files that were downloaded for a user's instances are on this server's disk."""
    folders = [app.downloads_dir(id) for id in await instances.ids_of_user(app.database, user_id)]
    return await anyio.to_thread.run_sync(_size, folders)


def _size(folders: Iterable[Path]) -> int:
    total = 0
    for file in (file for folder in folders for file in folder.glob("*/*")):
        try:
            total += file.stat().st_size
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                raise InvalidInput(f"A downloaded file cannot be looked at: {error.strerror}.", hint="Give the server's user access.") from error
    return total
