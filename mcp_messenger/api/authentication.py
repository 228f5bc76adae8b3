"""From the Authorization header to the caller."""

import hmac
from collections.abc import Mapping

from db import secrets
from mcp_messenger.errors import NotAuthenticated
from mcp_messenger.net.gateways import gateways
from mcp_messenger.operations.application import App
from mcp_messenger.security.caller import ADMIN, Caller


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """The token, or None without a header. `headers` has its names in lower case. Raises NotAuthenticated for another scheme."""
    header = headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("The Authorization header is not 'Bearer <token>'.")
    return token.strip()


async def authenticate(app: App, headers: Mapping[str, str], peer: str | None = None) -> Caller:
    """Who sends these headers from the address `peer`.

    On 127.0.0.1 without an admin token set, whoever is on this computer and sends no token is the administrator; in a container that
    trusts its gateway, so is who comes through a published port.
    Raises NotAuthenticated for a token that is nobody's, and for none where one is needed.
    """
    token = bearer_token(headers)
    admin = app.config.admin_token
    if token is None:
        if admin is None and (app.config.is_loopback or (app.config.trust_gateway and peer in gateways())):
            return ADMIN
        raise NotAuthenticated
    if admin is not None and hmac.compare_digest(token.encode(), admin.get_secret_value().encode()):
        return ADMIN
    await app.database.started()
    for digest in app.vault().digests(token):
        known = await secrets.bearer(app.database, digest)
        if known is not None and hmac.compare_digest(known.digest, digest):
            return Caller(user_id=known.user_id, instance_id=known.instance_id, digest=known.digest)
    raise NotAuthenticated("This token is not valid (any more).")
