"""Single values in the spool's file."""

import json
import sqlite3
from datetime import datetime
from typing import Any

from mcp_messenger.alone.database import SpoolFile

Connection = sqlite3.Connection
WEBHOOK = "webhook"


def fact(db: Connection, key: str) -> str | None:
    row = db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
    return None if row is None else row[0]


def set_fact(db: Connection, key: str, value: str) -> None:
    db.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value))


async def webhook(file: SpoolFile) -> dict[str, Any] | None:
    text = await file.read(lambda db: fact(db, WEBHOOK))
    return None if text is None else json.loads(text)


async def set_webhook(file: SpoolFile, config: dict[str, Any]) -> None:
    await file.write(lambda db: set_fact(db, WEBHOOK, json.dumps(config)))


def last_activity(db: Connection) -> datetime | None:
    row = db.execute("SELECT max(sent_at) FROM messages").fetchone()
    return None if row[0] is None else datetime.fromisoformat(row[0])
