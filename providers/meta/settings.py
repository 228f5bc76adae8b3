"""What the instances of all three have in common."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from providers.base import Settings


def _without_slash(url: str) -> str:
    return url.rstrip("/")


GraphId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""A number in practice. It becomes a part of paths."""
BaseUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"), AfterValidator(_without_slash)]


class MetaSettings(Settings):
    admin_fields = frozenset({"base_url"})

    webhook_verify_token: SecretStr
    """A word of your own. Meta repeats it once, when the webhook is set in the app's dashboard."""
    api_version: Annotated[str, Field(pattern=r"^v\d{1,3}\.\d$")] = "v26.0"
    """Of the Graph API."""
    base_url: BaseUrl | None = None
    """Instead of Meta's own address. It receives the token."""

    @property
    def address(self) -> str:
        return self.base_url or "https://graph.facebook.com"
