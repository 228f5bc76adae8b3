"""What a platform brought and nobody here could read: the rest of such a message counts all the same, and the account has a counted notice."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from providers.events import NoticeReceived

T = TypeVar("T")

NOT_OF_ITS_FORM = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
"""Raised by a translation of what is not of the platform's form. It must keep back nothing that comes after."""


def unread(title: str, what: str, error: Exception) -> NoticeReceived:
    """Return the notice that an event of the platform `title` could not be read. `what` names its kind, and holds no content."""
    text = f"{title} brought an event of the kind {what} that could not be read ({type(error).__name__}). It is in no chat."
    return NoticeReceived(code="unread_event", text=text, at=datetime.now(UTC))


def if_readable(read: Callable[[], T], otherwise: T) -> T:
    """Return what `read` makes of a part of a message, or `otherwise` where that part is not of the platform's form."""
    try:
        return read()
    except NOT_OF_ITS_FORM:
        return otherwise


def words_despite(text: object, kinds: str = "") -> str:
    """Return words for a message of which a part could not be read: its text where it has one, and a note that names the `kinds` of its parts."""
    note = f"[A part of this message could not be read here: {kinds}.]" if kinds else "[A part of this message could not be read here.]"
    return f"{text}\n{note}" if isinstance(text, str) and text.strip() else note
