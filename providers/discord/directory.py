"""The channels, servers, roles and people that events name by number only. No members are kept, but those who wrote."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from discord.errors import HTTPException

from providers.discord.client import DiscordClient
from providers.discord.errors import UNKNOWN_CHANNEL, discord_errors
from providers.discord.fields import many, one, texts
from providers.discord.ids import ChatRef, chat_ref, is_person, message_ref, private_chat
from providers.errors import InvalidRequest, NotFound, Rejected
from providers.kit.bounded import BoundedMap
from providers.models import Address, Chat, ChatKind, Contact

Json = dict[str, Any]

TEXT, DIRECT, VOICE, NEWS, NEWS_THREAD, THREAD, PRIVATE_THREAD, STAGE, FORUM, MEDIA_FORUM = 0, 1, 2, 5, 10, 11, 12, 13, 15, 16
_THREADS = frozenset({NEWS_THREAD, THREAD, PRIVATE_THREAD})
FORUMS = frozenset({FORUM, MEDIA_FORUM})
_WITH_TEXT = frozenset({TEXT, VOICE, NEWS, STAGE}) | FORUMS | _THREADS

_PEOPLE_MAX = 1000

_NEEDS_TAG = 1 << 4
_ADMINISTRATOR = 1 << 3

_MIB = 2**20
# Of one file, by the level of the server's boosts; private chats have the first (https://docs.discord.com/developers/reference#uploading-files).
_UPLOADS = (10 * _MIB, 10 * _MIB, 50 * _MIB, 100 * _MIB)
UPLOAD_MAX = max(_UPLOADS)


class Role(NamedTuple):
    """A role of a server. `bot` is the bot that Discord made it for, if it is one's own; `permissions` None: Discord did not tell them."""

    name: str
    guild: str
    bot: str | None
    permissions: int | None = None


class Place(NamedTuple):
    """A channel or thread."""

    type: int
    name: str
    guild: str | None
    parent: str | None
    """The channel that a thread is in."""
    tags: tuple[str, ...] = ()
    """Of a post: the ids of its tags."""
    offered: tuple[tuple[str, str], ...] = ()
    """Of a forum: id and name of the tags that it has."""
    needs_tag: bool = False

    @property
    def is_thread(self) -> bool:
        return self.type in _THREADS

    @property
    def is_forum(self) -> bool:
        """Whether it holds nothing but posts, each a thread with a title."""
        return self.type in FORUMS

    @property
    def holds_text(self) -> bool:
        return self.type in _WITH_TEXT or self.type == DIRECT


class Spot(NamedTuple):
    """Where a message lies: its chat, and the thread in it with its title where it is in one."""

    chat: Chat
    thread: str | None = None
    title: str | None = None


class Directory:
    """`only` is the one server that is seen, where there is one."""

    def __init__(self, client: DiscordClient, only: str | None) -> None:
        self.guilds: dict[str, str] = {}
        self.partners: BoundedMap[str, Contact] = BoundedMap(_PEOPLE_MAX)
        """Private channels, the latest last, and with whom each is."""
        self.people: BoundedMap[str, Contact] = BoundedMap(_PEOPLE_MAX)
        """The people who wrote, the latest last."""
        self._client = client
        self._only = only
        self._places: dict[str, Place] = {}
        self._roles: dict[str, Role] = {}
        self._bots: dict[tuple[str, str], tuple[str, ...]] = {}
        """The roles of the bots of a server, by server and bot."""
        self._owners: dict[str, str] = {}
        self._levels: dict[str, int] = {}
        """Of the boosts, by server."""
        self._expected: set[str] = set()
        self._all_told = asyncio.Event()
        self._all_told.set()

    def sees(self, guild: str | None) -> bool:
        return guild is None or self._only in (None, guild)

    def expect(self, guilds: Iterable[str]) -> None:
        """Note the servers that READY names: Discord describes each right afterwards."""
        self._expected = {guild for guild in guilds if self.sees(guild)}
        self._all_told = asyncio.Event()
        self._told_of("")

    async def until_told(self, seconds: float) -> None:
        """Return when all servers are known; at the latest after that time, for Discord does not describe a server with an outage."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._all_told.wait()

    def _told_of(self, guild: str) -> None:
        self._expected.discard(guild)
        if not self._expected:
            self._all_told.set()

    def add_guild(self, guild: Json) -> list[Json]:
        """Note a server as GUILD_CREATE describes it. Return its channels and open threads that hold text."""
        self.update_guild(guild)
        for role in many(guild, "roles"):
            self.add_role(guild["id"], role)
        for member in many(guild, "members"):
            self.add_member(guild["id"], member)
        self._told_of(guild["id"])
        spoken = [channel for channel in [*guild.get("channels", []), *guild.get("threads", [])] if channel["type"] in _WITH_TEXT]
        for channel in spoken:
            self.add(channel, guild["id"])
        return spoken

    def update_guild(self, guild: Json) -> None:
        """Note the name and the level of a server."""
        self.guilds[guild["id"]] = guild["name"]
        self._levels[guild["id"]] = guild.get("premium_tier") or 0
        if guild.get("owner_id"):
            self._owners[guild["id"]] = guild["owner_id"]

    def add_member(self, guild: str, member: Json) -> None:
        """Note the roles of a member that is a bot."""
        if one(member, "user").get("bot"):
            self._bots[guild, member["user"]["id"]] = tuple(texts(member, "roles"))

    def permissions(self, guild: str, bot: str) -> int | None:
        """Return what a bot may do in a server as a whole, as Discord's bits; None where Discord has not told it."""
        held = [self._roles.get(role) for role in (guild, *self._bots.get((guild, bot), ()))]
        if (guild, bot) not in self._bots or any(role is None or role.permissions is None for role in held):
            return None
        bits = 0
        for role in held:
            bits |= (role.permissions or 0) if role is not None else 0
        return -1 if bits & _ADMINISTRATOR or self._owners.get(guild) == bot else bits

    def is_expected(self, guild: str) -> bool:
        """Whether READY has named the server, and Discord is yet to describe it: the bot is in it since before."""
        return guild in self._expected

    def add_role(self, guild: str, role: Json) -> None:
        """Note a role that is new or changed."""
        bits = role.get("permissions")
        self._roles[role["id"]] = Role(role["name"], guild, one(role, "tags").get("bot_id"), int(bits) if bits is not None else None)

    def remove_role(self, role: str) -> None:
        """Forget a role."""
        self._roles.pop(role, None)

    def is_role_of(self, role: str, bot: str) -> bool:
        """Whether Discord made this role for the bot: a mention of it means the bot."""
        return role in self._roles and self._roles[role].bot == bot

    def role_name(self, role: str) -> str | None:
        """Return the name of a role that is known."""
        return self._roles[role].name if role in self._roles else None

    def channel_name(self, channel: str) -> str | None:
        """Return the name of a channel or thread that is known."""
        place = self._places.get(channel)
        return place.name if place is not None else None

    def person_name(self, person: str) -> str | None:
        """Return the name of a person who wrote."""
        known = self.people.get(person)
        return known.name if known is not None else None

    def known(self, chat_id: str) -> Place | None:
        """Return the channel or thread of a chat where it is known, without asking Discord."""
        return self._places.get(chat_id)

    def largest_upload(self, chat_id: str) -> int:
        """Return how many bytes a file in this chat may have; where its server is not known, those that any server takes."""
        if is_person(chat_id):
            return _UPLOADS[0]
        place = self._places.get(chat_id)
        level = None if place is None or place.guild is None else self._levels.get(place.guild)
        return UPLOAD_MAX if level is None or level >= len(_UPLOADS) else _UPLOADS[level]

    def remove_guild(self, guild: str) -> None:
        self.guilds.pop(guild, None)
        self._levels.pop(guild, None)
        self._owners.pop(guild, None)
        self._bots = {key: roles for key, roles in self._bots.items() if key[0] != guild}
        self._roles = {id: role for id, role in self._roles.items() if role.guild != guild}
        self._told_of(guild)
        self._places = {id: place for id, place in self._places.items() if place.guild != guild}

    def add(self, channel: Json, guild: str | None = None) -> Place:
        """Note a channel of any event or answer. In GUILD_CREATE channels do not name their server."""
        if channel["type"] == DIRECT:
            self.meet(channel["id"], person_of(channel["recipients"][0]))
            return Place(DIRECT, "", None, None)
        place = Place(
            channel["type"],
            channel.get("name") or "",
            channel.get("guild_id", guild),
            channel.get("parent_id"),
            tuple(texts(channel, "applied_tags")),
            tuple((tag["id"], tag["name"]) for tag in many(channel, "available_tags")),
            bool((channel.get("flags") or 0) & _NEEDS_TAG),
        )
        if place.type in _WITH_TEXT:
            self._places[channel["id"]] = place
        return place

    def remove(self, channel: str) -> None:
        self._places.pop(channel, None)

    def meet(self, channel: str, person: Contact) -> None:
        """Note a private channel and its person."""
        self.partners[channel] = person

    def saw(self, person: Contact) -> None:
        self.people[person.id] = person

    async def place(self, channel: str) -> Place:
        """Return a channel; Discord is asked for one that is not known yet."""
        if channel in self.partners:
            return Place(DIRECT, "", None, None)
        return self._places.get(channel) or self.add(await self._client.call("GET", "/channels/{channel_id}", channel_id=channel))

    async def spot(self, channel: str) -> Spot:
        """Return the chat that a channel belongs to, and the thread where it is one."""
        place = await self.place(channel)
        if channel in self.partners:
            person = self.partners[channel]
            return Spot(Chat(id=private_chat(person.id), kind=ChatKind.PRIVATE, title=person.name, username=person.username))
        if place.is_thread and place.parent is not None:
            parent = await self.place(place.parent)
            return Spot(self._chat(place.parent, parent), channel, _title(place, parent))
        return Spot(self._chat(channel, place))

    async def spot_of_message(self, channel: str) -> Spot:
        """Return where a message lies that came in. A channel that Discord does not show the bot (any more) is a chat by its number alone."""
        try:
            with discord_errors():
                return await self.spot(channel)
        except Rejected:
            known = self.known(channel)
            parent = known.parent if known is not None and known.is_thread else None
            return Spot(Chat(id=parent or channel), channel if parent else None)

    async def chat(self, channel: str) -> Chat:
        """Return the chat that a channel or thread belongs to."""
        return (await self.spot(channel)).chat

    async def address(self, to: str) -> Address:
        """Return the place that an address means: a number of a channel, a thread or a person, `#` and a channel's name, `@` and a user name.

        Raises NotFound, and InvalidRequest for a name that several have or a channel that takes no texts.
        """
        number = self._named(to)
        if number.startswith("@"):
            raise NotFound(f"No person {number[:64]!r} is known.", hint="list_contacts shows the people the bot knows.")
        if is_person(number):
            return Address(chat_id=number, kind=ChatKind.PRIVATE)
        channel = chat_ref(number).number
        if channel in self.people:
            return Address(chat_id=private_chat(channel), kind=ChatKind.PRIVATE, title=self.people[channel].name)
        place = await self.place(await self._channel_of(chat_ref(channel)))
        if not place.holds_text:
            raise InvalidRequest("This channel takes no texts.", hint="list_chats shows the channels that do.")
        spot = await self.spot(channel)
        return Address(chat_id=spot.chat.id, thread_id=spot.thread, kind=spot.chat.kind, title=spot.chat.title)

    async def person_address(self, person: str) -> Address:
        """Return the private chat of a person by their id. Raises what Discord answers where there is no such person."""
        known = person_of(await self._client.call("GET", "/users/{user_id}", user_id=person))
        return Address(chat_id=private_chat(known.id), kind=ChatKind.PRIVATE, title=known.name)

    def _named(self, to: str) -> str:
        """Return the id that a name means; what is no name as it is."""
        if to.startswith("@"):
            same = [person for person in self.people.values() if (person.username or "").casefold() == to[1:].casefold()]
            return private_chat(same[0].id) if same else to
        if not to.startswith("#"):
            return to
        found = [id for id, place in self._places.items() if not place.is_thread and place.name.casefold() == to[1:].casefold()]
        if not found:
            raise NotFound(f"No channel {to[:64]!r} is known.", hint="list_chats shows the channels.")
        if len(found) > 1:
            raise InvalidRequest(f"Several channels are called {to[:64]!r}: {', '.join(found[:10])}.", hint="Use one of these ids.")
        return found[0]

    def chats_of(self, guild: str) -> list[str]:
        """Return the known channels of a server, without its threads."""
        return [id for id, place in self._places.items() if place.guild == guild and not place.is_thread]

    def threads_of(self, channel: str) -> list[str]:
        """Return the known threads of a channel, the newest first."""
        return sorted((id for id, place in self._places.items() if place.is_thread and place.parent == channel), key=int, reverse=True)

    async def fetch_message(self, channel: str, message: str) -> Json:
        """Ask Discord for a message."""
        return await self._client.call("GET", "/channels/{channel_id}/messages/{message_id}", channel_id=channel, message_id=message)

    def _chat(self, channel: str, place: Place) -> Chat:
        kind = ChatKind.CHANNEL if place.type == NEWS else ChatKind.GROUP
        return Chat(id=channel, kind=kind, title=f"#{place.name} ({self.guilds.get(place.guild or '', 'server')})")

    async def channel(self, chat_id: str, *, message_id: str | None = None, thread_id: str | None = None) -> str:
        """Return the channel to write or read in for a chat: its own, or the thread of it that is named or that a message is in.

        Raises NotFound for a chat that is not seen, and for a thread or message of another one.
        """
        of_chat = await self._channel_of(chat_ref(chat_id))
        wanted = message_ref(message_id).channel if message_id is not None else of_chat
        if thread_id is not None and wanted in {of_chat, thread_id}:
            wanted = thread_id
        if wanted != of_chat and not await self._is_in(wanted, of_chat):
            what = f"thread '{thread_id}'" if message_id is None else f"message '{message_id}'"
            raise NotFound(f"The {what[:80]} is not in the chat '{chat_id}'.", hint="get_messages shows the messages and threads of a chat.")
        return wanted

    async def _is_in(self, thread: str, channel: str) -> bool:
        """Return whether a thread is one of a channel; one that was deleted is in none."""
        try:
            return thread.isdecimal() and (await self.place(thread)).parent == channel
        except HTTPException as error:
            if error.code != UNKNOWN_CHANNEL:
                raise
            return False

    async def _channel_of(self, chat: ChatRef) -> str:
        if chat.is_private:
            return await self._private_channel(chat.number)
        if self._only is not None and not self.sees((await self.place(chat.number)).guild):
            raise NotFound("This instance sees one server, and the channel is in another.", hint="list_chats shows the channels it sees.")
        return chat.number

    async def _private_channel(self, person: str) -> str:
        known = next((channel for channel, partner in self.partners.items() if partner.id == person), None)
        if known is not None:
            return known
        made = await self._client.call("POST", "/users/@me/channels", json={"recipient_id": person})
        self.add(made)
        return made["id"]

    def chats(self) -> list[Chat]:
        private = [
            Chat(id=private_chat(person.id), kind=ChatKind.PRIVATE, title=person.name, username=person.username)
            for person in reversed(self.partners.values())
        ]
        return private + [self._chat(id, place) for id, place in self._places.items() if not place.is_thread]


def _title(thread: Place, parent: Place) -> str:
    """Return the title of a thread, with the names of a post's tags."""
    names = [name for id, name in parent.offered if id in thread.tags]
    return f"{thread.name} [{', '.join(names)}]" if names else thread.name


def person_of(user: Json) -> Contact:
    """Return the person of any event or answer; in servers a nickname comes as `nick`."""
    name = user.get("nick") or user.get("global_name") or user.get("username") or ""
    return Contact(id=user["id"], name=name, username=user.get("username"), is_bot=user.get("bot", False))


def by_id(people: Iterable[Contact]) -> dict[str, Contact]:
    return {person.id: person for person in people}
