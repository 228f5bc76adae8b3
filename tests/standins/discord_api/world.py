"""What Discord knows: people, servers, channels and messages; and how a test makes people act."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

Json = dict[str, Any]

GUILDS, GUILD_MESSAGES, GUILD_REACTIONS, DIRECT_MESSAGES, DIRECT_REACTIONS, CONTENT = 1 << 0, 1 << 9, 1 << 10, 1 << 12, 1 << 13, 1 << 15
GUILD_POLLS, DIRECT_POLLS = 1 << 24, 1 << 25
CONTENT_FLAG, MEMBERS_FLAG = 1 << 19, 1 << 15
_HIDDEN: Json = {"content": "", "embeds": [], "attachments": [], "components": [], "poll": None}
_REPLY = 19
_NOT_STORED = frozenset({"nonce"})


@dataclass
class StoredFile:
    name: str
    mime: str
    content: bytes


@dataclass(eq=False)
class Session:
    """A session of the gateway. It outlives its connections, until it is ended."""

    id: str
    intents: int
    events: list[Json] = field(default_factory=list[Json])
    """All that was dispatched in it, so that it can be repeated."""
    send: Callable[[Json], None] | None = None
    """Set while it is connected."""

    def dispatch(self, kind: str, data: Json) -> None:
        event = {"op": 0, "s": len(self.events) + 1, "t": kind, "d": data}
        self.events.append(event)
        if self.send is not None:
            self.send(event)


@dataclass(eq=False)
class StandInBot:
    token: str
    user: Json
    application: Json
    sessions: dict[str, Session] = field(default_factory=dict[str, Session])
    members_seen: bool = False

    @property
    def id(self) -> str:
        return self.user["id"]


@dataclass(eq=False)
class World:
    changed: Callable[[], None]
    file_url: Callable[[str], str]
    """The address of a file by its id."""
    clock: Callable[[], float] = time.time
    bots: dict[str, StandInBot] = field(default_factory=dict[str, StandInBot])
    users: dict[str, Json] = field(default_factory=dict[str, Json])
    guilds: dict[str, Json] = field(default_factory=dict[str, Json])
    channels: dict[str, Json] = field(default_factory=dict[str, Json])
    messages: defaultdict[str, dict[str, Json]] = field(default_factory=lambda: defaultdict(dict))
    reactions: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict[tuple[str, str], dict[str, list[str]]])
    """By channel and message: who reacted with each emoji."""
    files: dict[str, StoredFile] = field(default_factory=dict[str, StoredFile])
    nonces: dict[tuple[str, str, str], str] = field(default_factory=dict[tuple[str, str, str], str])
    denied: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Pairs of a channel and the call that the bots may not make there."""
    unindexed: set[str] = field(default_factory=set[str])
    """Servers that Discord has yet to prepare for a search."""
    closed: set[str] = field(default_factory=set[str])
    """People who take no private messages."""
    presses: dict[str, str] = field(default_factory=dict[str, str])
    """The token of each interaction that is to be answered yet."""
    press_kinds: dict[str, int] = field(default_factory=dict[str, int])
    """The kind of each interaction; 3, a component, where none is noted."""
    answered: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self._counter = count()

    def snowflake(self) -> str:
        """Larger than every one before, with the time in it."""
        return str(((int(self.clock() * 1000) - 1_420_070_400_000) << 22) + next(self._counter))

    # What a test prepares

    def bot(self, token: str, name: str, *, content: bool = True, members: bool = False) -> StandInBot:
        flags = (CONTENT_FLAG if content else 0) | (MEMBERS_FLAG if members else 0)
        user = self._user(name, bot=True)
        application = {"id": user["id"], "name": name, "description": "", "flags": flags, "bot": user}
        bot = self.bots[token] = StandInBot(token, user, application)
        return bot

    def _user(self, name: str, *, bot: bool = False) -> Json:
        id = self.snowflake()
        user = {"id": id, "username": name.lower(), "global_name": None if bot else name, "discriminator": "0", "avatar": None, "bot": bot}
        self.users[id] = user
        return user

    def person(self, name: str, *guilds: str) -> str:
        id = self._user(name)["id"]
        for guild in guilds:
            self.guilds[guild]["people"].append(id)
        return id

    def guild(self, name: str, *bots: StandInBot) -> str:
        id = self.snowflake()
        self.guilds[id] = {"id": id, "name": name, "people": []}
        for bot in bots:
            self.invite(bot, id)
        return id

    def invite(self, bot: StandInBot, guild: str) -> None:
        """One bot in a server is enough: when the last one came is all that is kept."""
        self.guilds[guild]["people"].append(bot.id)
        self.guilds[guild]["joined_at"] = datetime.fromtimestamp(self.clock(), UTC).isoformat()
        for session in bot.sessions.values():
            session.dispatch("GUILD_CREATE", self.guild_told(guild))

    def channel(self, guild: str, name: str, *, kind: int = 0, parent: str | None = None, **fields: Any) -> str:
        id = self.snowflake()
        self.channels[id] = {"id": id, "type": kind, "name": name, "guild_id": guild, "parent_id": parent, "last_message_id": None, **fields}
        self.tell("THREAD_CREATE" if parent else "CHANNEL_CREATE", self.channels[id], GUILDS, id)
        return id

    def thread(self, channel: str, name: str) -> str:
        return self.channel(self.channels[channel]["guild_id"], name, kind=11, parent=channel)

    def private(self, bot: StandInBot, person: str) -> str:
        """The private channel of the two; one that is there is found again."""
        for channel in self.channels.values():
            if channel["type"] == 1 and (channel["bot"], channel["recipients"][0]["id"]) == (bot.id, person):
                return channel["id"]
        id = self.snowflake()
        self.channels[id] = {"id": id, "type": 1, "recipients": [self.users[person]], "bot": bot.id, "last_message_id": None}
        return id

    # What people do

    def write(self, channel: str, by: str, text: str = "", *, reply_to: str | None = None, file: StoredFile | None = None, **fields: Any) -> Json:
        replied = {"type": 0, "channel_id": channel, "message_id": reply_to} if reply_to else None
        attachments = [self.attach(file, "0")] if file else []
        return self.post(channel, by, content=text, message_reference=replied, type=19 if reply_to else 0, attachments=attachments, **fields)

    def rewrite(self, channel: str, message: str, **fields: Any) -> Json:
        held = self.messages[channel][message]
        held |= {"edited_timestamp": datetime.now(UTC).isoformat(), **fields}
        self.tell("MESSAGE_UPDATE", held, 0, channel)
        return held

    def erase(self, channel: str, *messages: str) -> None:
        for message in messages:
            del self.messages[channel][message]
        where = self._where(channel)
        if len(messages) == 1:
            self.tell("MESSAGE_DELETE", {"id": messages[0], **where}, 0, channel)
        else:
            self.tell("MESSAGE_DELETE_BULK", {"ids": list(messages), **where}, 0, channel)

    def react(self, channel: str, message: str, by: str, emoji: str) -> None:
        self.reactions.setdefault((channel, message), {}).setdefault(emoji, []).append(by)
        self.tell("MESSAGE_REACTION_ADD", self._reaction(channel, message, emoji, by), 0, channel)

    def unreact(self, channel: str, message: str, by: str, emoji: str) -> None:
        self.reactions[channel, message][emoji].remove(by)
        self.tell("MESSAGE_REACTION_REMOVE", self._reaction(channel, message, emoji, by), 0, channel)

    def press(self, channel: str, message: str, by: str, data: Json) -> str:
        id = self.snowflake()
        self.presses[id] = f"press-token-{id}"
        press = {"id": id, "type": 3, "token": self.presses[id], "data": data, "message": self.messages[channel][message], **self._where(channel)}
        press |= {"user": self.users[by]} if self.channels[channel]["type"] == 1 else {"member": {"user": self.users[by], "nick": None}}
        author = self.messages[channel][message]["author"]["id"]
        for bot in self.bots.values():
            if bot.id == author:
                for session in bot.sessions.values():
                    session.dispatch("INTERACTION_CREATE", press)
        return id

    def interact(self, channel: str, by: str, kind: int, data: Json, *, under: str | None = None) -> str:
        """A command (2), the typing of one (4) or a dialog (5): every bot here gets it."""
        id = self.snowflake()
        self.presses[id], self.press_kinds[id] = f"press-token-{id}", kind
        told: Json = {"id": id, "type": kind, "token": self.presses[id], "data": data, **self._where(channel)}
        told |= {"user": self.users[by]} if self.channels[channel]["type"] == 1 else {"member": {"user": self.users[by], "nick": None}}
        told |= {"message": self.messages[channel][under]} if under is not None else {}
        for bot in self.bots.values():
            for session in bot.sessions.values():
                session.dispatch("INTERACTION_CREATE", told)
        return id

    def vote(self, channel: str, message: str, by: str, answer: int, *, taken_back: bool = False) -> None:
        kind = "MESSAGE_POLL_VOTE_REMOVE" if taken_back else "MESSAGE_POLL_VOTE_ADD"
        intent = DIRECT_POLLS if self.channels[channel]["type"] == 1 else GUILD_POLLS
        self.tell(kind, {"user_id": by, "message_id": message, "answer_id": answer, **self._where(channel)}, intent, channel)

    # What the server uses

    def attach(self, file: StoredFile, number: str) -> Json:
        id = self.snowflake()
        self.files[id] = file
        url = self.file_url(id)
        return {"id": id, "filename": file.name, "size": len(file.content), "content_type": file.mime, "url": url, "proxy_url": url}

    def post(self, channel: str, by: str, **fields: Any) -> Json:
        id = self.snowflake()
        author, now = self.users[by], datetime.fromtimestamp(self.clock(), UTC).isoformat()
        message: Json = {
            "id": id, "channel_id": channel, "author": author, "timestamp": now, "edited_timestamp": None, "type": 0,
            "content": "", "tts": False, "embeds": [], "attachments": [], "components": [], "flags": 0, "pinned": False, "mention_everyone": False,
            "mention_roles": [], **{name: value for name, value in fields.items() if value is not None},
        }  # fmt: skip
        message["mentions"] = [user for user in self.users.values() if f"<@{user['id']}>" in message["content"]]
        self.messages[channel][id] = message
        self.channels[channel]["last_message_id"] = id
        self.tell("MESSAGE_CREATE", message, 0, channel)
        for name in _NOT_STORED:
            message.pop(name, None)
        return message

    def shown(self, bot: StandInBot, message: Json, *, content: bool) -> Json:
        """A message as this bot may see it."""
        is_open = content or self.channels[message["channel_id"]]["type"] == 1 or message["author"]["id"] == bot.id
        seen = message if is_open or bot.user in message["mentions"] else {**message, **_HIDDEN}
        if message["type"] == _REPLY and (answered := message.get("message_reference")):
            held = self.messages[answered["channel_id"]].get(answered["message_id"])
            seen = {**seen, "referenced_message": None if held is None else held if is_open else {**held, **_HIDDEN}}
        if message["author"]["id"] != bot.id:
            seen = {name: value for name, value in seen.items() if name != "nonce"}
        reactions = [
            {"emoji": self.emoji(emoji), "count": len(people), "me": bot.id in people}
            for emoji, people in self.reactions.get((message["channel_id"], message["id"]), {}).items()
            if people
        ]
        return {**seen, **({"reactions": reactions} if reactions else {})}

    def emoji(self, text: str) -> Json:
        name, _, id = text.partition(":")
        return {"name": name, "id": id or None}

    def guild_told(self, guild: str) -> Json:
        channels = [channel for channel in self.channels.values() if channel.get("guild_id") == guild]
        bare = [{name: value for name, value in channel.items() if name != "guild_id"} for channel in channels if not channel["parent_id"]]
        threads = [channel for channel in channels if channel["parent_id"]]
        held = self.guilds[guild]
        return {
            "id": guild,
            "name": held["name"],
            "joined_at": held["joined_at"],
            "channels": bare,
            "threads": threads,
            "members": [{"user": bot.user, "roles": held.get("of_bots", [])} for bot in self.bots.values() if bot.id in held["people"]],
            "roles": held.get("roles", []),
            "premium_tier": held.get("premium_tier", 0),
        }

    def members(self, guild: str) -> list[Json]:
        return [{"user": self.users[id], "nick": None, "roles": []} for id in self.guilds[guild]["people"]]

    def upload_limit(self, channel: str) -> int:
        """In bytes, of one file (https://docs.discord.com/developers/reference#uploading-files)."""
        guild = self.guilds.get(self.channels.get(channel, {}).get("guild_id", ""), {})
        return {2: 50, 3: 100}.get(guild.get("premium_tier", 0), 10) * 2**20

    def can_see(self, bot: StandInBot, channel: str) -> bool:
        held = self.channels.get(channel)
        if held is None:
            return False
        return held["bot"] == bot.id if held["type"] == 1 else bot.id in self.guilds[held["guild_id"]]["people"]

    def tell(self, kind: str, data: Json, intent: int, channel: str) -> None:
        """To every session that may see the channel and asked for this kind of event."""
        is_private = self.channels[channel]["type"] == 1
        if not intent and "REACTION" in kind:
            intent = DIRECT_REACTIONS if is_private else GUILD_REACTIONS
        intent = intent or (DIRECT_MESSAGES if is_private else GUILD_MESSAGES)
        for bot in self.bots.values():
            for session in bot.sessions.values():
                if session.intents & intent and self.can_see(bot, channel):
                    seen = self.shown(bot, data, content=bool(session.intents & CONTENT)) if "author" in data else data
                    session.dispatch(kind, {**seen, **self._where(channel)} if intent != GUILDS else seen)
        self.changed()

    def _where(self, channel: str) -> Json:
        guild = self.channels[channel].get("guild_id")
        return {"channel_id": channel} | ({"guild_id": guild} if guild else {})

    def _reaction(self, channel: str, message: str, emoji: str, by: str) -> Json:
        return {"user_id": by, "message_id": message, "emoji": self.emoji(emoji), "burst": False, "type": 0, **self._where(channel)}


def world_time() -> str:
    """Now, as Discord writes it."""
    return datetime.now(UTC).isoformat()
