"""What is posted to webhooks, version 1. It is apart from what REST answers, so that neither changes with the other."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from db.deliveries import ClaimedDelivery
from db.messages import MessageRow
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


class ApprovalPart(Part):
    """A call that waits for the owner, or what became of it; GET …/approvals shows it whole."""

    approval_id: str
    status: str
    kind: str
    operation: str
    expires_at: datetime | None = None


class Data(Part):
    """`cursor` is the event's place in the log, as in GET /api/v1/events. What does not belong to the event's type is missing."""

    cursor: str | None = None
    chat: ChatPart | None = None
    message: MessagePart | None = None
    reaction: ReactionPart | None = None
    receipt: ReceiptPart | None = None
    state: StatePart | None = None
    old_chat_id: str | None = None
    approval: ApprovalPart | None = None


class Payload(Part):
    """`id` is also the header webhook-id: the same whenever the same event is delivered again."""

    type: Literal["message", "message_edited", "message_deleted", "reaction", "receipt", "chat", "chat_migrated", "state", "approval", "test"]
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


def payload_of(claimed: ClaimedDelivery, provider: str, message: MessageRow | None, qr: QrPart | None = None) -> Payload:
    """The event as its receiver gets it: the message as it is by now, `qr` where the state has one."""
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
                chat=_chat(claimed),
                message=None if message is None else _message(message),
                reaction=ReactionPart(sender_id=data["sender_id"], emojis=data["emojis"]) if claimed.type == "reaction" else None,
                receipt=_receipt(data) if claimed.type == "receipt" else None,
                state=_state(data, qr) if claimed.type == "state" else None,
                old_chat_id=data.get("old_id"),
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
        media=[MediaPart.model_validate(media) for media in content.get("media", ())],
        location=content.get("location"),
        poll=content.get("poll"),
        status=row.status if row.outgoing else None,
        edited=row.edited_at is not None,
        deleted=row.deleted_at is not None,
    )


def _receipt(data: dict[str, Any]) -> ReceiptPart:
    return ReceiptPart(status=data["status"], code=data.get("code"), detail=data.get("message"))


def _state(data: dict[str, Any], qr: QrPart | None) -> StatePart:
    # The reason of a good state may hold what only the instance's user may see, such as a page's address.
    reason = data.get("reason") if data["status"] in TROUBLE else None
    return StatePart(status=data["status"], reason=reason, needs=data.get("needs") or "nothing", qr=qr)
