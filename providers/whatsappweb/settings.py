"""What a WhatsApp Web instance is set up with. It logs in by QR or pairing code, so there is no secret here: the login is in the data folder."""

from pydantic import Field

from providers.base import Settings


class WhatsAppWebSettings(Settings):
    backfill: int = Field(default=20, ge=0, le=500)
    """Messages of each chat that are read back at the first login."""
    new_chats_per_day: int = Field(default=20, ge=0, le=1000)
    """To how many people that the account has no chat with may be written; a new login may less in its first week."""
