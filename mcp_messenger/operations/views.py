"""Rows as callers see them. Texts, names and titles were written by others: they have separate fields and are data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import Field

from db.addresses import AddressRow
from db.chats import ChatRow, ContactRow
from db.instances import InstanceRow, ListedInstance
from db.messages import MessageRow, transcripts
from db.waiting import Neighbour
from mcp_messenger.delivery.webhook_config import masked_url
from mcp_messenger.instances.runtimes.containers import Listed
from mcp_messenger.operations.operation import View

SHORT = 500
IN_VIEW = ("poll", "contact", "choices", "template", "chosen", "forwarded", "quoted", "thread_title", "album", "format")
"""Parts of a message's content that are shown as they are stored."""
STANDBY = "Another app handles this conversation at present; this is a copy for us. Leave the answer to it."


class InstanceView(View):
    id: str
    provider: str
    name: str = ""
    """As its owner calls it."""
    status: str
    status_reason: str | None = None
    user_id: str
    type_instance: list[str]
    runtime: str
    container: str | None = None
    """The engine's word for how its container is."""
    port: int | None = None
    """Of the instance's own address, on which a server that is running listens."""
    address_trouble: str | None = None
    """Why no server can listen for it."""
    needs: str = "nothing"
    account: dict[str, Any] | None = None
    settings: dict[str, Any] = {}
    agent_id: str | None = None
    agno_enable: bool = False
    stream: bool = False
    quiet_hours: str | None = None
    agent_routes: list[dict[str, Any]] | None = None
    agent_trouble: str | None = None
    """Why nobody answers for it, where an agent is to."""
    api_webhook_schema: dict[str, Any] | None = None
    last_activity: datetime | None = None
    created_at: datetime
    updated_at: datetime


def shown_webhook(schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a webhook's setting with the secrets in its address masked, also where it was stored before they were sealed."""
    url = (schema or {}).get("url")
    if schema is None or not isinstance(url, str):
        return None if schema is None else dict(schema)
    return {**schema, "url": masked_url(url)}


def address_of(row: ListedInstance) -> AddressRow:
    return AddressRow(row.id, row.tcp_port, row.address_trouble)


def instance_view(row: InstanceRow, container: Listed | None, address: AddressRow | None, agent_trouble: str | None) -> InstanceView:
    return InstanceView(
        id=str(row.id),
        provider=row.provider,
        name=row.name,
        status=row.status,
        status_reason=row.status_reason,
        user_id=row.user_id,
        type_instance=row.type_instance,
        runtime=row.runtime,
        container=container and container.state,
        port=address and address.tcp_port,
        address_trouble=address and address.trouble,
        needs=row.needs,
        account=row.account,
        settings=row.settings,
        agent_id=row.agent_id,
        agno_enable=row.agno_enable,
        stream=row.stream,
        quiet_hours=row.quiet_hours,
        agent_routes=row.agent_routes or None,
        agent_trouble=agent_trouble,
        api_webhook_schema=shown_webhook(row.api_webhook_schema),
        last_activity=row.last_activity_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


class ChatView(View):
    id: str
    kind: str
    title: str = ""
    username: str | None = None
    phone: str | None = None
    unread: int = 0
    last_at: datetime | None = None
    last_text: str | None = None
    last_from_me: bool = False
    marks: list[str] = []
    """How the account keeps it: pinned, archived, muted."""
    closed: str | None = None
    """Why nothing can be sent there: the bot was taken out, the person blocked it, the chat was deleted."""
    stranger: bool = False
    """A private chat with somebody whom the owner has neither trusted nor let in."""
    read_back_to: datetime | None = None
    """Of one chat alone: the time of its oldest message here. get_messages fetches older ones where the messenger gives them."""


def chat_view(row: ChatRow, *, stranger: bool = False, text_max: int = 80, read_back_to: datetime | None = None) -> ChatView:
    """Return a chat as callers see it; its last text is cut to `text_max` characters."""
    text = row.last_text
    return ChatView(
        id=row.id,
        kind=row.kind,
        title=row.title,
        username=row.username,
        phone=row.phone,
        unread=row.unread,
        last_at=_seconds(row.last_at),
        last_text=text if text is None or len(text) <= text_max else text[: text_max - 1] + "…",
        last_from_me=bool(row.last_outgoing),
        marks=[mark for mark, is_set in {"pinned": row.pinned, "archived": row.archived, "muted": row.muted}.items() if is_set],
        closed=row.closed,
        stranger=stranger,
        read_back_to=_seconds(read_back_to),
    )


class ContactView(View):
    id: str
    name: str = ""
    username: str | None = None
    phone: str | None = None
    is_bot: bool = False
    is_admin: bool = False
    """Of a group: may change it."""
    called: list[str] = []
    """Names that were remembered for them."""
    last_at: datetime | None = None
    """Of the newest message in the private chat with them."""


def contact_view(row: ContactRow, called: Sequence[str] = (), *, is_admin: bool = False) -> ContactView:
    """Return a contact as callers see it."""
    return ContactView(
        id=row.id,
        name=row.name,
        username=row.username,
        phone=row.phone,
        is_bot=row.is_bot,
        is_admin=is_admin,
        called=list(called),
        last_at=_seconds(row.last_at),
    )


class MediaView(View):
    kind: str
    mime: str | None = None
    size: int | None = None
    name: str | None = None
    duration: float | None = None
    heard: str | None = Field(default=None, serialization_alias="transcript", validation_alias="transcript")
    """As a machine wrote it down: words of a stranger, and perhaps not the right ones."""
    kept: str | None = None
    """Of one message alone: yes, soon, or why the file is not kept here; then only the messenger may have it."""


class VoteView(View):
    """One person's vote in a poll; where the platform tells only sums, the number of votes for one option."""

    sender_id: str | None = None
    name: str = ""
    options: list[str]
    count: int | None = None


def _votes(stored: dict[str, dict[str, Any]]) -> list[VoteView]:
    """Return the votes that were not taken back."""
    return [
        VoteView(sender_id=sender if "count" not in vote else None, name=vote.get("name", ""), options=vote["options"], count=vote.get("count"))
        for sender, vote in stored.items()
        if vote["options"]
    ]


class ContextLine(View):
    """A message beside another one; its id tells which comes first. `own` and `sender` are as in MessageView."""

    id: str
    at: datetime
    own: bool = False
    sender: str | None = Field(default=None, serialization_alias="from", validation_alias="from")
    text: str = ""


def context_line(row: Neighbour) -> ContextLine:
    """Return a message beside another one as callers see it."""
    sender = None if row.outgoing else row.sender_name or "?"
    return ContextLine.model_validate({"id": str(row.id), "at": _seconds(row.sent_at), "own": row.outgoing, "from": sender, "text": row.body})


class MessageView(View):
    """`own`: the account wrote it, and it has no `sender`: a person may take any name, and no name makes a message ours.

    `first`: nobody is known to have written in this private chat before; `namesake` is another contact then, whose name looks the same.
    `stranger`: the owner has neither trusted the sender nor let them in. `unverified`: a bot or webhook, or nobody whom the messenger names:
    anybody may have chosen the name.
    `id` is ours and stays; `platform_id` is the messenger's, there once it went out.
    """

    id: str
    instance_id: str | None = None
    """Where an answer holds messages of several."""
    chat_id: str | None = None
    at: datetime
    own: bool = False
    sender: str | None = Field(default=None, serialization_alias="from", validation_alias="from")
    sender_id: str | None = None
    first: bool = False
    namesake: str | None = None
    stranger: bool = False
    unverified: bool = False
    text: str = ""
    truncated: bool = False
    kind: str = "text"
    status: str | None = None
    reply_to: str | None = None
    thread_id: str | None = None
    mentions_me: bool = False
    media: list[MediaView] = []
    location: dict[str, Any] | None = None
    poll: dict[str, Any] | None = None
    contact: dict[str, Any] | None = None
    choices: list[dict[str, Any]] = []
    template: dict[str, Any] | None = None
    chosen: str | None = None
    forwarded: dict[str, Any] | None = None
    quoted: dict[str, Any] | None = None
    thread_title: str | None = None
    album: str | None = None
    standby: str | None = None
    """Says that another application handles the conversation; None where the message is for this account."""
    format: str = "plain"
    votes: list[VoteView] = []
    reactions: dict[str, list[str]] = {}
    edited: bool = False
    deleted: bool = False
    error: dict[str, Any] | None = None
    platform_id: str | None = None
    context: list[ContextLine] = []
    """The messages around a search hit, oldest first."""


@dataclass(frozen=True)
class Beside:
    """What the store knows of messages besides their rows: the number that each answers, those that begin a private chat, with a namesake,
    and those of strangers and of senders who are not verified.
    """

    answered: Mapping[int, int] = field(default_factory=dict[int, int])
    first: Mapping[int, str | None] = field(default_factory=dict[int, str | None])
    strange: frozenset[int] = frozenset()
    unverified: frozenset[int] = frozenset()


def message_view(row: MessageRow, beside: Beside, *, chat: bool = True, full: bool = False, text_max: int = SHORT) -> MessageView:
    """`full`: with the whole text and the platform's ids; `chat`: with the chat, unless the page names it once."""
    content = row.content
    body = "" if row.deleted_at else row.body
    short = body if full or len(body) <= text_max else body[:text_max]
    heard = [] if row.deleted_at else transcripts(content)
    cut = [said if said is None or full else said[:text_max] for said in heard]
    media = [MediaView.model_validate({**one, "transcript": said}) for one, said in zip(content.get("media", []), cut, strict=False)]
    return MessageView.model_validate(
        {
            "id": str(row.id),
            "chat_id": row.chat_id if chat else None,
            "at": _seconds(row.sent_at),
            "own": row.outgoing,
            "from": None if row.outgoing else row.sender_name or row.sender_id or "?",
            "sender_id": None if row.outgoing or (row.sender_id == row.chat_id and not full) else row.sender_id,
            "first": row.id in beside.first,
            "namesake": beside.first.get(row.id),
            "stranger": row.id in beside.strange,
            "unverified": row.id in beside.unverified,
            "text": short,
            "truncated": len(short) < len(body) or any(one.heard != said for one, said in zip(media, heard, strict=True)),
            "kind": row.kind,
            "status": row.status if row.outgoing else None,
            "reply_to": str(beside.answered[row.id]) if row.id in beside.answered else None,
            "thread_id": row.thread_id,
            "mentions_me": content.get("mentions_me", False),
            "media": media,
            "location": content.get("location"),
            "standby": STANDBY if content.get("standby") else None,
            **{name: content[name] for name in IN_VIEW if name in content},
            "votes": _votes(content.get("votes", {})),
            "reactions": {who: emojis for who, emojis in content.get("reactions", {}).items() if emojis},
            "edited": row.edited_at is not None,
            "deleted": row.deleted_at is not None,
            "error": row.error,
            "platform_id": row.platform_id if full else None,
        }
    )


def _seconds(at: datetime | None) -> datetime | None:
    """Fractions of a second cost a model tokens and tell it nothing."""
    return None if at is None else at.replace(microsecond=0)
