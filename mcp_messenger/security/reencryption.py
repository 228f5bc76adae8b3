"""Encrypts stored secrets again, under the current key."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db import approvals, secrets
from db.database import Database
from db.secrets import Resealed, SealedRow
from mcp_messenger.errors import VaultError
from mcp_messenger.security.vault import Vault

PAGE = 200
API_KEY = "api_key/"
APPROVAL = "approval"
"""The field that the calls of approvals are bound to."""
_BEGIN = (UUID(int=0), "")


@dataclass
class Reencrypted:
    """`unreadable` are secrets that no key here opens; `tokens` are user tokens, each of which moves when it is used."""

    secrets: int = 0
    unreadable: int = 0
    tokens: int = 0


async def reencrypt(database: Database, vault: Vault) -> Reencrypted:
    """Bring every secret, API key and stored call under the vault's current key. Raises StoreUnavailable.

    Each page is one statement, and a secret that is set meanwhile stays as it was set: it may be killed and run again at any time, beside
    servers that have the current key too.
    """
    done, after = Reencrypted(), _BEGIN
    while page := await secrets.not_sealed_with(database, vault.current_key_id, after, limit=PAGE):
        changed = _opened(vault, page)
        done.unreadable += len(page) - len(changed)
        done.secrets += await secrets.reseal(database, changed)
        after = page[-1].instance_id, page[-1].field
    after_call = _BEGIN[0]
    while calls := await approvals.under_former(database, vault.current_key_id, after_call, limit=PAGE):
        opened = [(row, value) for row in calls if (value := _value(vault, row.sealed, str(row.id), APPROVAL)) is not None]
        done.unreadable += len(calls) - len(opened)
        changed_calls = [(row, vault.seal(value, row=str(row.id), field=APPROVAL)) for row, value in opened]
        done.secrets += await approvals.reseal(database, changed_calls)
        after_call = calls[-1].id
    done.tokens = await secrets.count_tokens(database)
    return done


def _opened(vault: Vault, page: Sequence[SealedRow]) -> list[Resealed]:
    changed: list[Resealed] = []
    for row in page:
        value = _value(vault, row.sealed, str(row.instance_id), row.field)
        if value is None:
            continue
        digest = vault.digest(value) if row.field.startswith(API_KEY) else None
        changed.append(Resealed(row, vault.seal(value, row=str(row.instance_id), field=row.field), digest))
    return changed


def _value(vault: Vault, sealed: bytes, row: str, field: str) -> str | None:
    """Return what is sealed; None where no key here opens it."""
    try:
        return vault.unseal(sealed, row=row, field=field)
    except VaultError:
        return None
