"""What is posted to webhooks, version 1. It is apart from what REST answers, so that neither changes with the other."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from db.deliveries import ClaimedDelivery
from db.messages import MessageRow, transcripts
from providers.states import TROUBLE

VERSION = 1


class Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class ChatPart(Part):
    id: str
    kind: str = "unknown"
    title: str | None = None
    username: str | None = None
    phone: str | None = None


class MediaPart(Part):
    """A file; download_media and GET …/messages/{id}/media give its content."""

    kind: str
    mime: str | None = None
    size: int | None = None
    name: str | None = None
    duration: float | None = None
    transcript: str | None = None
    """As a machine wrote it down."""


class MessagePart(Part):
    """`id` is ours and stays; `platform_id` and `reply_to` are the messenger's. Text and names were written by others."""

    id: str
    platform_id: str | None = None
    chat_id: str
    outgoing: bool = False
    sender_id: str | None = None
    sender_name: str | None = None
    at: datetime
    kind: str = "text"
    text: str = ""
    reply_to: str | None = None
    thread_id: str | None = None
    mentions_me: bool = False
    media: list[MediaPart] = Field(default_factory=list[MediaPart])
    location: dict[str, Any] | None = None
    poll: dict[str, Any] | None = None
    status: str | None = None
    edited: bool = False
    deleted: bool = False


class ReactionPart(Part):
    """One person's reactions as they now are; none: taken back."""

    sender_id: str
    emojis: list[str]


class ReceiptPart(Part):
    """How far one of our messages got; `code` and `detail` say why it failed."""

    status: str
    code: str | None = None
    detail: str | None = None


class QrPart(Part):
    """`content` is there only where `events` names qr, and while the code is valid."""

    sequence: int
    expires_at: datetime | None = None
    content: str | None = Field(default=None, repr=False)


class StatePart(Part):
    status: str
    reason: str | None = None
    needs: str = "nothing"
    qr: QrPart | None = None


class VotePart(Part):
    """One person's vote in a poll as it now is; none: taken back. `count`: the platform gives sums alone, and `sender_id` is the option."""

    sender_id: str
    sender_name: str | None = None
    options: list[str]
    count: int | None = None


class NoticePart(Part):
    """A message of the platform about the account."""

    code: str
    text: str
    is_error: bool


class StopPart(Part):
    """Somebody pressed the button that stops a growing answer, in the chat or in one thread of it."""

    sender_id: str | None = None
    thread_id: str | None = None


class ApprovalPart(Part):
    """A call that waits for the owner, or what became of it; GET …/approvals shows it whole."""

    approval_id: str
    status: str
    kind: str
    operation: str
    expires_at: datetime | None = None


class ReminderPart(Part):
    """A reminder, or with `outcome` a message that was not sent at its time, and why. `tainted`: a stranger's words may stand behind it."""

    scheduled_id: str
    text: str
    at: datetime
    outcome: dict[str, Any] | None = None
    tainted: bool | None = None


class Data(Part):
    """`cursor` is the event's place in the log, as in GET /api/v1/events. What does not belong to the event's type is missing.

    `wakes` false: the policy lets these words wake no agent. It is missing where they may. `closed`: why nothing can be sent to the chat any
    more; a chat_closed event without it opens the chat again.
    """

    cursor: str | None = None
    wakes: bool | None = None
    chat: ChatPart | None = None
    message: MessagePart | None = None
    reaction: ReactionPart | None = None
    receipt: ReceiptPart | None = None
    state: StatePart | None = None
    old_chat_id: str | None = None
    vote: VotePart | None = None
    notice: NoticePart | None = None
    stop: StopPart | None = None
    closed: str | None = None
    approval: ApprovalPart | None = None
    reminder: ReminderPart | None = None


class Payload(Part):
    """`id` is also the header webhook-id: the same whenever the same event is delivered again."""

    type: Literal[
        "message", "message_edited", "message_deleted", "transcript",
        "reaction", "receipt", "chat", "chat_migrated", "chat_closed", "poll_vote", "notice",
        "stop_requested", "state", "approval", "reminder", "test",
    ]  # fmt: skip
    version: Literal[1] = VERSION
    id: str
    timestamp: datetime
    instance_id: str
    provider: str
    data: Data

    def text(self) -> str:
        return self.model_dump_json(exclude_none=True)


def webhook_id(instance_id: UUID, event_id: int) -> str:
    return f"evt_{instance_id.hex}_{event_id}"


def payload_of(claimed: ClaimedDelivery, provider: str, message: MessageRow | None, qr: QrPart | None = None, *, wakes: bool = True) -> Payload:
    """Return the event as its receiver gets it: the message as it is by now, `qr` where the state has one."""
    data = claimed.data or {}
    return Payload.model_validate(
        {
            "type": claimed.type,
            "id": webhook_id(claimed.instance_id, claimed.event_id),
            "timestamp": claimed.at,
            "instance_id": str(claimed.instance_id),
            "provider": provider,
            "data": Data(
                cursor=str(claimed.event_id),
                wakes=None if wakes else False,
                chat=_chat(claimed),
                message=None if message is None else _message(message),
                reaction=ReactionPart(sender_id=data["sender_id"], emojis=data["emojis"]) if claimed.type == "reaction" else None,
                receipt=_receipt(data) if claimed.type == "receipt" else None,
                state=_state(data, qr) if claimed.type == "state" else None,
                old_chat_id=data.get("old_id"),
                vote=_vote(data) if claimed.type == "poll_vote" else None,
                notice=NoticePart.model_validate(data) if claimed.type == "notice" else None,
                stop=StopPart.model_validate(data) if claimed.type == "stop_requested" else None,
                closed=data.get("reason") if claimed.type == "chat_closed" else None,
                reminder=ReminderPart.model_validate(data) if claimed.type == "reminder" else None,
                approval=ApprovalPart.model_validate(data) if claimed.type == "approval" else None,
            ),
        }
    )


def _chat(claimed: ClaimedDelivery) -> ChatPart | None:
    if claimed.chat_id is None:
        return None
    return ChatPart(
        id=claimed.chat_id,
        kind=claimed.chat_kind or "unknown",
        title=claimed.chat_title or None,
        username=claimed.chat_username,
        phone=claimed.chat_phone,
    )


def _message(row: MessageRow) -> MessagePart:
    content = {} if row.deleted_at else row.content
    return MessagePart(
        id=str(row.id),
        platform_id=row.platform_id,
        chat_id=row.chat_id,
        outgoing=row.outgoing,
        sender_id=row.sender_id,
        sender_name=row.sender_name or None,
        at=row.sent_at,
        kind=row.kind,
        text="" if row.deleted_at else row.body,
        reply_to=row.reply_to,
        thread_id=row.thread_id,
        mentions_me=content.get("mentions_me", False),
        media=[
            MediaPart.model_validate({**media, "transcript": heard})
            for media, heard in zip(content.get("media", ()), transcripts(content), strict=True)
        ],
        location=content.get("location"),
        poll=content.get("poll"),
        status=row.status if row.outgoing else None,
        edited=row.edited_at is not None,
        deleted=row.deleted_at is not None,
    )


def _vote(data: dict[str, Any]) -> VotePart:
    return VotePart(sender_id=data["sender_id"], sender_name=data.get("name") or None, options=data["options"], count=data.get("count"))


def _receipt(data: dict[str, Any]) -> ReceiptPart:
    return ReceiptPart(status=data["status"], code=data.get("code"), detail=data.get("message"))


def _state(data: dict[str, Any], qr: QrPart | None) -> StatePart:
    # The reason of a good state may hold what only the instance's user may see, such as a page's address.
    reason = data.get("reason") if data["status"] in TROUBLE else None
    return StatePart(status=data["status"], reason=reason, needs=data.get("needs") or "nothing", qr=qr)
