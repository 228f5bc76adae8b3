"""Reads what the instance itself knows, in the rows that the views of the manager's answers are made of."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from db.chats import ChatRow, ContactRow
from db.messages import MessageRow
from mcp_messenger.alone.archive import text_of

Connection = sqlite3.Connection
Position = tuple[datetime, int]
NOWHERE = UUID(int=0)
"""The rows name their instance; here there is one."""
CHATS = """
    SELECT c.*, CASE WHEN m.deleted_at IS NULL THEN substr(m.body, 1, 200) END AS last_text, m.outgoing AS last_outgoing,
        (SELECT max(sent_at) FROM messages WHERE chat_id = c.id AND NOT outgoing) AS last_incoming_at
    FROM chats c LEFT JOIN messages m ON m.id = c.last_message_id"""


def chat(db: Connection, chat_id: str) -> ChatRow | None:
    """Under the id it has by now."""
    for _ in range(2):
        row = db.execute(f"{CHATS} WHERE c.id = ?", (chat_id,)).fetchone()
        if row is None or row["migrated_to"] is None:
            return None if row is None else _chat(row)
        chat_id = row["migrated_to"]
    return None


def chats(db: Connection, *, kind: str | None, unread: bool, before: tuple[datetime | None, str] | None, limit: int) -> list[ChatRow]:
    """Newest first; `before` is the (last_at, id) of the last row of the page before."""
    rows = db.execute(
        f"""{CHATS} WHERE c.migrated_to IS NULL AND (:kind IS NULL OR c.kind = :kind) AND (NOT :unread OR c.unread > 0)
            AND (:id IS NULL OR (coalesce(c.last_at, ''), c.id) < (:at, :id))
        ORDER BY coalesce(c.last_at, '') DESC, c.id DESC LIMIT :limit""",
        {
            "kind": kind,
            "unread": unread,
            "id": before and before[1],
            "at": text_of(before[0]) if before and before[0] else "",
            "limit": limit,
        },
    )
    return [_chat(row) for row in rows]


def contacts(db: Connection, *, query: str | None, after: str | None, limit: int) -> list[ContactRow]:
    pattern = None if query is None else "%" + _literal(query) + "%"
    rows = db.execute(
        r"""SELECT * FROM contacts WHERE (:after IS NULL OR id > :after)
            AND (:query IS NULL OR name LIKE :query ESCAPE '\' OR username LIKE :query ESCAPE '\' OR phone LIKE :query ESCAPE '\'
                OR id LIKE :query ESCAPE '\')
        ORDER BY id LIMIT :limit""",
        {"after": after, "query": pattern, "limit": limit},
    )
    return [
        ContactRow(instance_id=NOWHERE, id=row["id"], name=row["name"], username=row["username"], phone=row["phone"], is_bot=bool(row["is_bot"]))
        for row in rows
    ]


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def message(db: Connection, message_id: int) -> MessageRow | None:
    row = db.execute("SELECT * FROM messages WHERE id = ?", (message_id,)).fetchone()
    return None if row is None else _message(row)


def by_platform_ids(db: Connection, ids: Sequence[str]) -> list[MessageRow]:
    marks = ", ".join("?" * len(ids))
    return [_message(row) for row in db.execute(f"SELECT * FROM messages WHERE platform_id IN ({marks})", list(ids))]  # noqa: S608 - marks alone


def messages(
    db: Connection, *, chat_id: str | None = None, words: Sequence[str] = (), before: Position | None = None, limit: int
) -> list[MessageRow]:
    """Newest first; those that hold every word by its beginning."""
    params: dict[str, Any] = {"chat": chat_id, "at": before and text_of(before[0]), "id": before and before[1], "limit": limit}
    params |= {f"word{number}": f"% {word}%" for number, word in enumerate(words)}
    # What `words` is made of has neither % nor backslash; an underscore of its own stands for any sign, and finds what it should.
    holds = "".join(f" AND words LIKE :word{number}" for number in range(len(words)))
    rows = db.execute(
        f"""SELECT * FROM messages WHERE (:chat IS NULL OR chat_id = :chat) AND (:at IS NULL OR (sent_at, id) < (:at, :id)){holds}
        ORDER BY sent_at DESC, id DESC LIMIT :limit""",  # noqa: S608 - numbered names alone
        params,
    )
    return [_message(row) for row in rows]


def incoming_after(db: Connection, number: int, *, chat_id: str | None, limit: int) -> list[MessageRow]:
    """Messages from others in the order in which they came, without what was read back."""
    rows = db.execute(
        """SELECT * FROM messages WHERE id > :after AND NOT outgoing AND NOT backfill AND (:chat IS NULL OR chat_id = :chat)
        ORDER BY id LIMIT :limit""",
        {"after": number, "chat": chat_id, "limit": limit},
    )
    return [_message(row) for row in rows]


def last_number(db: Connection) -> int:
    return db.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0]


def replies_to(db: Connection, sent: MessageRow, *, limit: int) -> list[MessageRow]:
    """What came in after one of our messages: answers that quote it first, then the others by time."""
    rows = db.execute(
        """SELECT * FROM messages WHERE chat_id = :chat AND NOT outgoing AND (reply_to = :platform_id OR (sent_at, id) > (:at, :id))
        ORDER BY (reply_to IS :platform_id AND reply_to IS NOT NULL) DESC, sent_at, id LIMIT :limit""",
        {"chat": sent.chat_id, "platform_id": sent.platform_id, "at": text_of(sent.sent_at), "id": sent.id, "limit": limit},
    )
    return [_message(row) for row in rows]


HOUR, DAY = len("2026-01-31T12"), len("2026-01-31")
"""So much of a time as text is the same for all of an hour, or a day."""


def traffic(db: Connection, step: int, since: datetime) -> list[tuple[datetime, bool, int]]:
    """(start of the hour or day in UTC, outgoing, how many), oldest first."""
    rows = db.execute(
        """SELECT substr(sent_at, 1, :step) AS start, outgoing, count(*) AS n FROM messages WHERE sent_at >= :since
        GROUP BY start, outgoing ORDER BY start""",
        {"step": step, "since": text_of(since)},
    )
    rest = "0000-01-01T00:00:00+00:00"[step:]
    return [(datetime.fromisoformat(row["start"] + rest), bool(row["outgoing"]), row["n"]) for row in rows]


def counters(db: Connection) -> dict[str, int]:
    """Messages that are remembered, in and out."""
    rows = db.execute("SELECT CASE outgoing WHEN 1 THEN 'messages_out' ELSE 'messages_in' END AS name, count(*) AS n FROM messages GROUP BY outgoing")
    return {row["name"]: row["n"] for row in rows}


def history(db: Connection, table: str, limit: int) -> list[dict[str, Any]]:
    """Rows of states, qr_codes or errors, newest first. `table` is a constant."""
    order = "at DESC" if table == "errors" else "id DESC"
    return [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY {order} LIMIT ?", (limit,))]  # noqa: S608


def _chat(row: sqlite3.Row) -> ChatRow:
    return ChatRow(
        instance_id=NOWHERE,
        id=row["id"],
        kind=row["kind"],
        title=row["title"],
        username=row["username"],
        phone=row["phone"],
        unread=row["unread"],
        last_message_id=row["last_message_id"],
        last_at=_time(row["last_at"]),
        last_incoming_at=_time(row["last_incoming_at"]),
        migrated_to=row["migrated_to"],
        last_text=row["last_text"],
        last_outgoing=bool(row["last_outgoing"]),
    )


def _message(row: sqlite3.Row) -> MessageRow:
    plain = {
        name: row[name] for name in ("id", "chat_id", "platform_id", "status", "sender_id", "sender_name", "kind", "body", "reply_to", "thread_id")
    }
    return MessageRow(
        **plain,
        instance_id=NOWHERE,
        outgoing=bool(row["outgoing"]),
        content=json.loads(row["content"]),
        sent_at=datetime.fromisoformat(row["sent_at"]),
        edited_at=_time(row["edited_at"]),
        deleted_at=_time(row["deleted_at"]),
        error=json.loads(row["error"]) if row["error"] else None,
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
