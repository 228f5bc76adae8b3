"""What a WhatsApp Web instance is set up with. It logs in by QR or pairing code, so there is no secret here: the login is in the data folder."""

from pydantic import Field

from providers.base import Settings


class WhatsAppWebSettings(Settings):
    backfill: int = Field(default=20, ge=0, le=5000)
    """Messages of each chat that are read back at the first login; WhatsApp Web gives as many as the phone has handed over."""
    new_chats_per_day: int = Field(default=20, ge=0, le=1000)
    """To how many people that the account has no chat with may be written; a new login may less in its first week."""
    stories: bool = False
    """Whether stories (status updates) may be posted. Those of others are not received."""
    reject_calls: bool = False
    """Whether calls that come in are rejected; otherwise they ring on the phone."""
    reject_calls_message: str = Field(default="", max_length=1000)
    """A text for callers whose call was rejected, at most once in an hour for each; empty: none."""
    suspend_after: int = Field(default=0, ge=0, le=10_080)
    """Minutes without a call or a send after which the browser is stopped until it is needed (0: never). The login stays."""
    wake_every: int = Field(default=60, ge=5, le=1380)
    """Minutes after which a suspended browser is started to fetch what has come in."""
    web_version: str = Field(default="", max_length=40, pattern=r"^[0-9A-Za-z.-]*$")
    """The version of WhatsApp Web to run, of those that this instance has run before: their pages are kept. Empty: the newest."""
