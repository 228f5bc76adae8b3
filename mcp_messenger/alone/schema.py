"""What the spool's file holds. Times are ISO 8601 in UTC, so that they sort as text; nouns and answers are JSON."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, is_state INTEGER NOT NULL, event TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS sends (
    client_id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, at TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('begun', 'done', 'failed', 'unknown')), answer TEXT
);
CREATE INDEX IF NOT EXISTS sends_by_time ON sends (at);

CREATE TABLE IF NOT EXISTS chats (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, title TEXT NOT NULL, username TEXT, phone TEXT,
    unread INTEGER NOT NULL DEFAULT 0, last_message_id INTEGER, last_at TEXT, migrated_to TEXT
);
CREATE TABLE IF NOT EXISTS contacts (id TEXT PRIMARY KEY, name TEXT NOT NULL, username TEXT, phone TEXT, is_bot INTEGER NOT NULL);

CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, chat_id TEXT NOT NULL, platform_id TEXT UNIQUE, outgoing INTEGER NOT NULL, status TEXT NOT NULL,
    sender_id TEXT, sender_name TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, words TEXT NOT NULL, reply_to TEXT, thread_id TEXT,
    content TEXT NOT NULL, sent_at TEXT NOT NULL, edited_at TEXT, deleted_at TEXT, error TEXT,
    backfill INTEGER NOT NULL DEFAULT 0, spooled INTEGER NOT NULL DEFAULT 0, idempotency_key TEXT UNIQUE, fingerprint TEXT
);
CREATE INDEX IF NOT EXISTS messages_of_chat ON messages (chat_id, sent_at, id);
CREATE INDEX IF NOT EXISTS messages_by_time ON messages (sent_at, id);

CREATE TABLE IF NOT EXISTS states (id INTEGER PRIMARY KEY AUTOINCREMENT, status TEXT NOT NULL, reason TEXT, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS qr_codes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL, issued_at TEXT NOT NULL, expires_at TEXT NOT NULL, outcome TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS errors (
    code TEXT NOT NULL, message TEXT NOT NULL, count INTEGER NOT NULL, first_at TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (code, message)
);
"""
