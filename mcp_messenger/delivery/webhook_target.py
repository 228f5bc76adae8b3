"""A webhook with its secrets, as it is set at this moment."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import ValidationError

from db import deliveries
from db.webhooks import FIRST, NUMBERS, number_of
from mcp_messenger.delivery.webhook_config import WebhookConfig, masked_url, signing_key
from mcp_messenger.security.vault import Vault

if TYPE_CHECKING:
    from standardwebhooks import Webhook
    from yarl import URL

PREFIX = "webhook_"
OVERLAP = timedelta(hours=24)
"""So long after a rotation what is posted is signed with both secrets."""


@dataclass(frozen=True)
class SecretFields:
    """The names of a webhook's secrets among those of its instance. `url`: the whole address, where some of it is secret: only the masked one
    is stored in the open. `origin`: whom the secrets beside it are for.
    """

    prefix: str

    @property
    def secret(self) -> str:
        return f"{self.prefix}secret_out"

    @property
    def former_secret(self) -> str:
        return f"{self.prefix}secret_out_former"

    @property
    def headers(self) -> str:
        return f"{self.prefix}headers_out"

    @property
    def url(self) -> str:
        return f"{self.prefix}url_out"

    @property
    def origin(self) -> str:
        return f"{self.prefix}origin_out"


def secret_fields(number: int) -> SecretFields:
    """Return the names of the secrets of an instance's webhook of this number."""
    return SecretFields(PREFIX if number == FIRST else f"{PREFIX}{number}_")


ORIGINS = frozenset(secret_fields(number).origin for number in (FIRST, *NUMBERS))
"""Fields that are nobody's secret, but belong to one."""


@dataclass(frozen=True)
class Endpoint:
    instance_id: UUID
    number: int
    provider: str
    config: WebhookConfig
    secrets: tuple[str, ...] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    url: str = field(repr=False)

    @cached_property
    def target(self) -> "URL":
        """Return the URL to post to, as it was set. Raises FetchRefused for one that may not be posted to."""
        from yarl import URL

        from mcp_messenger.net.fetch import checked_url

        return URL(str(checked_url(self.url)), encoded=True)

    @cached_property
    def _signers(self) -> "tuple[Webhook, ...]":
        from standardwebhooks import Webhook

        return tuple(Webhook(signing_key(secret)) for secret in self.secrets)

    def signature(self, webhook_id: str, at: datetime, body: str) -> str:
        """Return the signatures of Standard Webhooks, one for each valid secret. `at` is in UTC: the library takes any time for UTC."""
        return " ".join(signer.sign(webhook_id, at, body) for signer in self._signers)


def endpoint_of(row: deliveries.EndpointRow, vault: Vault) -> Endpoint | None:
    """Return a webhook with its secrets. None: it is gone, or switched off."""
    try:
        config = WebhookConfig.model_validate(row.config or {})
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

    number = number_of(row.target)
    fields = secret_fields(number)
    headers = opened(fields.headers)
    secrets = (*opened(fields.secret), *opened(fields.former_secret, OVERLAP))
    url = whole_url(str(config.url), next(iter(opened(fields.url)), None))
    return Endpoint(row.id, number, row.provider, config, secrets, json.loads(headers[0]) if headers else {}, url)


def whole_url(stored: str, kept: str | None) -> str:
    """Return the address that is meant by the one that is stored in the open; `kept` is the sealed one, None where nothing is secret."""
    return kept if kept is not None and masked_url(kept) == stored else stored
