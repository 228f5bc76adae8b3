"""The simulated platform of one instance, in one SQLite file."""

import secrets
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import anyio
from pydantic import TypeAdapter

from providers.errors import NotFound
from providers.events import Event, ReceiptStatus
from providers.models import Chat, ChatKind, Choice, Contact, Download, Message, TextFormat
from providers.sandbox.people import PEOPLE, TEAM, TROUBLE

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS contacts (position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, noun TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS chats (position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, noun TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS members (position INTEGER PRIMARY KEY, chat_id TEXT NOT NULL, contact_id TEXT NOT NULL, UNIQUE (chat_id, contact_id));
CREATE TABLE IF NOT EXISTS messages (
    position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, chat_id TEXT NOT NULL, outgoing INTEGER NOT NULL, noun TEXT NOT NULL,
    client_id TEXT UNIQUE, format TEXT NOT NULL, status TEXT NOT NULL, edited INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS messages_of_chat ON messages (chat_id, position);
CREATE TABLE IF NOT EXISTS reactions (message_id TEXT NOT NULL, sender_id TEXT NOT NULL, emoji TEXT NOT NULL, PRIMARY KEY (message_id, sender_id));
CREATE TABLE IF NOT EXISTS files (ref TEXT PRIMARY KEY, mime TEXT NOT NULL, name TEXT NOT NULL, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS updates (position INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL);
"""
TYPING_LASTS = timedelta(seconds=10)
_CHOICES = TypeAdapter(tuple[Choice, ...])
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)

Now = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Post:
    """A message as the platform keeps it. `status` is how far it got with those it is for."""

    position: int
    message: Message
    format: TextFormat
    status: ReceiptStatus
    edited: bool
    deleted: bool


class World:
    """Reads and writes are short and local, so they happen in the event loop. Use from one thread."""

    def __init__(self, folder: Path, *, now: Now = utc_now) -> None:
        """Raises OSError or sqlite3.Error where the folder cannot be written."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.now = now
        self.version = 0
        self._changed = anyio.Event()
        self._typing_until: dict[str, datetime] = {}
        self._db = sqlite3.connect(folder / "world.sqlite3", isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        if not self.chats():
            self._settle()

    def _settle(self) -> None:
        with self.change():
            for contact in (*PEOPLE, *TROUBLE):
                self.save_contact(contact)
            for contact in PEOPLE[:2]:
                self.save_chat(Chat(id=contact.id, kind=ChatKind.PRIVATE, title=contact.name, username=contact.username, phone=contact.phone))
            self.save_chat(TEAM)
            for contact in PEOPLE:
                self.add_member(TEAM.id, contact.id)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def change(self) -> Generator[None]:
        """All or nothing; those who wait for changes are woken after the commit. A change within a change is part of it."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        self.touch()

    def touch(self) -> None:
        """Wake those who wait for changes."""
        self.version += 1
        self._changed.set()
        self._changed = anyio.Event()

    async def changed_since(self, version: int) -> int:
        """Returns the present version as soon as it is another one."""
        while self.version == version:
            await self._changed.wait()
        return self.version

    def fact(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set_fact(self, key: str, value: str | None) -> None:
        if value is None:
            self._db.execute("DELETE FROM facts WHERE key = ?", (key,))
        else:
            self._db.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value))

    @property
    def page_token(self) -> str:
        """The unguessable part of the chat page's address, the same ever after."""
        token = self.fact("page_token")
        if token is None:
            token = secrets.token_urlsafe(24)
            self.set_fact("page_token", token)
        return token

    def contacts(self) -> Sequence[Contact]:
        return [Contact.model_validate_json(noun) for (noun,) in self._db.execute("SELECT noun FROM contacts ORDER BY position")]

    def find_contact(self, contact_id: str) -> Contact | None:
        row = self._db.execute("SELECT noun FROM contacts WHERE id = ?", (contact_id,)).fetchone()
        return Contact.model_validate_json(row[0]) if row else None

    def save_contact(self, contact: Contact) -> None:
        row = (contact.id, contact.model_dump_json())
        self._db.execute("INSERT INTO contacts (id, noun) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET noun = excluded.noun", row)

    def chats(self) -> Sequence[Chat]:
        return [Chat.model_validate_json(noun) for (noun,) in self._db.execute("SELECT noun FROM chats ORDER BY position")]

    def chat(self, chat_id: str) -> Chat:
        """A chat, or the one that writing to a contact would open."""
        row = self._db.execute("SELECT noun FROM chats WHERE id = ?", (chat_id,)).fetchone()
        if row:
            return Chat.model_validate_json(row[0])
        contact = self.find_contact(chat_id)
        if contact is None:
            raise NotFound(f"No chat '{chat_id}' in this instance.", hint="Call list_chats or list_contacts for those there are.")
        return Chat(id=contact.id, kind=ChatKind.PRIVATE, title=contact.name, username=contact.username, phone=contact.phone)

    def save_chat(self, chat: Chat) -> None:
        row = (chat.id, chat.model_dump_json())
        self._db.execute("INSERT INTO chats (id, noun) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET noun = excluded.noun", row)

    def remove_chat(self, chat_id: str) -> None:
        """The chat and who is in it; its messages stay, and nobody sees them."""
        self._db.execute("DELETE FROM members WHERE chat_id = ?", (chat_id,))
        self._db.execute("DELETE FROM chats WHERE id = ?", (chat_id,))

    def members(self, chat_id: str) -> Sequence[Contact]:
        rows = self._db.execute(
            "SELECT noun FROM members JOIN contacts ON contacts.id = contact_id WHERE chat_id = ? ORDER BY members.position", (chat_id,)
        )
        return [Contact.model_validate_json(noun) for (noun,) in rows]

    def add_member(self, chat_id: str, contact_id: str) -> None:
        self._db.execute("INSERT INTO members (chat_id, contact_id) VALUES (?, ?) ON CONFLICT DO NOTHING", (chat_id, contact_id))

    def remove_member(self, chat_id: str, contact_id: str) -> None:
        self._db.execute("DELETE FROM members WHERE chat_id = ? AND contact_id = ?", (chat_id, contact_id))

    def add_message(self, message: Message, *, client_id: str | None = None, format: TextFormat = TextFormat.PLAIN) -> None:
        self.save_chat(self.chat(message.chat_id))
        self._db.execute(
            "INSERT INTO messages (id, chat_id, outgoing, noun, client_id, format, status) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (message.id, message.chat_id, message.outgoing, message.model_dump_json(), client_id, format, ReceiptStatus.SENT),
        )

    def choices(self, message_id: str) -> Sequence[Choice]:
        """What the other side may pick under a message of ours."""
        return _CHOICES.validate_json(self.fact(f"choices:{message_id}") or "[]")

    def offer(self, message_id: str, choices: Sequence[Choice]) -> None:
        if choices:
            self.set_fact(f"choices:{message_id}", _CHOICES.dump_json(tuple(choices)).decode())

    def posts(self, chat_id: str, *, before: str | None = None, limit: int) -> Sequence[Post]:
        """Newest first, those before the message `before`."""
        end = 2**62 if before is None else self._position(before)
        rows = self._db.execute("SELECT * FROM messages WHERE chat_id = ? AND position < ? ORDER BY position DESC LIMIT ?", (chat_id, end, limit))
        return [_post(row) for row in rows]

    def thread(self, root: str, *, before: str | None = None, limit: int) -> Sequence[Post]:
        """Return the posts of the thread that this message begins, newest first; those before the message `before`."""
        first = self.post(root).message
        end = 2**62 if before is None else self._position(before)
        rows = self._db.execute("SELECT * FROM messages WHERE chat_id = ? AND position < ? ORDER BY position DESC", (first.chat_id, end))
        found = (_post(row) for row in rows)
        return list(islice((post for post in found if root in {post.message.id, post.message.thread_id}), limit))

    def _position(self, message_id: str) -> int:
        row = self._db.execute("SELECT position FROM messages WHERE id = ?", (message_id,)).fetchone()
        if row is None:
            raise NotFound(f"No message '{message_id}' here.", hint="Call get_messages for those there are.")
        return row[0]

    def find_post(self, message_id: str) -> Post | None:
        row = self._db.execute("SELECT * FROM messages WHERE id = ?", (message_id,)).fetchone()
        return _post(row) if row else None

    def post(self, message_id: str, chat_id: str | None = None) -> Post:
        """Raises NotFound where it is not in that chat, or deleted."""
        chat = None if chat_id is None else self.chat(chat_id)
        found = self.find_post(message_id)
        if found is None or found.deleted or (chat is not None and found.message.chat_id != chat.id):
            raise NotFound(f"No message '{message_id}' {f'in chat {chat.id}' if chat else 'here'}.", hint="Call get_messages for those there are.")
        return found

    def sent_as(self, client_id: str) -> Post | None:
        row = self._db.execute("SELECT * FROM messages WHERE client_id = ?", (client_id,)).fetchone()
        return _post(row) if row else None

    def sent_after(self, position: int) -> Sequence[Post]:
        """Our messages after that position, oldest first."""
        rows = self._db.execute("SELECT * FROM messages WHERE outgoing AND position > ? ORDER BY position", (position,))
        return [_post(row) for row in rows]

    def unread(self, chat_id: str) -> Sequence[Post]:
        """Our messages that the other side has not read, oldest first."""
        rows = self._db.execute(
            "SELECT * FROM messages WHERE chat_id = ? AND outgoing AND NOT deleted AND status IN ('sent', 'delivered') ORDER BY position", (chat_id,)
        )
        return [_post(row) for row in rows]

    def rewrite(self, message: Message, format: TextFormat = TextFormat.PLAIN) -> None:
        self._db.execute("UPDATE messages SET noun = ?, format = ?, edited = 1 WHERE id = ?", (message.model_dump_json(), format, message.id))

    def strike_out(self, message_id: str) -> None:
        self._db.execute("UPDATE messages SET deleted = 1 WHERE id = ?", (message_id,))

    def set_status(self, message_id: str, status: ReceiptStatus) -> None:
        self._db.execute("UPDATE messages SET status = ? WHERE id = ?", (status, message_id))

    def reactions(self, message_id: str) -> dict[str, str]:
        """Emoji by the id of who reacted; our own under OWN_ID."""
        return dict(self._db.execute("SELECT sender_id, emoji FROM reactions WHERE message_id = ? ORDER BY rowid", (message_id,)).fetchall())

    def set_reaction(self, message_id: str, sender_id: str, emoji: str | None) -> None:
        self._db.execute("DELETE FROM reactions WHERE message_id = ? AND sender_id = ?", (message_id, sender_id))
        if emoji is not None:
            self._db.execute("INSERT INTO reactions VALUES (?, ?, ?)", (message_id, sender_id, emoji))

    def add_file(self, content: bytes, mime: str, name: str) -> str:
        ref = secrets.token_urlsafe(16)
        self._db.execute("INSERT INTO files VALUES (?, ?, ?, ?)", (ref, mime, name, content))
        return ref

    def file(self, ref: str) -> Download:
        row = self._db.execute("SELECT content, mime, name FROM files WHERE ref = ?", (ref,)).fetchone()
        if row is None:
            raise NotFound("The sandbox does not have this file.", hint="Read the message again: the file may belong to another instance.")
        return Download(content=row[0], mime=row[1], name=row[2])

    def is_typing(self, chat_id: str) -> bool:
        """Whether our side was typing there within the last 10 s and has not sent it yet."""
        until = self._typing_until.get(chat_id)
        return until is not None and self.now() < until

    def set_typing(self, chat_id: str, typing: bool) -> None:
        if typing:
            self._typing_until[self.chat(chat_id).id] = self.now() + TYPING_LASTS
        else:
            self._typing_until.pop(self.chat(chat_id).id, None)
        self.touch()

    def read_up_to(self, chat_id: str) -> int:
        """The position up to which our side has read there."""
        return int(self.fact(f"read:{chat_id}") or 0)

    def set_read_up_to(self, chat_id: str, position: int) -> None:
        self.set_fact(f"read:{chat_id}", str(max(position, self.read_up_to(chat_id))))

    def announce(self, event: Event) -> None:
        """Keep an event until our side has taken it."""
        self._db.execute("INSERT INTO updates (event) VALUES (?)", (_EVENT.dump_json(event).decode(),))

    def updates(self, limit: int) -> Sequence[tuple[int, Event]]:
        rows = self._db.execute("SELECT position, event FROM updates ORDER BY position LIMIT ?", (limit,))
        return [(position, _EVENT.validate_json(event)) for position, event in rows]

    def confirm(self, position: int) -> None:
        self._db.execute("DELETE FROM updates WHERE position <= ?", (position,))


def _post(row: sqlite3.Row) -> Post:
    return Post(
        position=row["position"],
        message=Message.model_validate_json(row["noun"]),
        format=TextFormat(row["format"]),
        status=ReceiptStatus(row["status"]),
        edited=bool(row["edited"]),
        deleted=bool(row["deleted"]),
    )
