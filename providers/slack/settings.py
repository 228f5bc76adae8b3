"""What a Slack instance is set up with."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from providers.base import Settings


def _without_slash(url: str) -> str:
    return url.rstrip("/")


class SlackSettings(Settings):
    admin_fields = frozenset({"base_url"})

    bot_token: SecretStr
    """Starts with xoxb-; the app's page "OAuth & Permissions" shows it."""
    app_token: SecretStr | None = None
    """Starts with xapp-, with the scope connections:write: events come over Socket Mode."""
    signing_secret: SecretStr | None = None
    """On the app's page "Basic Information": events come to our webhook, signed with it."""
    user_token: SecretStr | None = None
    """Starts with xoxp-: of a person for whom the instance searches (search:read) and keeps read marks (channels:write, im:write and the like)."""
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"), AfterValidator(_without_slash)] = "https://slack.com/api"
    """Another address receives the tokens."""

    @field_validator("bot_token", "app_token", "user_token")
    @classmethod
    def _fits_into_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not re.fullmatch(r"[!-~]+", token.get_secret_value()):
            raise ValueError("a token has no spaces and only plain characters")
        return token

    @model_validator(mode="after")
    def _receives_somehow(self) -> Self:
        if self.app_token is None and self.signing_secret is None:
            raise ValueError("set app_token (Socket Mode) or signing_secret (events by webhook): without either nothing is received")
        return self
