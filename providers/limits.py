"""A platform's numbers: lengths, sizes, rates, and how many chats may be opened."""

from datetime import datetime
from enum import StrEnum

from providers.noun import Noun


class TextUnit(StrEnum):
    """The unit in which a platform counts the length of a text."""

    CHARACTERS = "characters"
    UTF16 = "utf16"
    BYTES = "bytes"

    def length(self, text: str) -> int:
        """Return the length of a text in this unit. A lone surrogate counts as one UTF-16 unit and three bytes."""
        match self:
            case TextUnit.CHARACTERS:
                return len(text)
            case TextUnit.UTF16:
                return len(text.encode("utf-16-le", "surrogatepass")) // 2
            case TextUnit.BYTES:
                return len(text.encode(errors="surrogatepass"))


class Rate(Noun):
    """At most `count` sends in `seconds`; a burst of `count` may go at once."""

    count: int
    seconds: float


class Limits(Noun):
    """The platform's own numbers. Sizes in bytes; None where the platform names none."""

    max_text: int
    text_unit: TextUnit = TextUnit.CHARACTERS
    max_caption: int | None = None
    max_upload: int | None = None
    max_photo: int | None = None
    max_download: int | None = None
    reply_window_hours: int | None = None
    overall_rate: Rate | None = None
    chat_rate: Rate | None = None
    group_rate: Rate | None = None
    edit_pause: float = 3.0
    """Least seconds between two edits of one message, where it can be edited: of an answer that is shown while it grows."""


class SendingBudget(Noun):
    """The number of chats that may be opened with people who never wrote. Our caution, not a platform's rule: accounts that write to
    many strangers get blocked."""

    begun: int
    """In the last 24 hours."""
    allowed: int
    """In 24 hours, by now."""
    allowed_after_warm_up: int
    warm_up_until: datetime | None = None
    """A fresh login is allowed less until then; None: it is over, or nobody is logged in."""
    locked_until: datetime | None = None
    """The platform refused new chats, and is not asked again until then."""
    next_at: datetime | None = None
    """When another chat may be opened; None: now, or never where none are allowed."""
