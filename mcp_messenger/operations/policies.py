"""The policy of an instance: shown to everybody who reaches it, changed by its owner alone."""

from typing import Any, Literal

from pydantic import Field

from db import pairing
from db import policy as store
from mcp_messenger.errors import InvalidInput
from mcp_messenger.instances import classes
from mcp_messenger.operations.application import App
from mcp_messenger.operations.chats import known_chat
from mcp_messenger.operations.operation import OfInstance, Output, PlatformId
from mcp_messenger.policy.model import PRESETS, Inbound, Outbound, OwnerChat, Policy, first_fault, of_key, stored
from mcp_messenger.security.caller import Caller, instance_of
from providers.base import Provider
from providers.models import ChatKind

Preset = Literal["standard", "personal assistant", "customer service", "read only", "no limits"]


WHOLE = ("read_only", "taint", "taint_minutes", "approval_minutes", "owner", "binds_owner", "client_decides")
"""Parts of a policy that are set as a whole."""


class PolicyAnswer(Output):
    """What agents may do with the instance. `trusted` are the chats that the owner has approved for good, `paired` those that were let in to
    reach agents; `presets` those there are. `of_key`: a further policy of the key that asks, of which the stricter part counts. `contacts`: who
    they are on this messenger, where `send_to` lets agents write to them.
    """

    instance_id: str
    policy: Policy
    trusted: list[str] = []
    paired: list[str] = []
    of_key: dict[str, Any] | None = None
    contacts: str | None = None
    presets: list[str] = []

    def shown(self) -> dict[str, Any]:
        """Return it whole: what is as by default binds an agent as much."""
        return {**super().shown(), "policy": self.policy.model_dump(mode="json")}


async def get_policy(app: App, caller: Caller, args: OfInstance) -> PolicyAnswer:
    """Return the policy of an instance."""
    row = await instance_of(app.database, caller, args.instance_id)
    policy, narrowed = stored(await store.document(app.database, row.id)), of_key(caller.narrowed)
    names_contacts = any(one.outbound.send_to == "contacts" for one in (policy, narrowed) if one is not None)
    return PolicyAnswer(
        instance_id=str(row.id),
        policy=policy,
        contacts=_contacts_on(await classes.load(row.provider)) if names_contacts else None,
        trusted=await store.trusted(app.database, row.id),
        paired=await pairing.paired(app.database, row.id),
        of_key=None if caller.narrowed is None else dict(caller.narrowed),
        presets=list(PRESETS),
    )


def _contacts_on(cls: type[Provider]) -> str:
    """Return in words who the contacts of an account are."""
    named = "whom the owner gave a name (remember_contact, over REST)"
    if cls.has_address_book:
        return f"The people in the account's address book on {cls.title}, and {named}. Nobody is one for having written."
    return f"{cls.title} tells of no address book: contacts are {named}, and nobody else. Nobody is one for having written, or for being a member."


class SetPolicy(OfInstance):
    """`preset` sets all but the owner's chat; what else is given changes a part of it, or of the policy as it is. `owner` null: no chat any more."""

    preset: Preset | None = None
    read_only: bool | None = None
    outbound: dict[str, Any] | None = Field(default=None, description="fields of `outbound` to change")
    inbound: dict[str, Any] | None = Field(default=None, description="fields of `inbound` to change")
    taint: Literal["strict", "answers", "off"] | None = None
    taint_minutes: int | None = Field(default=None, ge=1, le=30 * 24 * 60)
    approval_minutes: int | None = Field(default=None, ge=1, le=30 * 24 * 60)
    owner: OwnerChat | None = None
    binds_owner: bool | None = None
    client_decides: bool | None = None
    trust: list[PlatformId] = Field(default=[], max_length=100, description="chats to trust")
    distrust: list[PlatformId] = Field(default=[], max_length=100, description="chats that are trusted no more")
    pair: list[PlatformId] = Field(default=[], max_length=100, description="chats that may reach agents")
    unpair: list[PlatformId] = Field(default=[], max_length=100, description="chats that may not any more")


def _changes(policy: Policy, args: SetPolicy) -> dict[str, Any]:
    """Return the parts that are changed. Raises InvalidInput."""
    given = {name: getattr(args, name) for name in WHOLE}
    changes = {name: value for name, value in given.items() if value is not None or (name == "owner" and name in args.model_fields_set)}
    try:
        if args.outbound is not None:
            changes["outbound"] = Outbound.model_validate({**policy.outbound.model_dump(), **args.outbound})
        if args.inbound is not None:
            changes["inbound"] = Inbound.model_validate({**policy.inbound.model_dump(), **args.inbound})
    except ValueError as error:
        raise InvalidInput(f"This is no policy: {first_fault(error)}", hint="get_policy shows its parts.") from None
    return changes


async def set_policy(app: App, caller: Caller, args: SetPolicy) -> PolicyAnswer:
    """Change the policy of an instance. Raises InvalidInput for a part that does not fit."""
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    now = stored(await store.document(app.database, row.id))
    policy = now if args.preset is None else PRESETS[args.preset].model_copy(update={"owner": now.owner})
    changes = _changes(policy, args)
    if args.owner is not None:
        of = await instance_of(app.database, caller, args.owner.instance_id)
        chat = await known_chat(app, of, args.owner.chat_id)
        if chat.kind != ChatKind.PRIVATE:
            raise InvalidInput("owner: in a group anybody could approve.", hint="Give a private chat with the owner.")
    changed = policy.model_copy(update={**changes, **({"preset": f"{policy.preset}, changed"} if changes and "changed" not in policy.preset else {})})
    await store.set_document(app.database, row.id, changed.model_dump(mode="json"), by=str(caller))
    for chat_id in args.trust:
        await store.trust(app.database, row.id, chat_id, by=str(caller))
    if args.distrust:
        await store.distrust(app.database, row.id, args.distrust)
    for chat_id in args.pair:
        await pairing.pair(app.database, row.id, chat_id, by=str(caller))
    if args.unpair:
        await pairing.unpair(app.database, row.id, args.unpair)
    return await get_policy(app, caller, OfInstance(instance_id=args.instance_id))
