"""What the instance itself knows of its chats: kept from the events as they come."""

import json
import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mcp_messenger.alone.facts import fact, set_fact
from mcp_messenger.delivery.inbound import content_of
from providers.models import (
    Chat,
    ChatChanged,
    ChatMigrated,
    Contact,
    Event,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ReactionChanged,
    ReceiptChanged,
    StateChanged,
)

WORD = re.compile(r"\w+")
RANK = {"queued": 0, "sending": 0, "unknown": 0, "sent": 1, "delivered": 2, "read": 3}

Connection = sqlite3.Connection


def text_of(at: datetime) -> str:
    """Of one length and in UTC, so that it sorts as text."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def words_of(text: str) -> str:
    return " " + " ".join(WORD.findall(text.casefold()))


def keep_chat(db: Connection, chat: Chat) -> None:
    db.execute(
        """INSERT INTO chats (id, kind, title, username, phone) VALUES (:id, :kind, :title, :username, :phone)
        ON CONFLICT (id) DO UPDATE SET
            kind = CASE excluded.kind WHEN 'unknown' THEN chats.kind ELSE excluded.kind END,
            title = CASE excluded.title WHEN '' THEN chats.title ELSE excluded.title END,
            username = coalesce(excluded.username, chats.username), phone = coalesce(excluded.phone, chats.phone)""",
        chat.model_dump(mode="json"),
    )


def keep_contact(db: Connection, contact: Contact) -> None:
    db.execute(
        """INSERT INTO contacts (id, name, username, phone, is_bot) VALUES (:id, :name, :username, :phone, :is_bot)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, username = excluded.username, phone = excluded.phone, is_bot = excluded.is_bot""",
        contact.model_dump(mode="json"),
    )


def keep_message(db: Connection, message: Message, chat: Chat, *, sender_name: str = "", backfill: bool = False, spooled: bool = False) -> bool:
    """Whether it is new: neither known before, nor (`spooled`) told before as an event."""
    keep_chat(db, chat)
    row = {
        **message.model_dump(mode="json", include={"sender_id", "kind", "reply_to", "thread_id"}),
        "chat_id": chat.id,
        "platform_id": message.id,
        "outgoing": message.outgoing,
        "status": "sent" if message.outgoing else "received",
        "sender_name": message.sender_name or sender_name,
        "body": message.text,
        "words": words_of(message.text),
        "content": json.dumps(content_of(message)),
        "sent_at": text_of(message.at),
        "backfill": backfill,
        "spooled": spooled,
    }
    added = db.execute(
        """INSERT INTO messages (chat_id, platform_id, outgoing, status, sender_id, sender_name, kind, body, words, reply_to, thread_id, content,
            sent_at, backfill, spooled)
        VALUES (:chat_id, :platform_id, :outgoing, :status, :sender_id, :sender_name, :kind, :body, :words, :reply_to, :thread_id, :content,
            :sent_at, :backfill, :spooled)
        ON CONFLICT (platform_id) DO NOTHING RETURNING id""",
        row,
    ).fetchone()
    if added is None:
        told = db.execute("UPDATE messages SET spooled = 1 WHERE platform_id = ? AND spooled < ?", (message.id, spooled))
        return told.rowcount > 0
    counts = not message.outgoing and not backfill
    touch_chat(db, chat.id, added["id"], text_of(message.at), unread=int(counts))
    return True


def touch_chat(db: Connection, chat_id: str, message_id: int, at: str, *, unread: int = 0) -> None:
    db.execute("UPDATE chats SET unread = unread + ? WHERE id = ?", (unread, chat_id))
    db.execute("UPDATE chats SET last_message_id = ?, last_at = ? WHERE id = ? AND (last_at IS NULL OR last_at <= ?)", (message_id, at, chat_id, at))


def _received(db: Connection, event: MessageReceived) -> bool:
    if event.sender is not None:
        keep_contact(db, event.sender)
    if event.client_id is not None and _echoed(db, event.client_id, event.message):
        return True
    name = event.sender.name if event.sender else ""
    is_new = keep_message(db, event.message, event.chat, sender_name=name, backfill=event.backfill, spooled=True)
    # An echo is told again: it may settle a send of which the manager does not know what became.
    return is_new or event.client_id is not None


def _echoed(db: Connection, client_id: str, message: Message) -> bool:
    """Book an echo on the message that the instance sent by itself under that nonce; whether there is one."""
    number = client_id.removeprefix(OWN)
    if number == client_id or not number.isdecimal():
        return False
    done = db.execute(
        """UPDATE OR IGNORE messages SET platform_id = ?, error = NULL, spooled = 1,
            status = CASE WHEN status IN ('sending', 'unknown') THEN 'sent' ELSE status END
        WHERE id = ?""",
        (message.id, int(number)),
    )
    return done.rowcount > 0


OWN = "own-"
"""Begins the nonces of what the instance sends by itself, so that none is one of its manager's."""


ACCOUNT = "account"


def _edited(db: Connection, event: MessageEdited) -> bool:
    db.execute(
        "UPDATE messages SET body = ?, words = ?, edited_at = ? WHERE platform_id = ?",
        (event.text, words_of(event.text), text_of(event.at), event.message_id),
    )
    return True


def _deleted(db: Connection, event: MessageDeleted) -> bool:
    db.execute("UPDATE messages SET deleted_at = ?, words = '' WHERE platform_id = ?", (text_of(event.at), event.message_id))
    return True


def _reacted(db: Connection, event: ReactionChanged) -> bool:
    row = db.execute("SELECT id, content FROM messages WHERE platform_id = ?", (event.message_id,)).fetchone()
    if row is not None:
        content: dict[str, Any] = json.loads(row["content"])
        content.setdefault("reactions", {})[event.sender_id] = list(event.emojis)
        db.execute("UPDATE messages SET content = ? WHERE id = ?", (json.dumps(content), row["id"]))
    return True


def _receipt(db: Connection, event: ReceiptChanged) -> bool:
    row = db.execute("SELECT id, status FROM messages WHERE platform_id = ? AND outgoing", (event.message_id,)).fetchone()
    if row is None:
        return True
    if event.status == "failed":
        error = json.dumps({"code": "rejected", "message": event.detail or "The messenger did not deliver it."})
        db.execute("UPDATE messages SET status = 'failed', error = ? WHERE id = ?", (error, row["id"]))
    elif RANK[event.status] > RANK.get(row["status"], 0):
        db.execute("UPDATE messages SET status = ? WHERE id = ?", (event.status, row["id"]))
    return True


def _chat(db: Connection, event: ChatChanged) -> bool:
    keep_chat(db, event.chat)
    return True


def _migrated(db: Connection, event: ChatMigrated) -> bool:
    keep_chat(db, event.chat)
    old = db.execute("SELECT title, unread, last_message_id, last_at FROM chats WHERE id = ?", (event.old_id,)).fetchone()
    if old is not None:
        db.execute("UPDATE messages SET chat_id = ? WHERE chat_id = ?", (event.chat.id, event.old_id))
        db.execute(
            """UPDATE chats SET title = CASE title WHEN '' THEN ? ELSE title END, unread = unread + ?,
                last_message_id = coalesce(last_message_id, ?), last_at = coalesce(last_at, ?) WHERE id = ?""",
            (old["title"], old["unread"], old["last_message_id"], old["last_at"], event.chat.id),
        )
    db.execute("UPDATE chats SET migrated_to = ?, unread = 0 WHERE id = ?", (event.chat.id, event.old_id))
    return True


def _state(db: Connection, event: StateChanged) -> bool:
    if event.account is not None and event.account.id != fact(db, ACCOUNT):
        # Another account's messages may have the same ids, and are no second telling of these.
        db.execute("UPDATE messages SET platform_id = NULL WHERE platform_id IS NOT NULL")
        set_fact(db, ACCOUNT, event.account.id)
    now = text_of(datetime.now(UTC))
    db.execute("INSERT INTO states (status, reason, at) VALUES (?, ?, ?)", (event.state, event.reason, now))
    outcome = "used" if event.state in {"authenticated", "ready"} else "replaced" if event.qr else "dropped"
    db.execute("UPDATE qr_codes SET outcome = ? WHERE outcome = 'current'", (outcome,))
    if event.qr is not None:
        row = (event.qr.sequence, text_of(event.qr.issued_at), text_of(event.qr.expires_at))
        db.execute("INSERT INTO qr_codes (sequence, issued_at, expires_at, outcome) VALUES (?, ?, ?, 'current')", row)
    if event.reason and event.state in {"error", "degraded", "logged_out"}:
        keep_error(db, event.state, event.reason)
    return True


def keep_error(db: Connection, code: str, message: str) -> None:
    now = text_of(datetime.now(UTC))
    db.execute(
        """INSERT INTO errors (code, message, count, first_at, at) VALUES (?, ?, 1, ?, ?)
        ON CONFLICT (code, message) DO UPDATE SET count = count + 1, at = excluded.at""",
        (code, message, now, now),
    )


_KEEP: dict[type, Callable[[Connection, Any], bool]] = {
    MessageReceived: _received,
    MessageEdited: _edited,
    MessageDeleted: _deleted,
    ReactionChanged: _reacted,
    ReceiptChanged: _receipt,
    ChatChanged: _chat,
    ChatMigrated: _migrated,
    StateChanged: _state,
}


def keep(db: Connection, event: Event) -> bool:
    """Whether the manager is to hear of it: False for a message that the platform brought a second time."""
    keep_it = _KEEP.get(type(event))
    return keep_it is None or keep_it(db, event)
