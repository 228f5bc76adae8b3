"""Keys, tokens and credentials: for programs and people, never through a model."""

from datetime import datetime
from typing import Any

from pydantic import Field

from db import secrets
from mcp_messenger.delivery.webhook_target import ORIGINS
from mcp_messenger.errors import Conflict, NotAllowed
from mcp_messenger.operations.application import App
from mcp_messenger.operations.diagnostics import Cleared, History
from mcp_messenger.operations.instances import UpdateInstance, update_instance
from mcp_messenger.operations.operation import Input, OfInstance, Output
from mcp_messenger.security import credentials
from mcp_messenger.security.api_keys import KEY_PREFIX_SHOWN, sealed_key
from mcp_messenger.security.caller import Caller, instance_of
from mcp_messenger.security.vault import masked, new_api_key


class ApiKey(Output):
    id: str
    prefix: str
    created_at: datetime
    api_key: str = Field(repr=False)


async def get_current_api_key(app: App, caller: Caller, args: OfInstance) -> ApiKey:
    """Return the API key of an instance; that it was shown is recorded.

    Raises Conflict where there is none, and MissingScope: who gets the key gets all that it may do.
    """
    caller.require_owner()
    caller.require_every_scope()
    row = await instance_of(app.database, caller, args.instance_id)
    key = await secrets.reveal_key(app.database, row.id)
    if key is None or key.sealed is None:
        raise Conflict("This instance has no API key yet.", hint="POST …/api-key/rotate makes one.")
    await secrets.record_reveal(app.database, row.id, what="api_key", caller=str(caller))
    api_key = app.vault().unseal(key.sealed, row=str(row.id), field=f"api_key/{key.id}")
    return ApiKey(id=str(key.id), prefix=key.prefix, created_at=key.created_at, api_key=api_key)


async def rotate_api_key(app: App, caller: Caller, args: OfInstance) -> ApiKey:
    """Replace the API key of an instance; the old one ends at once. Raises MissingScope."""
    caller.require_owner()
    caller.require_every_scope()
    row = await instance_of(app.database, caller, args.instance_id)
    await secrets.new_key(app.database, row.id, sealed_key(app.vault(), row.id, new_api_key()))
    return await get_current_api_key(app, caller, args)


class KeyEntry(Output):
    id: str
    prefix: str
    created_at: datetime
    revealed_at: datetime | None = None
    revoked_at: datetime | None = None


class KeyHistory(Output):
    history: list[KeyEntry]


async def get_api_key_history(app: App, caller: Caller, args: History) -> KeyHistory:
    """Return the past API keys, newest first, without the keys themselves."""
    row = await instance_of(app.database, caller, args.instance_id)
    return KeyHistory(
        history=[
            KeyEntry(id=str(key.id), prefix=key.prefix, created_at=key.created_at, revealed_at=key.revealed_at, revoked_at=key.revoked_at)
            for key in await secrets.keys(app.database, row.id, limit=args.limit)
        ]
    )


class GetCredentials(OfInstance):
    reveal: bool = False


class Credential(Output):
    field: str
    masked: str
    rotated_at: datetime
    value: str | None = Field(default=None, repr=False)


class CredentialList(Output):
    credentials: list[Credential]


async def get_credentials(app: App, caller: Caller, args: GetCredentials) -> CredentialList:
    """Return which secrets are set, masked; `reveal` shows them to the owner and is recorded."""
    row = await instance_of(app.database, caller, args.instance_id)
    if args.reveal:
        caller.require_owner()
        await secrets.record_reveal(app.database, row.id, what="credentials", caller=str(caller))
    values = await credentials.revealed(app.database, app.vault(), row.id)
    return CredentialList(
        credentials=[
            Credential(
                field=secret.field,
                masked=masked(values[secret.field]),
                rotated_at=secret.rotated_at,
                value=values[secret.field] if args.reveal else None,
            )
            for secret in await secrets.of_instance(app.database, row.id)
            if secret.field not in ORIGINS
        ]
    )


class SetCredentials(OfInstance):
    credentials: dict[str, Any] = Field(repr=False, min_length=1)


async def set_credentials(app: App, caller: Caller, args: SetCredentials) -> CredentialList:
    """Change secrets of an instance; they count from its next start."""
    await update_instance(app, caller, UpdateInstance(instance_id=args.instance_id, credentials=args.credentials))
    return await get_credentials(app, caller, GetCredentials(instance_id=args.instance_id))


class UserToken(Output):
    """`token` is shown this once; `id` is what revoke_key takes."""

    id: str
    user_id: str
    token: str = Field(repr=False)


class CreateToken(Input):
    user_id: str | None = Field(default=None, min_length=1, max_length=128, description="whose; none: your own")


TOKENS_MAX = 50
"""Valid ones of a user that the user may have made."""


async def create_user_token(app: App, caller: Caller, args: CreateToken) -> UserToken:
    """Make a token that reaches all that is a user's, and nothing else: the administrator for anybody, a user for themselves.

    Raises NotAllowed for another user's, MissingScope for a key that may not do everything itself, and Conflict for too many.
    """
    user_id = _token_owner(caller, args.user_id)
    caller.require_every_scope()
    token = new_api_key()
    await app.database.started()
    if not caller.is_admin and await secrets.count_tokens_of(app.database, user_id) >= TOKENS_MAX:
        raise Conflict(f"You have {TOKENS_MAX} tokens already.", hint="Revoke one with DELETE /api/v1/keys/{key_id}; GET /api/v1/keys lists them.")
    token_id = await secrets.new_token(app.database, user_id, prefix=token[:KEY_PREFIX_SHOWN], digest=app.vault().digest(token))
    return UserToken(id=str(token_id), user_id=user_id, token=token)


class OfUser(Input):
    user_id: str = Field(min_length=1, max_length=128)


async def revoke_user_tokens(app: App, caller: Caller, args: OfUser) -> Cleared:
    """End all tokens of a user, and what they hold open; return how many. Raises NotAllowed for another user's."""
    user_id = _token_owner(caller, args.user_id)
    caller.require_every_scope()
    return Cleared(cleared=await secrets.revoke_tokens(app.database, user_id))


def _token_owner(caller: Caller, user_id: str | None) -> str:
    """Return whose tokens are meant. Raises NotAllowed for another user's, and for a key that does not stand for a user."""
    caller.require_owner()
    caller.require_all_instances()
    if caller.user_id is not None and user_id not in {None, caller.user_id}:
        raise NotAllowed("These are another user's tokens.", hint="Leave user_id out for your own.")
    return caller.user_id or user_id or "local"
