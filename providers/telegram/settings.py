"""What a Telegram instance is set up with."""

import hashlib
import hmac
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, field_validator

from providers.base import Settings


def _without_slash(url: str) -> str:
    return url.rstrip("/")


class TelegramSettings(Settings):
    admin_fields = frozenset({"base_url"})

    token: SecretStr
    """As @BotFather shows it."""
    mode: Literal["polling", "webhook"] = "polling"
    """Whether this server fetches updates or Telegram brings them to the public URL."""
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"), AfterValidator(_without_slash)] = "https://api.telegram.org"
    """The address of your own Bot API server. It receives the token."""
    webhook_secret: SecretStr | None = None
    """Comes with every webhook call of Telegram; made from the token where it is not set."""

    @field_validator("webhook_secret")
    @classmethod
    def _as_telegram_takes_it(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", secret.get_secret_value()):
            raise ValueError("a webhook secret has 1 to 256 characters of A-Z, a-z, 0-9, _ and -")
        return secret

    def secret_for_webhook(self) -> str:
        if self.webhook_secret is not None:
            return self.webhook_secret.get_secret_value()
        return hmac.new(self.token.get_secret_value().encode(), b"mcp-messenger telegram webhook", hashlib.sha256).hexdigest()
