"""The settings of a Discord instance."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from providers.base import Settings


def _without_slash(url: str) -> str:
    return url.rstrip("/")


# Any text: like a wrong token, a wrong id is a state in the end, and does not refuse the instance.
Id = Annotated[str, Field(min_length=1, max_length=64, coerce_numbers_to_str=True)]


class DiscordSettings(Settings):
    admin_fields = frozenset({"base_url", "gateway_url"})

    bot_token: SecretStr
    """As the developer portal shows it, without the word Bot."""
    client_id: Id | None = None
    """The application the token has to belong to. Not needed: Discord tells it."""
    guild_id: Id | None = None
    """The one server (Discord: guild) that is seen; direct messages are seen as well. Unset: all servers the bot is in."""
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"), AfterValidator(_without_slash)] = "https://discord.com/api/v10"
    """The address of your own proxy. It receives the token."""
    gateway_url: Annotated[str, Field(pattern=r"^wss?://[^\s/?#@]+(/[^\s?#@]*)?$")] | None = None
    """The gateway's address, instead of the one that Discord names. It receives the token."""
