"""The idempotency ledger: the outcome of each send by its client_id, recorded before the platform is called, settled after its answer."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from mcp_messenger.relay.spool_file import time_text
from providers.models import Message, SentMessage

Outcome = Literal["begun", "done", "failed", "unknown"]


@dataclass(frozen=True)
class Entry:
    """`answer` is the SentMessage of a send that is done, or the error of one that is not, from `serialize_error`."""

    outcome: Outcome
    fingerprint: str
    answer: dict[str, Any] | None = None


def entry(db: sqlite3.Connection, client_id: str) -> Entry | None:
    row = db.execute("SELECT outcome, fingerprint, answer FROM sends WHERE client_id = ?", (client_id,)).fetchone()
    return None if row is None else Entry(row["outcome"], row["fingerprint"], json.loads(row["answer"]) if row["answer"] else None)


def begin(db: sqlite3.Connection, client_id: str, fingerprint: str) -> None:
    """Write down that the send is about to be tried, for the first time or after it has failed."""
    db.execute(
        """INSERT INTO sends (client_id, fingerprint, at, outcome) VALUES (?, ?, ?, 'begun')
        ON CONFLICT (client_id) DO UPDATE SET outcome = 'begun', at = excluded.at, answer = NULL WHERE outcome = 'failed'""",
        (client_id, fingerprint, time_text(datetime.now(UTC))),
    )


def settle(db: sqlite3.Connection, client_id: str, outcome: Outcome, answer: dict[str, Any]) -> Entry:
    """Write the outcome down and return the entry: it stays done if an echo has shown before that the message went out."""
    spare = "" if outcome == "done" else " AND outcome <> 'done'"
    db.execute(f"UPDATE sends SET outcome = ?, answer = ? WHERE client_id = ?{spare}", (outcome, json.dumps(answer), client_id))  # noqa: S608 - two constants
    found = entry(db, client_id)
    assert found is not None
    return found


def settle_by_echo(db: sqlite3.Connection, client_id: str, message: Message) -> None:
    """Settle a send as done: the platform shows our own message with our nonce, so it went out."""
    sent = SentMessage(id=message.id, at=message.at, chat_id=message.chat_id, media=message.media)
    db.execute("UPDATE sends SET outcome = 'done', answer = ? WHERE client_id = ? AND outcome <> 'done'", (sent.model_dump_json(), client_id))


def trim(db: sqlite3.Connection, count: int, horizon: str) -> None:
    """Keep the newest `count` settled sends, and nothing from before `horizon`."""
    newest = "SELECT at FROM sends ORDER BY at DESC LIMIT 1 OFFSET ?"
    db.execute(f"DELETE FROM sends WHERE outcome IN ('done', 'failed') AND at <= ({newest})", (count,))  # noqa: S608 - a constant
    db.execute("DELETE FROM sends WHERE at < ?", (horizon,))
