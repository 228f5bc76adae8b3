"""What a person logs in with, sealed as one: a QR code and, where one was asked for, a pairing code."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from db.history import QrRow
from mcp_messenger.security.vault import Vault
from providers.events import StateChanged


class Codes(BaseModel):
    model_config = ConfigDict(frozen=True)

    qr: str = Field(repr=False)
    pairing_code: str | None = Field(default=None, repr=False)


def sealed(vault: Vault, instance_id: UUID, event: StateChanged) -> bytes | None:
    """None where the event shows no QR code."""
    if event.qr is None:
        return None
    codes = Codes(qr=event.qr.content, pairing_code=event.pairing_code)
    return vault.seal(codes.model_dump_json(), row=str(instance_id), field=_field(event.qr.sequence))


def unsealed(vault: Vault, instance_id: UUID, row: QrRow) -> Codes | None:
    """None for a code that is not kept any more."""
    return None if row.sealed is None else Codes.model_validate_json(vault.unseal(row.sealed, row=str(instance_id), field=_field(row.sequence)))


def _field(sequence: int) -> str:
    return f"qr/{sequence}"
