"""API keys as they are stored."""

from uuid import UUID, uuid4

from db import secrets
from mcp_messenger.security.vault import Vault

KEY_PREFIX_SHOWN = 7


def sealed_key(vault: Vault, instance_id: UUID, api_key: str) -> secrets.NewKey:
    """Return a new API key as it is stored: encrypted, with a digest to find it by."""
    key_id = uuid4()
    return secrets.NewKey(
        id=key_id,
        prefix=api_key[:KEY_PREFIX_SHOWN],
        digest=vault.digest(api_key),
        sealed=vault.seal(api_key, row=str(instance_id), field=f"api_key/{key_id}"),
    )
