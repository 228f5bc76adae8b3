"""Encrypts stored secrets again, under the current key."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db import secrets
from db.database import Database
from db.secrets import Resealed, SealedRow
from mcp_messenger.errors import VaultError
from mcp_messenger.security.vault import Vault

PAGE = 200
API_KEY = "api_key/"
_BEGIN = (UUID(int=0), "")


@dataclass
class Reencrypted:
    """`unreadable` are secrets that no key here opens; `tokens` are user tokens, each of which moves when it is used."""

    secrets: int = 0
    unreadable: int = 0
    tokens: int = 0


async def reencrypt(database: Database, vault: Vault) -> Reencrypted:
    """Bring every secret and API key under the vault's current key. Raises StoreUnavailable.

    Each page is one statement, and a secret that is set meanwhile stays as it was set: it may be killed and run again at any time, beside
    servers that have the current key too.
    """
    done, after = Reencrypted(), _BEGIN
    while page := await secrets.not_sealed_with(database, vault.current_key_id, after, limit=PAGE):
        changed = _opened(vault, page)
        done.unreadable += len(page) - len(changed)
        done.secrets += await secrets.reseal(database, changed)
        after = page[-1].instance_id, page[-1].field
    done.tokens = await secrets.count_tokens(database)
    return done


def _opened(vault: Vault, page: Sequence[SealedRow]) -> list[Resealed]:
    changed: list[Resealed] = []
    for row in page:
        try:
            value = vault.unseal(row.sealed, row=str(row.instance_id), field=row.field)
        except VaultError:
            continue
        digest = vault.digest(value) if row.field.startswith(API_KEY) else None
        changed.append(Resealed(row, vault.seal(value, row=str(row.instance_id), field=row.field), digest))
    return changed
