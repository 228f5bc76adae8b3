"""One bot of the stand-in: what Telegram knows of it, and how a test makes people write to it."""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from tests.standins.faults import Answer, Drop, Fault, Hold, Script

Json = dict[str, Any]

# Left out unless a bot names its allowed_updates.
NOT_BY_DEFAULT = frozenset({"chat_member", "message_reaction", "message_reaction_count"})

_MARKED = re.compile(r"(?P<mention>(?<!\w)@\w+)|(?P<bot_command>(?<!\S)/\w+(?:@\w+)?)")


@dataclass
class Upload:
    name: str
    mime: str
    content: bytes


@dataclass
class StoredFile:
    id: str
    name: str
    mime: str
    content: bytes
    size: int

    @property
    def path(self) -> str:
        return f"files/{self.id}/{self.name}"

    def described(self, **more: Any) -> Json:
        return {"file_id": self.id, "file_unique_id": f"unique-{self.id}", "file_size": self.size, **more}


@dataclass
class Call:
    """One call of the bot. `message` is what it became, where it became one."""

    method: str
    params: Mapping[str, str]
    files: Mapping[str, Upload]
    message: Json | None = None


@dataclass
class Webhook:
    url: str
    secret: str | None
    last_error: tuple[int, str] | None = None


@dataclass(eq=False)
class BusinessPost:
    """A person's connection of the bot to their own chats."""

    id: str
    owner: int
    rights: frozenset[str] = frozenset()
    is_enabled: bool = True
    active: set[int] = field(default_factory=set[int])
    """Who wrote to the person within a day."""


@dataclass(eq=False)
class StandInBot:
    token: str
    id: int
    name: str
    username: str
    changed: Callable[[], None]
    """Called whenever something happened, for those who wait."""
    chats: dict[int, Json] = field(default_factory=dict[int, Json])
    users: dict[int, Json] = field(default_factory=dict[int, Json])
    messages: dict[tuple[int, int], Json] = field(default_factory=dict[tuple[int, int], Json])
    reactions: dict[tuple[int, int], list[Json]] = field(default_factory=dict[tuple[int, int], list[Json]])
    pinned: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    files: dict[str, StoredFile] = field(default_factory=dict[str, StoredFile])
    presses: set[str] = field(default_factory=set[str])
    answered: list[str] = field(default_factory=list[str])
    pending: list[Json] = field(default_factory=list[Json])
    """Updates not yet confirmed."""
    allowed_updates: frozenset[str] | None = None
    webhook: Webhook | None = None
    not_started: set[int] = field(default_factory=set[int])
    blocked: set[int] = field(default_factory=set[int])
    closed_topics: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    migrated: dict[int, int] = field(default_factory=dict[int, int])
    calls: list[Call] = field(default_factory=list[Call])
    """Every call as it arrived, whatever became of it."""
    sent: list[Call] = field(default_factory=list[Call])
    """The calls that became a message."""
    faults: list[Fault] = field(default_factory=list[Fault])
    scripts: dict[str, Script] = field(default_factory=dict[str, Script])
    """By method, in lower case."""
    takes_drafts: bool = True
    has_rich: bool = True
    """Whether the server is of Bot API 10.1 or newer, which has rich messages."""
    has_drafts: bool = True
    """Whether it has drafts at all."""
    hears_all: bool = False
    """Whether the privacy mode is off."""
    drafts: dict[int, tuple[int, str]] = field(default_factory=dict[int, tuple[int, str]])
    """What is shown of growing answers: number and text, by chat."""
    connections: dict[str, BusinessPost] = field(default_factory=dict[str, BusinessPost])
    own_chats: dict[int, tuple[str, int]] = field(default_factory=dict[int, tuple[str, int]])
    """People's own chats that the bot is connected to: the connection, and the other side, by the place of their messages."""
    poll: "asyncio.Future[str | None] | None" = None
    """The waiting getUpdates: done with None when there is news, with the reason when it is thrown out."""

    def __post_init__(self) -> None:
        self._update_ids = count(100_001)
        self._chat_ids = count(1)
        self._names = count(1)
        self._message_ids: defaultdict[int, count[int]] = defaultdict(lambda: count(1))

    @property
    def user(self) -> Json:
        return {"id": self.id, "is_bot": True, "first_name": self.name, "username": self.username}

    # What a test prepares

    def person(self, name: str = "Ann", *, username: str | None = None, started: bool = True) -> int:
        """A person and the private chat with them, which have the same id."""
        number = 7_000 + next(self._chat_ids)
        who: Json = {"id": number, "first_name": name} | ({"username": username} if username else {})
        self.users[number] = who | {"is_bot": False}
        self.chats[number] = who | {"type": "private"}
        if not started:
            self.not_started.add(number)
        return number

    def group(self, title: str = "Team", *, kind: Literal["group", "supergroup", "channel"] = "supergroup", username: str | None = None) -> int:
        number = next(self._chat_ids)
        number = -4_000_000 - number if kind == "group" else -1_001_000_000_000 - number
        self.chats[number] = {"id": number, "type": kind, "title": title} | ({"username": username} if username else {})
        return number

    def topic(self, chat: int, name: str) -> int:
        """A topic of a forum, or of a private chat."""
        opening = self.compose(chat, forum_topic_created={"name": name, "icon_color": 7322096}, is_topic_message=True)
        opening["message_thread_id"] = opening["message_id"]
        if chat < 0:
            self.chats[chat]["is_forum"] = True
        return opening["message_id"]

    def store(self, content: bytes, name: str, mime: str = "application/octet-stream", *, size: int | None = None) -> StoredFile:
        """A file on Telegram's servers. `size` lets it claim to be larger than it is."""
        file = StoredFile(f"FILE-{self.id}-{next(self._names)}", name, mime, content, len(content) if size is None else size)
        self.files[file.id] = file
        return file

    # What people do

    def user_writes(self, chat: int, text: str, *, by: int | None = None, **fields: Any) -> Json:
        return self.user_sends(chat, by=by, text=text, entities=entities_in(text), **fields)

    def user_sends(self, chat: int, *, by: int | None = None, **fields: Any) -> Json:
        """A message of any content; empty fields are left out."""
        author: Json = {"sender_chat": self.chats[chat]} if self.chats[chat]["type"] == "channel" else {"from": self.users[by or chat]}
        message = self.compose(chat, **author, **fields)
        self.update("channel_post" if self.chats[chat]["type"] == "channel" else "message", message)
        return message

    def user_sends_photo(self, chat: int, content: bytes = b"\xff\xd8 a photo", *, by: int | None = None, **fields: Any) -> Json:
        small, large = self.store(content[:1], "small.jpg", "image/jpeg"), self.store(content, "large.jpg", "image/jpeg")
        sizes = [small.described(width=90, height=60), large.described(width=1280, height=853)]
        return self.user_sends(chat, by=by, photo=sizes, **fields)

    def user_edits(self, message: Json, text: str) -> Json:
        edited = message | {"text": text, "edit_date": int(time.time()), "entities": entities_in(text)}
        self.messages[message["chat"]["id"], message["message_id"]] = edited
        self.update("edited_channel_post" if message["chat"]["type"] == "channel" else "edited_message", edited)
        return edited

    def user_reacts(self, message: Json, *emojis: str, by: int) -> None:
        chat, now = message["chat"], int(time.time())
        new = [{"type": "emoji", "emoji": emoji} for emoji in emojis]
        reacted = {"chat": chat, "message_id": message["message_id"], "user": self.users[by], "date": now, "old_reaction": [], "new_reaction": new}
        self.update("message_reaction", reacted)

    def user_presses(self, message: Json, data: str, *, by: int) -> str:
        press = f"press-{next(self._names)}"
        self.presses.add(press)
        self.update("callback_query", {"id": press, "from": self.users[by], "message": message, "chat_instance": "1", "data": data})
        return press

    def user_votes(self, message: Json, *options: int, by: int) -> None:
        """An answer in a poll of the bot: with who it is from, or only as sums where the poll is anonymous."""
        poll = message["poll"]
        if poll["is_anonymous"]:
            for number in options:
                poll["options"][number]["voter_count"] += 1
            self.update("poll", poll)
            return
        ids = [poll["options"][number]["persistent_id"] for number in options]
        self.update("poll_answer", {"poll_id": poll["id"], "user": self.users[by], "option_ids": list(options), "option_persistent_ids": ids})

    def connects(self, owner: int, *rights: str, enabled: bool = True, silently: bool = False) -> BusinessPost:
        """A person connects the bot to their own chats, changes its rights, or disconnects it."""
        known = next((one for one in self.connections.values() if one.owner == owner), None)
        post = known or BusinessPost(f"connection-{next(self._names)}", owner)
        post.rights, post.is_enabled = frozenset(rights), enabled
        self.connections[post.id] = post
        if not silently:
            self.update("business_connection", self.connection(post))
        return post

    def connection(self, post: BusinessPost) -> Json:
        rights = {"rights": dict.fromkeys(post.rights, True)} if post.is_enabled else {}
        of_owner = {"user": self.users[post.owner], "user_chat_id": post.owner}
        return {"id": post.id, "date": int(time.time()), "is_enabled": post.is_enabled, **of_owner, **rights}

    def own_chat(self, post: BusinessPost, other: int) -> int:
        """Where the messages of a person's own chat are kept: Telegram shows it under the same id as the bot's chat with the other side."""
        place = next((place for place, (owner, chat) in self.own_chats.items() if (owner, chat) == (post.id, other)), None)
        if place is None:
            place = -9_000_000_000 - len(self.own_chats)
            self.own_chats[place] = (post.id, other)
            self.chats[place] = self.chats[other]
        return place

    def writes_to_owner(self, post: BusinessPost, other: int, text: str, *, by: int | None = None, **fields: Any) -> Json:
        """A message in a person's own chat with somebody: from the other side, or `by` the person."""
        place = self.own_chat(post, other)
        if by is None:
            post.active.add(other)
        message = self.compose(place, **{"from": self.users[by or other]}, text=text, business_connection_id=post.id, **fields)
        self.update("business_message", message)
        return message

    def user_blocks(self, person: int, *, blocked: bool = True) -> None:
        """A person blocks the bot, or no longer."""
        (self.blocked.add if blocked else self.blocked.discard)(person)
        self.membership(person, by=person, status="kicked" if blocked else "member", **({"until_date": 0} if blocked else {}))

    def membership(self, chat: int, *, by: int, status: str, **rights: Any) -> None:
        """The bot's own membership changes."""
        old, new = {"user": self.user, "status": "member"}, {"user": self.user, "status": status, **rights}
        change = {"chat": self.chats[chat], "from": self.users[by], "date": int(time.time()), "old_chat_member": old, "new_chat_member": new}
        self.update("my_chat_member", change)

    def group_becomes_supergroup(self, chat: int, *, announce: bool = True) -> int:
        """The new id. Without `announce` the bot is not told and finds out when it writes."""
        new = self.group(self.chats[chat]["title"])
        self.migrated[chat] = new
        if announce:
            self.update("message", self.compose(chat, migrate_to_chat_id=new))
            self.update("message", self.compose(new, migrate_from_chat_id=chat))
        return new

    # What goes wrong

    def fail_next(self, method: str, status: int = 500, description: str = "Internal Server Error", **parameters: Any) -> None:
        body: Json = {"ok": False, "error_code": status, "description": description} | ({"parameters": parameters} if parameters else {})
        self.faults.append(Answer(method.lower(), status, body))

    def flood_next(self, method: str, retry_after: int) -> None:
        self.fail_next(method, 429, f"Too Many Requests: retry after {retry_after}", retry_after=retry_after)

    def garble_next(self, method: str, status: int, body: str) -> None:
        """Answers something that is not JSON, as a proxy in between does."""
        self.faults.append(Answer(method.lower(), status, body))

    def drop_next(self, method: str, when: Literal["before", "after"]) -> None:
        self.faults.append(Drop(method.lower(), when))

    def hold_next(self, method: str, when: Literal["before", "after"] = "before") -> Hold:
        hold = Hold(method.lower(), when)
        self.faults.append(hold)
        return hold

    # What the server uses

    def new_name(self, what: str) -> str:
        return f"{what}-{next(self._names)}"

    def lacks(self, method: str) -> bool:
        """Whether the server is too old for a method, given in lower case."""
        return (not self.has_rich and "rich" in method) or (not self.has_drafts and method.endswith("draft"))

    def take_fault(self, method: str) -> Fault | None:
        fault = next((fault for fault in self.faults if fault.call == method.lower()), None)
        if fault is not None:
            self.faults.remove(fault)
        return fault

    def compose(self, chat: int, **fields: Any) -> Json:
        number = next(self._message_ids[chat])
        content = {name: value for name, value in fields.items() if value not in (None, [], "")}
        message: Json = {"message_id": number, "date": int(time.time()), "chat": self.chats[chat], **content}
        self.messages[chat, number] = message
        return message

    def update(self, kind: str, payload: Json) -> Json | None:
        """The update, with the number that it got; None for one of a kind that the bot does not ask for."""
        wanted = kind not in NOT_BY_DEFAULT if self.allowed_updates is None else kind in self.allowed_updates
        if not wanted:
            return None
        update: Json = {"update_id": next(self._update_ids), kind: payload}
        self.pending.append(update)
        self.wake(None)
        return update

    def wake(self, reason: str | None) -> None:
        if self.poll is not None and not self.poll.done():
            self.poll.set_result(reason)
        self.changed()


def entities_in(text: str) -> list[Json]:
    """Mentions and commands, counted in UTF-16 as Telegram counts."""
    return [{"type": found.lastgroup, "offset": utf16(text[: found.start()]), "length": utf16(found[0])} for found in _MARKED.finditer(text)]


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
