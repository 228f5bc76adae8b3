"""The events that a provider reports: messages, changes of messages and chats, receipts, and the state of the connection."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from providers.models import Account, Chat, Contact, Location, Media, Message, Poll, TextFormat
from providers.noun import Noun
from providers.states import InstanceState
from providers.text import Body, Line


class QrCode(Noun):
    """A code that a person scans to log in. `content` is a login in itself: show it to nobody else."""

    content: str = Field(repr=False)
    sequence: int
    issued_at: datetime
    expires_at: datetime


class Need(StrEnum):
    """The thing that an instance needs from a person."""

    NOTHING = "nothing"
    QR = "qr"
    PAIRING_CODE = "pairing_code"
    PASSKEY = "passkey"
    TOKEN = "token"  # noqa: S105 - the word, not a token


class MessageReceived(Noun):
    """A message that is new to us: from others, or our own written elsewhere (`message.outgoing`).

    `client_id` is set where the platform echoes our nonce, and settles a send of unknown fate.
    """

    type: Literal["message"] = "message"
    message: Message
    chat: Chat
    sender: Contact | None = None
    client_id: str | None = None
    backfill: bool = False
    """Older history read back: stored, but not announced as new."""


class MessageEdited(Noun):
    """A message has a new text. Files, place, poll and markup are those it has now; None: as they were."""

    type: Literal["message_edited"] = "message_edited"
    chat_id: str
    message_id: str
    text: Body
    at: datetime
    media: tuple[Media, ...] | None = None
    location: Location | None = None
    poll: Poll | None = None
    format: TextFormat | None = None


class MessageDeleted(Noun):
    """A message was deleted for everyone."""

    type: Literal["message_deleted"] = "message_deleted"
    chat_id: str
    message_id: str
    at: datetime


class ReactionChanged(Noun):
    """One person's reactions to a message, as they now are (none: taken back)."""

    type: Literal["reaction"] = "reaction"
    chat_id: str
    message_id: str
    sender_id: str
    emojis: tuple[Line, ...]
    at: datetime


class PollVoted(Noun):
    """One person's vote in a poll, as it is now: the texts of the chosen options (none: taken back)."""

    type: Literal["poll_vote"] = "poll_vote"
    chat_id: str
    message_id: str
    sender_id: str
    """Who voted; where the platform only tells sums, the option's text, with its number of votes in `count`."""
    sender_name: Line = ""
    options: tuple[Body, ...]
    count: int | None = None
    at: datetime


class ReceiptStatus(StrEnum):
    """How far a message of ours got."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class ReceiptChanged(Noun):
    """How far one of our messages got."""

    type: Literal["receipt"] = "receipt"
    chat_id: str
    message_id: str
    status: ReceiptStatus
    at: datetime
    detail: Line | None = None
    """The platform's words where it failed, or further ones such as "played"."""
    code: Line | None = None
    """The kind of error where it failed, as in providers/errors.py; None where the platform names none."""
    hint: Line | None = None
    """The next step that the sender can take."""


class ChatChanged(Noun):
    """A chat that is new or has a new title."""

    type: Literal["chat"] = "chat"
    chat: Chat


class ChatMigrated(Noun):
    """The platform gave a chat a new id (Telegram: a group became a supergroup)."""

    type: Literal["chat_migrated"] = "chat_migrated"
    old_id: str
    chat: Chat
    at: datetime | None = None
    """When, as far as the platform tells: a notice that is older than the last word from the old id moves nothing any more."""


CHAT_DELETED = "The chat was deleted."
"""The reason of a chat that is closed for good: no platform gives its id again."""


class ChatClosed(Noun):
    """Nothing can be sent to a chat until it is open again: the person blocked us, we were removed. `reason` None opens it."""

    type: Literal["chat_closed"] = "chat_closed"
    chat_id: str
    reason: Line | None
    at: datetime


class StopRequested(Noun):
    """Somebody pressed the platform's button that stops an answer while it grows: in a chat, or in one thread of it."""

    type: Literal["stop_requested"] = "stop_requested"
    chat_id: str
    thread_id: str | None = None
    sender_id: str | None = None
    """None where the platform does not name who it was."""
    at: datetime


class NoticeReceived(Noun):
    """A message of the platform about the account: a warning, a restriction, a rejected template."""

    type: Literal["notice"] = "notice"
    code: Line
    text: Line
    at: datetime
    is_error: bool = True
    """Whether it is kept among the instance's errors. Good news is an event alone."""


class StateChanged(Noun):
    """The state of the connection, with the platform's own words in `reason`."""

    type: Literal["state"] = "state"
    state: InstanceState
    reason: Line | None = None
    needs: Need = Need.NOTHING
    qr: QrCode | None = None
    pairing_code: str | None = Field(default=None, repr=False)
    account: Account | None = None


Event = Annotated[
    MessageReceived
    | MessageEdited
    | MessageDeleted
    | ReactionChanged
    | PollVoted
    | ReceiptChanged
    | ChatChanged
    | ChatMigrated
    | ChatClosed
    | StopRequested
    | NoticeReceived
    | StateChanged,
    Field(discriminator="type"),
]
