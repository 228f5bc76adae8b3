"""An instance's settings: the secret ones sealed, the others as they are, put together only for the provider."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from db import secrets
from db.database import Database
from db.instances import InstanceRow
from mcp_messenger.security.vault import Vault
from mcp_messenger.validation import validated_settings
from providers.base import Settings


def public_part(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude=set(settings.secret_fields()), exclude_defaults=True)


def secret_part(settings: Settings) -> dict[str, str]:
    values = {name: getattr(settings, name) for name in settings.secret_fields()}
    return {name: value.get_secret_value() for name, value in values.items() if isinstance(value, SecretStr)}


async def store(database: Database, vault: Vault, instance_id: UUID, values: Mapping[str, str]) -> None:
    """Seal and keep secrets by field."""
    await secrets.put(database, instance_id, sealed(vault, instance_id, values))


def sealed(vault: Vault, instance_id: UUID, values: Mapping[str, str]) -> dict[str, bytes]:
    return {field: vault.seal(value, row=str(instance_id), field=field) for field, value in values.items()}


async def revealed(database: Database, vault: Vault, instance_id: UUID) -> dict[str, str]:
    rows = await secrets.of_instance(database, instance_id)
    return {row.field: vault.unseal(row.sealed, row=str(instance_id), field=row.field) for row in rows}


async def load(database: Database, vault: Vault, row: InstanceRow, settings_type: type[Settings]) -> Settings:
    """The provider's settings with the secrets in place."""
    secret = await revealed(database, vault, row.id)
    known = {field: value for field, value in secret.items() if field in settings_type.model_fields}
    return validated_settings(settings_type, row.provider, {**row.settings, **known})
