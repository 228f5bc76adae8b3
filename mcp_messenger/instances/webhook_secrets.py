"""The secrets of a webhook's setting, sealed beside the provider's own. They are for one origin, and never follow the address to another."""

import json
from dataclasses import dataclass, field
from uuid import UUID

from pydantic import AnyHttpUrl

from db import secrets
from db.database import Database
from db.instances import InstanceRow
from db.webhooks import FIRST
from mcp_messenger.delivery.webhook_config import WebhookConfig, masked_url, new_secret, origin_of
from mcp_messenger.delivery.webhook_target import secret_fields, whole_url
from mcp_messenger.security import credentials
from mcp_messenger.security.vault import Vault


@dataclass(frozen=True)
class Change:
    """What a setting changes in the sealed part: the values by field, the fields that end, and a secret that was made and is shown this once."""

    values: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    ended: frozenset[str] = frozenset()
    is_moved: bool = False
    made: str | None = field(default=None, repr=False)


def change_to(config: WebhookConfig, kept: dict[str, str], former_url: str | None = None, *, number: int = FIRST) -> Change:
    """Return the change from the sealed values that are kept. `former_url`: the address set before, for values kept before origins were."""
    fields = secret_fields(number)
    if config.url is None:
        moved = False
    else:
        former = kept.get(fields.origin) or (origin_of(AnyHttpUrl(former_url)) if former_url else None)
        moved = former != origin_of(config.url)
    known: dict[str, str] = {} if moved else kept
    made = new_secret() if config.enabled and config.secret is None and fields.secret not in known else None
    secret = config.secret or made
    values: dict[str, str] = {}
    if secret is not None:
        values[fields.secret] = secret
    if config.headers is not None:
        values[fields.headers] = json.dumps(config.headers)
    if config.url is not None:
        values[fields.origin] = origin_of(config.url)
        if masked_url(str(config.url)) != str(config.url):
            values[fields.url] = str(config.url)
    ended = frozenset({fields.secret, fields.former_secret, fields.headers, fields.url} if moved else set[str]()) - values.keys()
    return Change(values, ended, moved, made)


@dataclass(frozen=True)
class Kept:
    """A webhook's setting as it is stored: the sealed part by field, and the address in the open."""

    number: int
    values: dict[str, str] = field(repr=False)
    url: str | None

    @property
    def is_set(self) -> bool:
        """Return whether a webhook was set before."""
        return secret_fields(self.number).secret in self.values

    def meant(self, config: WebhookConfig) -> WebhookConfig:
        """Return the setting with the whole address where the masked one was given back."""
        if config.url is None:
            return config
        return config.model_copy(update={"url": AnyHttpUrl(whole_url(str(config.url), self.values.get(secret_fields(self.number).url)))})

    def change(self, config: WebhookConfig) -> Change:
        """Return what the setting changes in the sealed part."""
        return change_to(config, self.values, self.url, number=self.number)

    def needs_owner(self, config: WebhookConfig) -> bool:
        """Return whether a setting needs the owner: a webhook was set before, and its origin, its secret or its headers would change."""
        return self.is_set and (config.secret is not None or config.headers is not None or self.change(config).is_moved)


async def kept_of(database: Database, vault: Vault, row: InstanceRow) -> Kept:
    """Return what is stored of an instance's webhook 1."""
    return Kept(FIRST, await credentials.revealed(database, vault, row.id), (row.api_webhook_schema or {}).get("url"))


async def as_meant(database: Database, vault: Vault, row: InstanceRow, config: WebhookConfig) -> WebhookConfig:
    """Return the setting with the whole address where the masked one was given back."""
    return (await kept_of(database, vault, row)).meant(config)


async def keep(database: Database, vault: Vault, row: InstanceRow, config: WebhookConfig) -> str | None:
    """Seal and store the secrets of a setting before it is stored itself; return the secret that was made, if one was."""
    return await store(database, vault, row.id, (await kept_of(database, vault, row)).change(config))


async def store(database: Database, vault: Vault, instance_id: UUID, change: Change) -> str | None:
    """Seal and store the secrets of a change; return the secret that was made, if one was."""
    await credentials.store(database, vault, instance_id, change.values)
    await secrets.remove(database, instance_id, change.ended)
    return change.made


async def needs_owner(database: Database, vault: Vault, row: InstanceRow, config: WebhookConfig) -> bool:
    """Return whether a setting of webhook 1 needs the owner."""
    return (await kept_of(database, vault, row)).needs_owner(config)


async def rotate(database: Database, vault: Vault, instance_id: UUID, number: int = FIRST) -> str:
    """Make a new secret; events are signed with the former one too, for a day."""
    made, fields = new_secret(), secret_fields(number)
    before = (await credentials.revealed(database, vault, instance_id)).get(fields.secret)
    former = {} if before is None else {fields.former_secret: before}
    await credentials.store(database, vault, instance_id, {**former, fields.secret: made})
    return made


def header_names(values: dict[str, str], number: int = FIRST) -> list[str]:
    """Return the names of the custom headers of a webhook, from the instance's secrets."""
    kept = values.get(secret_fields(number).headers)
    return sorted(json.loads(kept)) if kept else []
