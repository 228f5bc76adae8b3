"""A rolling upgrade: an earlier version's spool, its manager, and its relay."""

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from mcp_messenger.relay import protocol, send_ledger
from mcp_messenger.relay.spool import EVENT, Bounds, Spool
from mcp_messenger.relay.spool_file import FORMER_TABLES
from mcp_messenger.relay.versions import TYPES, event_for, is_read_by, readable
from providers.drafts import fingerprint_of, stored_draft
from providers.events import Event, MessageReceived, PollVoted
from providers.models import Chat, ChatKind, Draft, Forwarded, Message
from tests.mcp_messenger.relay.process import KEY, running_relay
from tests.mcp_messenger.relay.test_spool import NOW, said, texts, waiting

pytestmark = pytest.mark.anyio

# The first version's file, as it made it.
FORMER = """
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, is_state INTEGER NOT NULL, event TEXT NOT NULL);
CREATE TABLE sends (
    client_id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, at TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('begun', 'done', 'failed', 'unknown')), answer TEXT
);
CREATE INDEX sends_by_time ON sends (at);
CREATE TABLE chats (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, title TEXT NOT NULL, username TEXT, phone TEXT,
    unread INTEGER NOT NULL DEFAULT 0, last_message_id INTEGER, last_at TEXT, migrated_to TEXT
);
CREATE TABLE contacts (id TEXT PRIMARY KEY, name TEXT NOT NULL, username TEXT, phone TEXT, is_bot INTEGER NOT NULL);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, chat_id TEXT NOT NULL, platform_id TEXT UNIQUE, outgoing INTEGER NOT NULL, status TEXT NOT NULL,
    sender_id TEXT, sender_name TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, words TEXT NOT NULL, reply_to TEXT, thread_id TEXT,
    content TEXT NOT NULL, sent_at TEXT NOT NULL, edited_at TEXT, deleted_at TEXT, error TEXT,
    backfill INTEGER NOT NULL DEFAULT 0, spooled INTEGER NOT NULL DEFAULT 0, idempotency_key TEXT UNIQUE, fingerprint TEXT
);
CREATE TABLE states (id INTEGER PRIMARY KEY AUTOINCREMENT, status TEXT NOT NULL, reason TEXT, at TEXT NOT NULL);
CREATE TABLE qr_codes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL, issued_at TEXT NOT NULL, expires_at TEXT NOT NULL, outcome TEXT NOT NULL
);
CREATE TABLE errors (
    code TEXT NOT NULL, message TEXT NOT NULL, count INTEGER NOT NULL, first_at TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (code, message)
);
"""
MESSAGE = """
INSERT INTO messages (chat_id, platform_id, outgoing, status, sender_name, kind, body, words, content, sent_at, spooled)
VALUES ('ann', ?, 0, 'received', '', 'text', ?, '', '{}', '2026-01-01', ?)"""


def draft(client_id: str) -> Draft:
    return Draft(client_id=client_id, chat_id="ann", text="hello")


def former_spool(path: Path, *events: Event) -> None:
    """A file with a message that was spooled and confirmed, one that was sent, and these events unread."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as db:
        db.executescript(FORMER)
        db.execute("INSERT INTO facts VALUES ('spool', 'the-former-spool'), ('account', 'me'), ('reader', 'yes'), ('lost', '3')")
        db.execute(MESSAGE, ("confirmed", "an old message", 1))
        db.execute(MESSAGE, ("sent by the manager", "hello", 0))
        db.execute("INSERT INTO events VALUES (41, '2026-01-01', 0, '{}')")
        db.execute("DELETE FROM events")
        for event in events:
            db.execute("INSERT INTO events (at, is_state, event) VALUES ('2999-01-01', 0, ?)", (event.model_dump_json(),))
        answer = json.dumps({"id": "p1", "at": "2026-01-01T00:00:00Z", "chat_id": "ann"})
        sends = [("1", "done", answer), ("2", "begun", None)]
        for client_id, outcome, known in sends:
            fingerprint = fingerprint_of(stored_draft(draft(client_id)), None)
            db.execute("INSERT INTO sends VALUES (?, ?, '2999-01-01', ?, ?)", (client_id, fingerprint, outcome, known))
    db.close()


async def test_an_earlier_spool_is_drained_and_its_archive_dropped(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite3"
    former_spool(path, said("unread"), said("and another"))
    spool = Spool(path, Bounds())
    await spool.open()
    page = await spool.page(after=None, spool=None, limit=9)
    assert (page.spool, page.lost, [one.seq for one in page.events]) == ("the-former-spool", 3, [42, 43])
    assert texts([one.event for one in page.events]) == ["unread", "and another"]
    await spool.append([said("brought again", "confirmed"), said("an echo of the manager's", "sent by the manager"), said("new")])
    assert texts(await waiting(spool, after=43)) == ["an echo of the manager's", "new"], "a message that was spooled is not spooled again"
    entry = await spool.file.read(lambda db: send_ledger.entry(db, "1"))
    assert entry is not None
    assert entry.outcome == "done"
    tables = await spool.file.read(lambda db: {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")})
    assert not tables & set(FORMER_TABLES)
    await spool.file.close()


async def test_an_earlier_relay_may_have_used_the_file_in_between(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite3"
    former_spool(path)
    spool = Spool(path, Bounds())
    await spool.append([said("one", "1")])
    await spool.file.close()
    with sqlite3.connect(path) as db:
        db.executescript(FORMER.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS").replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS"))
        db.execute(MESSAGE, ("2", "two", 1))
    db.close()
    again = Spool(path, Bounds())
    await again.append([said("one", "1"), said("two", "2"), said("three", "3")])
    assert texts(await waiting(again)) == ["one", "three"]
    await again.file.close()


async def test_an_earlier_manager_reads_a_relay_of_this_version(tmp_path: Path) -> None:
    """The calls of the first version, word for word, to the command and the environment that it gives a container."""
    unread = MessageReceived(message=Message(id="u", chat_id="ann", at=NOW, text="unread"), chat=Chat(id="ann", kind=ChatKind.PRIVATE))
    former_spool(tmp_path / "data" / "spool.sqlite3", unread)
    async with running_relay("sandbox", tmp_path, MCP_MESSENGER_INSTANCE_TYPES="api,mcp", MCP_MESSENGER_PORT="8080") as relay, relay.http() as http:
        attached = (await http.put("/port/settings", params={"manager": "a"}, json={"auto_scan": True, "page": False})).json()
        assert attached["spool"] == "the-former-spool"
        pulled = (await http.get("/events", params={"limit": 100, "wait": 0.0, "manager": "a"})).json()
        assert {"spool", "events", "state", "lost", "attached"} <= pulled.keys()
        (first, *_) = pulled["events"]
        assert (first["seq"], first["event"]["message"]["text"]) == (42, "unread")
        pulled = (await http.get("/events", params={"limit": 100, "wait": 5.0, "manager": "a", "after": 42, "spool": pulled["spool"]})).json()
        assert all(one["event"]["type"] == "state" for one in pulled["events"])
        sent = (await http.post("/port/send", content=draft("1").model_dump_json())).json()
        assert sent["result"]["id"] == "p1", "it was sent before the upgrade, and is not sent again"
        unknown = (await http.post("/port/send", params={"spool": "the-former-spool"}, content=draft("2").model_dump_json())).json()["error"]
        assert (unknown["code"], unknown["maybe_sent"]) == ("unreachable", True)
        listed = (await http.post("/port/list_chats", content=b"{}")).json()
        assert isinstance(listed["result"], list)
        assert (await http.post("/port/stop", params={"manager": "a"})).json()["state"]["state"] == "stopped"
        (await http.put("/port/settings", params={"manager": "b"}, json={"auto_scan": True, "page": False})).raise_for_status()
        replaced = (await http.get("/events", params={"manager": "a"})).json()["error"]
        assert (replaced["code"], "Another manager" in replaced["detail"]) == ("conflict", True)
        async with relay.http("mm_WRONG") as stranger:
            assert (await stranger.get("/events")).json()["error"]["code"] == "unauthenticated"
    assert protocol.EVENTS == "/events"
    assert hashlib.sha256(KEY.encode()).hexdigest() not in relay.log()


def voted() -> PollVoted:
    return PollVoted(chat_id="ann", message_id="1", sender_id="bob", options=("Tea",), at=NOW)


def forwarded(text: str, id: str) -> MessageReceived:
    message = Message(id=id, chat_id="ann", at=NOW, text=text, forwarded=Forwarded(name="Bob"), standby=True)
    return MessageReceived(message=message, chat=Chat(id="ann", aliases=("hidden",)))


FIRST_MESSAGE = {"id", "chat_id", "at", "outgoing", "sender_id", "sender_name", "kind", "text", "reply_to", "thread_id", "media", "location"}


def test_an_earlier_manager_is_shown_no_field_that_it_would_refuse() -> None:
    shown = event_for(forwarded("hello", "1"), None)
    assert set(shown["message"]) <= FIRST_MESSAGE
    assert shown["chat"] == {"id": "ann"}
    assert not is_read_by(voted(), None)


def test_a_manager_of_this_version_reads_everything() -> None:
    event = forwarded("hello", "1")
    assert EVENT.validate_python(event_for(event, TYPES)) == event
    assert is_read_by(voted(), TYPES)


def test_what_a_later_version_adds_is_passed_over() -> None:
    later = {"seq": 2, "event": {"type": "hologram", "chat_id": "ann"}}
    known = {"seq": 1, "event": {**event_for(forwarded("hello", "1"), TYPES), "mood": "good"}}
    assert readable([known, later]) == [known]
    read = EVENT.validate_json(json.dumps(known["event"]), extra="ignore")
    assert isinstance(read, MessageReceived)
    assert read.message.text == "hello"


async def test_events_that_an_earlier_manager_cannot_read_do_not_hold_up_the_next(tmp_path: Path) -> None:
    path = tmp_path / "data" / "spool.sqlite3"
    path.parent.mkdir(parents=True)
    spool = Spool(path, Bounds())
    await spool.append([voted() for _ in range(150)])
    await spool.append([said("after the votes", "9")])
    await spool.file.close()
    async with running_relay("sandbox", tmp_path, MCP_MESSENGER_PORT="8080") as relay, relay.http() as http:
        await http.put("/port/settings", params={"manager": "a"}, json={"auto_scan": True, "page": False})
        pulled = (await http.get("/events", params={"limit": 100, "wait": 5.0, "manager": "a"})).json()
        assert [one["event"]["message"]["text"] for one in pulled["events"] if one["event"]["type"] == "message"] == ["after the votes"]
