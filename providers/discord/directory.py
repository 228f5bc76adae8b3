"""Which channels, servers and people there are: what events name by number only. No members are kept, but those who wrote."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from providers.discord.client import DiscordClient
from providers.discord.ids import ChatRef, chat_ref, message_ref, private_chat
from providers.errors import NotFound
from providers.kit.bounded import BoundedMap
from providers.models import Chat, ChatKind, Contact

Json = dict[str, Any]

TEXT, DIRECT, VOICE, NEWS, NEWS_THREAD, THREAD, PRIVATE_THREAD, STAGE, FORUM, MEDIA_FORUM = 0, 1, 2, 5, 10, 11, 12, 13, 15, 16
_THREADS = frozenset({NEWS_THREAD, THREAD, PRIVATE_THREAD})
_WITH_TEXT = frozenset({TEXT, VOICE, NEWS, STAGE, FORUM, MEDIA_FORUM}) | _THREADS

_PEOPLE_MAX = 1000


class Place(NamedTuple):
    """A channel or thread."""

    type: int
    name: str
    guild: str | None
    parent: str | None
    """The channel that a thread is in."""

    @property
    def is_thread(self) -> bool:
        return self.type in _THREADS


class Directory:
    """`only` is the one server that is seen, where there is one."""

    def __init__(self, client: DiscordClient, only: str | None) -> None:
        self.guilds: dict[str, str] = {}
        self.partners: BoundedMap[str, Contact] = BoundedMap(_PEOPLE_MAX)
        """Private channels, the latest last, and with whom each is."""
        self.people: BoundedMap[str, Contact] = BoundedMap(_PEOPLE_MAX)
        """Who wrote, the latest last."""
        self._client = client
        self._only = only
        self._places: dict[str, Place] = {}
        self._expected: set[str] = set()
        self._all_told = asyncio.Event()
        self._all_told.set()

    def sees(self, guild: str | None) -> bool:
        return guild is None or self._only in (None, guild)

    def expect(self, guilds: Iterable[str]) -> None:
        """READY names the servers, and Discord tells of each right afterwards."""
        self._expected = {guild for guild in guilds if self.sees(guild)}
        self._all_told = asyncio.Event()
        self._told_of("")

    async def until_told(self, seconds: float) -> None:
        """Returns when all servers are known; at the latest after that time, for a server that has an outage is not told of."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._all_told.wait()

    def _told_of(self, guild: str) -> None:
        self._expected.discard(guild)
        if not self._expected:
            self._all_told.set()

    def add_guild(self, guild: Json) -> list[Json]:
        """A server as GUILD_CREATE tells of it. Returns its channels and open threads that hold text."""
        self.guilds[guild["id"]] = guild["name"]
        self._told_of(guild["id"])
        spoken = [channel for channel in [*guild.get("channels", []), *guild.get("threads", [])] if channel["type"] in _WITH_TEXT]
        for channel in spoken:
            self.add(channel, guild["id"])
        return spoken

    def rename_guild(self, guild: Json) -> None:
        self.guilds[guild["id"]] = guild["name"]

    def remove_guild(self, guild: str) -> None:
        self.guilds.pop(guild, None)
        self._told_of(guild)
        self._places = {id: place for id, place in self._places.items() if place.guild != guild}

    def add(self, channel: Json, guild: str | None = None) -> Place:
        """A channel of any event or answer. In GUILD_CREATE channels do not name their server."""
        if channel["type"] == DIRECT:
            self.meet(channel["id"], person_of(channel["recipients"][0]))
            return Place(DIRECT, "", None, None)
        place = Place(channel["type"], channel.get("name") or "", channel.get("guild_id", guild), channel.get("parent_id"))
        if place.type in _WITH_TEXT:
            self._places[channel["id"]] = place
        return place

    def remove(self, channel: str) -> None:
        self._places.pop(channel, None)

    def meet(self, channel: str, person: Contact) -> None:
        """A private channel, and whose it is."""
        self.partners[channel] = person

    def saw(self, person: Contact) -> None:
        self.people[person.id] = person

    async def place(self, channel: str) -> Place:
        """Asks Discord for a channel that is not known yet."""
        if channel in self.partners:
            return Place(DIRECT, "", None, None)
        return self._places.get(channel) or self.add(await self._client.call("GET", "/channels/{channel_id}", channel_id=channel))

    async def chat(self, channel: str) -> tuple[Chat, str | None]:
        """The chat a channel belongs to, and the thread where it is one."""
        place = await self.place(channel)
        if channel in self.partners:
            person = self.partners[channel]
            return Chat(id=private_chat(person.id), kind=ChatKind.PRIVATE, title=person.name, username=person.username), None
        if place.is_thread and place.parent is not None:
            return self._chat(place.parent, await self.place(place.parent)), channel
        return self._chat(channel, place), None

    def _chat(self, channel: str, place: Place) -> Chat:
        kind = ChatKind.CHANNEL if place.type == NEWS else ChatKind.GROUP
        return Chat(id=channel, kind=kind, title=f"#{place.name} ({self.guilds.get(place.guild or '', 'server')})")

    async def channel(self, chat_id: str, *, message_id: str | None = None, thread_id: str | None = None) -> str:
        """Where to write or read for a chat: its channel, or the thread of it that is named or that a message is in.

        Raises NotFound for a chat that is not seen, and for a thread or message of another one.
        """
        of_chat = await self._channel_of(chat_ref(chat_id))
        wanted = message_ref(message_id).channel if message_id is not None else of_chat
        if thread_id is not None and wanted in {of_chat, thread_id}:
            wanted = thread_id
        if not wanted.isdecimal() or (wanted != of_chat and (await self.place(wanted)).parent != of_chat):
            what = f"thread '{thread_id}'" if message_id is None else f"message '{message_id}'"
            raise NotFound(f"The {what[:80]} is not in the chat '{chat_id}'.", hint="get_messages shows the messages and threads of a chat.")
        return wanted

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


def person_of(user: Json) -> Contact:
    """A user of any event or answer; in servers a nickname comes with it as `nick`."""
    name = user.get("nick") or user.get("global_name") or user["username"]
    return Contact(id=user["id"], name=name, username=user["username"], is_bot=user.get("bot", False))


def by_id(people: Iterable[Contact]) -> dict[str, Contact]:
    return {person.id: person for person in people}
