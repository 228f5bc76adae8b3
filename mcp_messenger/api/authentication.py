"""From the Authorization header to the caller."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import anyio
from starlette.types import Scope as HttpScope

from db import access_keys, instances, secrets
from mcp_messenger.api.held_requests import HOLD
from mcp_messenger.api.instance_address import address_of, is_open
from mcp_messenger.errors import NotAuthenticated
from mcp_messenger.net.gateways import gateways
from mcp_messenger.operations.application import App
from mcp_messenger.security import credentials
from mcp_messenger.security.caller import ADMIN, CLIENT_MAX, Caller, Scope
from providers.text import clean_line

BOT_TOKEN = "token"  # noqa: S105 - the name of a field
"""The secret of an instance that opens its address, as its key does: who has it could do as much without us."""


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """Return the token, or None without a header. `headers` has its names in lower case. Raises NotAuthenticated for another scheme."""
    header = headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("The Authorization header is not 'Bearer <token>'.")
    return token.strip()


def headers_of(scope: HttpScope) -> dict[str, str]:
    """Return the headers with their names in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def peer_of(scope: HttpScope) -> str | None:
    """Return the address that the connection comes from; None where the server does not tell."""
    client = scope.get("client")
    return client[0] if client else None


async def authenticate(app: App, scope: HttpScope) -> Caller:
    """Return who makes an HTTP request.

    On 127.0.0.1 without an admin token set, whoever is on this computer and sends no token is the administrator; in a container that
    trusts its gateway, so is who comes through a published port. That is the same at instances' addresses. There the key of another
    instance opens nothing, the bot's own token makes its owner, and the health needs no token.
    Raises NotAuthenticated for a token that is nobody's, and for none where one is needed.
    """
    headers = headers_of(scope)
    session = headers.get("mcp-session-id")
    return replace(
        await _caller_of(app, scope, headers),
        session=None if session is None else hashlib.sha256(session.encode()).hexdigest()[:16],
        client=clean_line(headers.get("user-agent", ""))[:CLIENT_MAX] or None,
    )


async def _caller_of(app: App, scope: HttpScope, headers: Mapping[str, str]) -> Caller:
    here = address_of(scope)
    if here is not None and is_open(scope):
        return Caller(user_id="", instance_id=here)
    token = bearer_token(headers)
    admin = app.config.admin_token
    is_local = admin is None and (app.config.is_loopback or (app.config.trust_gateway and peer_of(scope) in gateways(app.config.routes)))
    if token is None:
        if is_local:
            return ADMIN
        raise NotAuthenticated
    if admin is not None and hmac.compare_digest(token.encode(), admin.get_secret_value().encode()):
        return ADMIN
    await app.database.started()
    caller = await known(app, token, scope.get(HOLD))
    if caller is None and here is not None:
        caller = await _bot_owner(app, token, here)
    if caller is None:
        raise NotAuthenticated("This token is not valid (any more).")
    if here is not None and (caller.instance_id not in {None, here} or (caller.instances is not None and here not in caller.instances)):
        raise NotAuthenticated("This key is not that of the instance at this address.")
    return replace(caller, is_local=is_local, is_at_instance=here is not None)


async def known(app: App, token: str, hold: anyio.CancelScope | None = None) -> Caller | None:
    """Return the caller that an API key or a token speaks for; None for nobody. `hold` is cancelled when it is revoked or expires."""
    current, *former = app.vault().digests(token)
    for digest in (current, *former):
        known = await secrets.bearer(app.database, digest)
        if known is not None and hmac.compare_digest(known.digest, digest):
            if digest != current and known.instance_id is None:
                await secrets.move_token(app.database, digest, current)
            if not known.is_used:
                await access_keys.used(app.database, known.id)
            if hold is not None:
                app.held.add(known.id, hold, known.seconds)
            return Caller(
                user_id=known.user_id,
                instance_id=known.instance_id,
                scopes=None if known.scopes is None else frozenset(Scope(scope) for scope in known.scopes if scope in set(Scope)),
                instances=None if known.instance_ids is None else frozenset(known.instance_ids),
                key_id=known.id,
                digest=known.digest,
                narrowed=known.policy,
            )
    return None


async def _bot_owner(app: App, token: str, instance_id: UUID) -> Caller | None:
    """Return the instance's user for the bot token that it has."""
    row = await instances.get(app.database, instance_id)
    secret = (await credentials.revealed(app.database, app.vault(), instance_id)).get(BOT_TOKEN)
    if row is None or secret is None or not hmac.compare_digest(token.encode(), secret.encode()):
        return None
    return Caller(user_id=row.user_id, digest=app.vault().digest(token))
