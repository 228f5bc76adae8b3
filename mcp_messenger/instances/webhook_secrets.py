"""What of a webhook's setting is kept sealed beside the provider's own secrets."""

import json
from uuid import UUID

from db import secrets
from db.database import Database
from mcp_messenger.delivery.webhook_config import WebhookConfig, new_secret
from mcp_messenger.delivery.webhook_target import FORMER_SECRET, HEADERS, SECRET
from mcp_messenger.security import credentials
from mcp_messenger.security.vault import Vault


def sealed_part(config: WebhookConfig | None, *, has_secret: bool) -> tuple[dict[str, str], str | None]:
    """The values by field, and the secret that was made because there was none: it is shown this once."""
    if config is None:
        return {}, None
    values: dict[str, str] = {}
    made = new_secret() if config.enabled and config.secret is None and not has_secret else None
    secret = config.secret or made
    if secret is not None:
        values[SECRET] = secret
    if config.headers is not None:
        values[HEADERS] = json.dumps(config.headers)
    return values, made


async def keep(database: Database, vault: Vault, instance_id: UUID, config: WebhookConfig | None) -> str | None:
    """Seal and store it; the secret that was made, if one was."""
    if config is None:
        return None
    fields = {row.field for row in await secrets.of_instance(database, instance_id)}
    values, made = sealed_part(config, has_secret=SECRET in fields)
    await credentials.store(database, vault, instance_id, values)
    return made


async def rotate(database: Database, vault: Vault, instance_id: UUID) -> str:
    """A new secret; what is posted is signed with the former one too, for a day."""
    made = new_secret()
    before = (await credentials.revealed(database, vault, instance_id)).get(SECRET)
    former = {} if before is None else {FORMER_SECRET: before}
    await credentials.store(database, vault, instance_id, {**former, SECRET: made})
    return made


async def header_names(database: Database, vault: Vault, instance_id: UUID) -> list[str]:
    kept = (await credentials.revealed(database, vault, instance_id)).get(HEADERS)
    return sorted(json.loads(kept)) if kept else []
