"""The policy of an instance: shown to everybody who reaches it, changed by its owner alone."""

from typing import Any, Literal

from pydantic import Field

from db import policy as store
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.application import App
from mcp_messenger.operations.chats import known_chat
from mcp_messenger.operations.operation import OfInstance, Output, PlatformId
from mcp_messenger.policy.model import PRESETS, Inbound, Outbound, OwnerChat, Policy, stored
from mcp_messenger.security.caller import Caller, instance_of
from providers.models import ChatKind

Preset = Literal["standard", "personal assistant", "customer service", "read only", "no limits"]


class PolicyAnswer(Output):
    """What agents may do with the instance. `trusted` are the chats that the owner has approved for good; `presets` those there are."""

    instance_id: str
    policy: Policy
    trusted: list[str] = []
    presets: list[str] = []

    def shown(self) -> dict[str, Any]:
        """Return it whole: what is as by default binds an agent as much."""
        return {**super().shown(), "policy": self.policy.model_dump(mode="json")}


async def get_policy(app: App, caller: Caller, args: OfInstance) -> PolicyAnswer:
    """Return the policy of an instance."""
    row = await instance_of(app.database, caller, args.instance_id)
    return PolicyAnswer(
        instance_id=str(row.id),
        policy=stored(await store.document(app.database, row.id)),
        trusted=await store.trusted(app.database, row.id),
        presets=list(PRESETS),
    )


class SetPolicy(OfInstance):
    """`preset` sets all; what else is given changes a part of it, or of the policy as it is."""

    preset: Preset | None = None
    read_only: bool | None = None
    outbound: dict[str, Any] | None = Field(default=None, description="fields of `outbound` to change")
    inbound: dict[str, Any] | None = Field(default=None, description="fields of `inbound` to change")
    taint: Literal["strict", "answers", "off"] | None = None
    taint_minutes: int | None = Field(default=None, ge=1, le=30 * 24 * 60)
    approval_minutes: int | None = Field(default=None, ge=1, le=30 * 24 * 60)
    owner: OwnerChat | None = None
    binds_owner: bool | None = None
    trust: list[PlatformId] = Field(default=[], max_length=100, description="chats to trust")
    distrust: list[PlatformId] = Field(default=[], max_length=100, description="chats that are trusted no more")


async def set_policy(app: App, caller: Caller, args: SetPolicy) -> PolicyAnswer:
    """Change the policy of an instance. Raises InvalidInput for a part that does not fit."""
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    policy = stored(await store.document(app.database, row.id)) if args.preset is None else PRESETS[args.preset]
    given = {name: getattr(args, name) for name in ("read_only", "taint", "taint_minutes", "approval_minutes", "owner", "binds_owner")}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if args.owner is not None:
        of = await instance_of(app.database, caller, args.owner.instance_id)
        chat = await known_chat(app, of, args.owner.chat_id)
        if chat.kind != ChatKind.PRIVATE:
            raise InvalidInput("owner: in a group anybody could approve.", hint="Give a private chat with the owner.")
    try:
        if args.outbound is not None:
            changes["outbound"] = Outbound.model_validate({**policy.outbound.model_dump(), **args.outbound})
        if args.inbound is not None:
            changes["inbound"] = Inbound.model_validate({**policy.inbound.model_dump(), **args.inbound})
    except ValueError as error:
        raise InvalidInput(f"This is no policy: {_first(error)}", hint="get_policy shows its parts.") from None
    changed = policy.model_copy(update={**changes, **({"preset": f"{policy.preset}, changed"} if changes and "changed" not in policy.preset else {})})
    await store.set_document(app.database, row.id, changed.model_dump(mode="json"), by=str(caller))
    for chat_id in args.trust:
        await store.trust(app.database, row.id, chat_id, by=str(caller))
    if args.distrust:
        await store.distrust(app.database, row.id, args.distrust)
    return await get_policy(app, caller, OfInstance(instance_id=args.instance_id))


def _first(error: ValueError) -> str:
    """Return where and why, without the value."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return "it cannot be read."
    one = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, one['loc']))}: {one['msg']}."
