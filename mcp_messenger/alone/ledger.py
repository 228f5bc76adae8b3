"""What became of each send, by its client_id: begun before the platform is called, settled after it has answered."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from mcp_messenger.alone.archive import text_of
from providers.models import Message, SentMessage

Outcome = Literal["begun", "done", "failed", "unknown"]


@dataclass(frozen=True)
class Entry:
    """`answer` is the SentMessage of what is done, or the error (as `told` makes it) of what is not."""

    outcome: Outcome
    fingerprint: str
    answer: dict[str, Any] | None = None


def entry(db: sqlite3.Connection, client_id: str) -> Entry | None:
    row = db.execute("SELECT outcome, fingerprint, answer FROM sends WHERE client_id = ?", (client_id,)).fetchone()
    return None if row is None else Entry(row["outcome"], row["fingerprint"], json.loads(row["answer"]) if row["answer"] else None)


def begin(db: sqlite3.Connection, client_id: str, fingerprint: str) -> None:
    db.execute(
        """INSERT INTO sends (client_id, fingerprint, at, outcome) VALUES (?, ?, ?, 'begun')
        ON CONFLICT (client_id) DO UPDATE SET outcome = 'begun', at = excluded.at, answer = NULL WHERE outcome = 'failed'""",
        (client_id, fingerprint, text_of(datetime.now(UTC))),
    )


def settle(db: sqlite3.Connection, client_id: str, outcome: Outcome, answer: dict[str, Any]) -> Entry:
    """What is known of it then: an echo may have told before that it went out."""
    spare = "" if outcome == "done" else " AND outcome <> 'done'"
    db.execute(f"UPDATE sends SET outcome = ?, answer = ? WHERE client_id = ?{spare}", (outcome, json.dumps(answer), client_id))  # noqa: S608 - two constants
    found = entry(db, client_id)
    assert found is not None
    return found


def settle_by_echo(db: sqlite3.Connection, client_id: str, message: Message) -> None:
    """The platform shows us our own message with our nonce: it went out, whatever became of the answer."""
    sent = SentMessage(id=message.id, at=message.at, chat_id=message.chat_id, media=message.media)
    db.execute("UPDATE sends SET outcome = 'done', answer = ? WHERE client_id = ? AND outcome <> 'done'", (sent.model_dump_json(), client_id))


def trim(db: sqlite3.Connection, count: int, horizon: str) -> None:
    """What is settled goes first by number; what is not, by age alone."""
    newest = "SELECT at FROM sends ORDER BY at DESC LIMIT 1 OFFSET ?"
    db.execute(f"DELETE FROM sends WHERE outcome IN ('done', 'failed') AND at <= ({newest})", (count,))  # noqa: S608 - a constant
    db.execute("DELETE FROM sends WHERE at < ?", (horizon,))
