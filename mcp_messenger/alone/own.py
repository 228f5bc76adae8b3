"""What the instance sends for callers of its own API: each a message of its own before it goes out, once for each idempotency key."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mcp_messenger.alone import shelf
from mcp_messenger.alone.archive import OWN, keep_chat, keep_message, text_of, touch_chat, words_of
from mcp_messenger.alone.database import SpoolFile
from mcp_messenger.alone.program import Program
from mcp_messenger.delivery.outbox import IN_CONTENT
from mcp_messenger.errors import IdempotencyConflict
from providers.drafts import kind_of
from providers.errors import MessengerError, RateLimited, Unreachable
from providers.models import Chat, ChatKind, Draft, Message, MessageReceived, SentMessage

Connection = sqlite3.Connection


@dataclass(frozen=True)
class Known:
    """`may_go`: it surely did not go out before."""

    number: int
    may_go: bool


async def known(file: SpoolFile, key: str | None, fingerprint: str) -> Known | None:
    """What was asked for before under this key. Raises IdempotencyConflict when that was another send."""
    if key is None:
        return None
    return await file.read(lambda db: _known(db, key, fingerprint))


def _known(db: Connection, key: str, fingerprint: str) -> Known | None:
    row = db.execute("SELECT id, fingerprint, status, error FROM messages WHERE idempotency_key = ?", (key,)).fetchone()
    if row is None:
        return None
    if row["fingerprint"] != fingerprint:
        raise IdempotencyConflict(key)
    code = json.loads(row["error"])["code"] if row["error"] else None
    # What is being sent is asked for again: whether it is under way, or was cut short, is known where it was begun.
    return Known(row["id"], row["status"] == "sending" or (row["status"] == "failed" and code in {Unreachable.code, RateLimited.code}))


def begin(db: Connection, draft: Draft, kind: ChatKind, key: str | None, fingerprint: str) -> int:
    """The number of the message, as good as new where its key was used for a send that failed."""
    keep_chat(db, Chat(id=draft.chat_id, kind=kind))
    content = draft.model_dump(mode="json", include=IN_CONTENT, exclude_none=True, exclude_defaults=True)
    text, now = draft.text or (draft.poll.question if draft.poll else ""), text_of(datetime.now(UTC))
    row = (draft.chat_id, kind_of(draft), text, words_of(text), draft.reply_to, draft.thread_id, json.dumps(content), now, key, fingerprint)
    added = db.execute(
        """INSERT INTO messages (chat_id, outgoing, status, sender_name, kind, body, words, reply_to, thread_id, content, sent_at,
            idempotency_key, fingerprint)
        VALUES (?, 1, 'sending', '', ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (idempotency_key) DO UPDATE SET status = 'sending', error = NULL RETURNING id""",
        row,
    )
    return added.fetchone()["id"]


async def send(program: Program, draft: Draft, number: int) -> None:
    """Books what becomes of it. Raises what surely kept it from going out."""
    try:
        sent = await program.sends.send(draft.model_copy(update={"client_id": f"{OWN}{number}"}))
    except MessengerError as error:
        is_unknown = isinstance(error, Unreachable) and error.maybe_sent
        told = json.dumps({"code": error.code, "message": error.detail})
        await program.file.write(lambda db: _fail(db, number, "unknown" if is_unknown else "failed", told))
        program.spool.wake()
        if not is_unknown:
            raise
    else:
        chat = await program.file.write(lambda db: _book(db, number, sent))
        # A manager knows nothing of it.
        await program.spool.append([MessageReceived(message=_told(draft, sent), chat=chat)])


def _fail(db: Connection, number: int, status: str, told: str) -> None:
    """An echo may have shown already that it went out."""
    db.execute("UPDATE messages SET status = ?, error = ? WHERE id = ? AND status = 'sending'", (status, told, number))


def _book(db: Connection, number: int, sent: SentMessage) -> Chat:
    """An echo that came first is the same message."""
    db.execute("DELETE FROM messages WHERE platform_id = ? AND id <> ?", (sent.id, number))
    media: dict[str, Any] = {"media": [one.model_dump(mode="json", exclude_none=True) for one in sent.media]} if sent.media else {}
    db.execute(
        """UPDATE messages SET status = CASE WHEN status IN ('sending', 'unknown') THEN 'sent' ELSE status END, platform_id = ?, sent_at = ?,
            chat_id = ?, content = json_patch(content, ?), error = NULL WHERE id = ?""",
        (sent.id, text_of(sent.at), sent.chat_id, json.dumps(media), number),
    )
    touch_chat(db, sent.chat_id, number, text_of(sent.at))
    row = shelf.chat(db, sent.chat_id)
    return Chat(id=sent.chat_id) if row is None else Chat(id=row.id, kind=ChatKind(row.kind), title=row.title)


async def remember(file: SpoolFile, draft: Draft, sent: SentMessage) -> None:
    """What the manager has sent, for those who look here."""
    message = _told(draft, sent)
    await file.write(lambda db: keep_message(db, message, Chat(id=sent.chat_id)))


def _told(draft: Draft, sent: SentMessage) -> Message:
    same = {name: getattr(draft, name) for name in ("text", "format", "reply_to", "thread_id", "location", "poll", "contact")}
    return Message(id=sent.id, chat_id=sent.chat_id, at=sent.at, outgoing=True, kind=kind_of(draft), media=sent.media, **same)
