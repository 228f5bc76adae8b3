"""An instance's webhook with its secrets, as it is set at this moment."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import ValidationError

from db import deliveries
from mcp_messenger.delivery.webhook_config import WebhookConfig, masked_url, signing_key
from mcp_messenger.security.vault import Vault

if TYPE_CHECKING:
    from standardwebhooks import Webhook
    from yarl import URL

SECRET = "webhook_secret_out"  # noqa: S105 - a name
FORMER_SECRET = "webhook_secret_out_former"  # noqa: S105
HEADERS = "webhook_headers_out"
URL_OUT = "webhook_url_out"
"""The whole address, where some of it is secret: only the masked one is stored in the open."""
ORIGIN = "webhook_origin_out"
"""Whom the secrets beside it are for."""
PREFIX = "webhook_"
OVERLAP = timedelta(hours=24)
"""So long after a rotation what is posted is signed with both secrets."""


@dataclass(frozen=True)
class Endpoint:
    instance_id: UUID
    provider: str
    config: WebhookConfig
    secrets: tuple[str, ...] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    url: str = field(repr=False)

    @cached_property
    def target(self) -> "URL":
        """Where to post to, as it was set. Raises FetchRefused where that is no place for it."""
        from yarl import URL

        from mcp_messenger.net.fetch import checked_url

        return URL(str(checked_url(self.url)), encoded=True)

    @cached_property
    def _signers(self) -> "tuple[Webhook, ...]":
        from standardwebhooks import Webhook

        return tuple(Webhook(signing_key(secret)) for secret in self.secrets)

    def signature(self, webhook_id: str, at: datetime, body: str) -> str:
        """Of Standard Webhooks, one for each secret that is valid. `at` is in UTC: the library takes any other for it."""
        return " ".join(signer.sign(webhook_id, at, body) for signer in self._signers)


def endpoint_of(row: deliveries.EndpointRow, vault: Vault) -> Endpoint | None:
    """None: the instance has no webhook, or it is switched off."""
    try:
        config = WebhookConfig.model_validate(row.api_webhook_schema or {})
    except ValidationError:
        # Written by hand, or by a version that knew other fields.
        return None
    if not config.enabled:
        return None
    sealed = dict(zip(row.fields, zip(row.sealed, row.rotated_at, strict=True), strict=True))

    def opened(name: str, max_age: timedelta | None = None) -> list[str]:
        blob, at = sealed.get(name, (None, None))
        if blob is None or at is None or (max_age is not None and datetime.now(UTC) - at > max_age):
            return []
        return [vault.unseal(blob, row=str(row.id), field=name)]

    headers = opened(HEADERS)
    secrets = (*opened(SECRET), *opened(FORMER_SECRET, OVERLAP))
    url = whole_url(str(config.url), next(iter(opened(URL_OUT)), None))
    return Endpoint(row.id, row.provider, config, secrets, json.loads(headers[0]) if headers else {}, url)


def whole_url(stored: str, kept: str | None) -> str:
    """Return the address that is meant by the one that is stored in the open; `kept` is the sealed one, None where nothing is secret."""
    return kept if kept is not None and masked_url(kept) == stored else stored
