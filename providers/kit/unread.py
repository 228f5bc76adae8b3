"""What a platform brought and nobody here could read: a counted notice of the instance, since it may have been a word of somebody."""

from datetime import UTC, datetime

from providers.events import NoticeReceived


def unread(title: str, what: str, error: Exception) -> NoticeReceived:
    """Return the notice that an event of the platform `title` could not be read. `what` names its kind, and holds no content."""
    text = f"{title} brought an event of the kind {what} that could not be read ({type(error).__name__}). It is in no chat."
    return NoticeReceived(code="unread_event", text=text, at=datetime.now(UTC))
