"""The secrets of a webhook's setting, sealed beside the provider's own. They are for one origin, and never follow the address to another."""

import json
from dataclasses import dataclass, field
from uuid import UUID

from pydantic import AnyHttpUrl

from db import secrets
from db.database import Database
from db.instances import InstanceRow
from mcp_messenger.delivery.webhook_config import WebhookConfig, masked_url, new_secret, origin_of
from mcp_messenger.delivery.webhook_target import FORMER_SECRET, HEADERS, ORIGIN, SECRET, URL_OUT, whole_url
from mcp_messenger.security import credentials
from mcp_messenger.security.vault import Vault


@dataclass(frozen=True)
class Change:
    """What a setting changes in the sealed part: the values by field, the fields that end, and a secret that was made and is shown this once."""

    values: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    ended: frozenset[str] = frozenset()
    is_moved: bool = False
    made: str | None = field(default=None, repr=False)


def change_to(config: WebhookConfig, kept: dict[str, str], former_url: str | None = None) -> Change:
    """Return the change from the sealed values that are kept. `former_url`: the address set before, for values kept before origins were."""
    if config.url is None:
        moved = False
    else:
        former = kept.get(ORIGIN) or (origin_of(AnyHttpUrl(former_url)) if former_url else None)
        moved = former != origin_of(config.url)
    known = {} if moved else kept
    made = new_secret() if config.enabled and config.secret is None and SECRET not in known else None
    secret = config.secret or made
    values: dict[str, str] = {}
    if secret is not None:
        values[SECRET] = secret
    if config.headers is not None:
        values[HEADERS] = json.dumps(config.headers)
    if config.url is not None:
        values[ORIGIN] = origin_of(config.url)
        if masked_url(str(config.url)) != str(config.url):
            values[URL_OUT] = str(config.url)
    ended = frozenset({SECRET, FORMER_SECRET, HEADERS, URL_OUT} if moved else set[str]()) - values.keys()
    return Change(values, ended, moved, made)


async def as_meant(database: Database, vault: Vault, row: InstanceRow, config: WebhookConfig) -> WebhookConfig:
    """Return the setting with the whole address where the masked one was given back."""
    if config.url is None:
        return config
    kept = (await credentials.revealed(database, vault, row.id)).get(URL_OUT)
    return config.model_copy(update={"url": AnyHttpUrl(whole_url(str(config.url), kept))})


async def keep(database: Database, vault: Vault, row: InstanceRow, config: WebhookConfig) -> str | None:
    """Seal and store the secrets of a setting before it is stored itself; return the secret that was made, if one was."""
    change = change_to(config, await credentials.revealed(database, vault, row.id), (row.api_webhook_schema or {}).get("url"))
    await credentials.store(database, vault, row.id, change.values)
    await secrets.remove(database, row.id, change.ended)
    return change.made


async def needs_owner(database: Database, vault: Vault, row: InstanceRow, config: WebhookConfig) -> bool:
    """Return whether a setting needs the owner: a webhook was set before, and its origin, its secret or its headers would change."""
    kept = await credentials.revealed(database, vault, row.id)
    if SECRET not in kept:
        return False
    return config.secret is not None or config.headers is not None or change_to(config, kept, (row.api_webhook_schema or {}).get("url")).is_moved


async def rotate(database: Database, vault: Vault, instance_id: UUID) -> str:
    """Make a new secret; events are signed with the former one too, for a day."""
    made = new_secret()
    before = (await credentials.revealed(database, vault, instance_id)).get(SECRET)
    former = {} if before is None else {FORMER_SECRET: before}
    await credentials.store(database, vault, instance_id, {**former, SECRET: made})
    return made


async def header_names(database: Database, vault: Vault, instance_id: UUID) -> list[str]:
    """Return the names of the custom headers."""
    kept = (await credentials.revealed(database, vault, instance_id)).get(HEADERS)
    return sorted(json.loads(kept)) if kept else []
