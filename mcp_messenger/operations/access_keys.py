"""Makes, lists and revokes keys with scopes: for people, never through a model."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from pydantic import Field

from db import access_keys as store
from mcp_messenger.errors import Conflict, InvalidInput, NoSuchKey, NotAllowed
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Input, Nothing, Output
from mcp_messenger.policy.model import NARROWED, first_fault, narrowing
from mcp_messenger.security.api_keys import KEY_PREFIX_SHOWN
from mcp_messenger.security.caller import Caller, Scope, instance_of
from mcp_messenger.security.vault import new_api_key

KEYS_MAX = 200
"""Valid ones of a user."""


class CreateKey(Input):
    name: str = Field(min_length=1, max_length=100, description="what it is for")
    scopes: list[Scope] = Field(min_length=1, max_length=5, description="read, send, manage, delete; keys: stands in for the owner")
    instance_ids: list[str] | None = Field(default=None, min_length=1, max_length=100, description="none: all instances of the user")
    expires_in_days: float | None = Field(default=None, gt=0, le=3660)
    user_id: str | None = Field(default=None, min_length=1, max_length=128, description="whose; for the administrator")
    policy: dict[str, Any] | None = Field(
        default=None, description="preset, read_only, outbound, inbound, taint: what it narrows of its instances' policies; it never widens them"
    )


class KeyView(Output):
    """`kind` token: a user's token, which has every scope. `last_used_at` is exact to ten minutes."""

    id: str
    kind: str = "key"
    user_id: str
    name: str
    prefix: str
    scopes: list[str]
    instance_ids: list[str] | None = None
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    policy: dict[str, Any] | None = None


class CreatedKey(Output):
    """`key` is shown this once."""

    id: str
    key: str = Field(repr=False)
    expires_at: datetime | None = None


async def create_key(app: App, caller: Caller, args: CreateKey) -> CreatedKey:
    """Make a key of the caller's user. Raises NotAllowed for more than the caller may do, NoSuchInstance, Conflict for too many."""
    caller.require_owner()
    caller.require_all_instances()
    rows = [await instance_of(app.database, caller, instance_id) for instance_id in args.instance_ids or ()]
    user_id = _user_of(caller, args, {row.user_id for row in rows})
    excess = [scope for scope in args.scopes if not caller.may(scope)]
    if excess:
        raise NotAllowed(f"scopes: your own key lacks {', '.join(excess)}.", hint="Leave it out, or use another key.")
    if Scope.KEYS in args.scopes and rows:
        raise NotAllowed("scopes: keys cannot be given for some instances only.", hint="Leave keys or instance_ids out.")
    policy = None if args.policy is None else _narrowing(args)
    if await store.count(app.database, user_id) >= KEYS_MAX:
        raise Conflict(f"This user has {KEYS_MAX} keys already.", hint="Revoke one with DELETE /api/v1/keys/{key_id}.")
    key, key_id = new_api_key(), uuid4()
    expires_at = None if args.expires_in_days is None else datetime.now(UTC) + timedelta(days=args.expires_in_days)
    new = store.NewAccessKey(
        id=key_id,
        user_id=user_id,
        name=args.name,
        prefix=key[:KEY_PREFIX_SHOWN],
        digest=app.vault().digest(key),
        scopes=sorted(set(args.scopes)),
        instance_ids=[row.id for row in rows] or None,
        created_by=str(caller),
        expires_at=expires_at,
        policy=policy,
    )
    await store.add(app.database, new)
    return CreatedKey(id=str(key_id), key=key, expires_at=expires_at)


def _narrowing(args: CreateKey) -> dict[str, Any]:
    """Return the policy of a key as it is stored. Raises InvalidInput for what is none, NotAllowed for a key that no policy binds."""
    if Scope.KEYS in args.scopes:
        raise NotAllowed("policy: a key with the scope keys stands in for the owner, whom no policy binds.", hint="Leave policy or keys out.")
    try:
        return narrowing(args.policy or {}).model_dump(mode="json", include=set(NARROWED))
    except ValueError as error:
        raise InvalidInput(f"policy: {first_fault(error)}", hint="get_policy shows its parts.") from None


def _user_of(caller: Caller, args: CreateKey, owners: set[str]) -> str:
    """Return whose key it becomes. Raises NotAllowed for another's, and for instances of several users."""
    wanted = {name for name in (caller.user_id, args.user_id) if name is not None} | owners
    if len(wanted) > 1:
        raise NotAllowed("A key is of one user, and for that user's instances.", hint="Make one for each user.")
    return wanted.pop() if wanted else "local"


class ListKeys(Input):
    user_id: str | None = Field(default=None, min_length=1, max_length=128, description="whose; for the administrator")


class KeyList(Output):
    keys: list[KeyView]


async def list_keys(app: App, caller: Caller, args: ListKeys) -> KeyList:
    """Return keys and tokens, newest first."""
    caller.require_owner()
    caller.require_all_instances()
    rows = await store.listing(app.database, user_id=caller.user_id or args.user_id, limit=2 * KEYS_MAX)
    return KeyList(keys=[_view(row) for row in rows])


def _view(row: store.AccessKeyRow) -> KeyView:
    return KeyView(
        id=str(row.id),
        kind=row.kind,
        user_id=row.user_id,
        name=row.name,
        prefix=row.prefix,
        scopes=list(Scope) if row.scopes is None else row.scopes,
        instance_ids=None if row.instance_ids is None else [str(id) for id in row.instance_ids],
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        policy=row.policy,
    )


class OfKey(Input):
    key_id: str = Field(max_length=64, description="from list_keys")


async def revoke_key(app: App, caller: Caller, args: OfKey) -> Nothing:
    """End a key or token at once, with what it holds open. Raises NoSuchKey for one that is not valid, or another's."""
    caller.require_owner()
    caller.require_all_instances()
    try:
        key_id = UUID(args.key_id)
    except ValueError:
        raise NoSuchKey(args.key_id) from None
    if not await store.revoke(app.database, key_id, user_id=caller.user_id):
        raise NoSuchKey(args.key_id)
    app.held.end(str(key_id))
    return Nothing()
