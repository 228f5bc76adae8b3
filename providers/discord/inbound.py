"""Events of the gateway, and messages of the history, into ours."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from providers.discord.attachments import media_of
from providers.discord.content import LOADING, REPLY, forwarded_of, poll_of, quoted_of, words_of
from providers.discord.directory import DIRECT, Directory, Spot, person_of
from providers.discord.edits import OwnEdits
from providers.discord.fields import many, one, texts
from providers.discord.ids import command_id, message_id, time_of
from providers.discord.interactions import picked
from providers.discord.nonce import Nonces
from providers.discord.polls import Votes
from providers.discord.reactions import Reactions
from providers.discord.system import POINTING, WRITTEN, sentence
from providers.events import CHAT_DELETED, ChatChanged, ChatClosed, Event, MessageDeleted, MessageEdited, MessageReceived, PollVoted, ReactionChanged
from providers.kit.bounded import BoundedMap, BoundedSet, bounded_raw
from providers.kit.parts import is_part
from providers.kit.unread import NOT_OF_ITS_FORM, if_readable, words_despite
from providers.models import Account, Contact, Message, MessageKind, TextFormat

Json = dict[str, Any]

_EDITS_REMEMBERED = 1000

READ_BACK = "a message of the history"
"""Our own name, beside Discord's names of events."""


class Translator:
    """Translates for one bot, which is `me`."""

    def __init__(self, me: Account, directory: Directory, nonces: Nonces, own_edits: OwnEdits) -> None:
        self._me = me
        self._directory = directory
        self._nonces = nonces
        self._own_edits = own_edits
        self._reactions = Reactions()
        self._votes = Votes(directory.fetch_message)
        self._edits: BoundedMap[str, str] = BoundedMap(_EDITS_REMEMBERED)
        """By message, the time of its last edit that was reported."""
        self._loading: BoundedSet[str] = BoundedSet(_EDITS_REMEMBERED)
        """Messages that were announced and are yet to be written."""

    async def events_of(self, kind: str, data: Json) -> list[Event]:
        """Return what an event says. Raises KeyError, TypeError or ValueError for one that is not of Discord's form, and what a call raises."""
        return await _TRANSLATIONS[kind](self, data)

    async def received(self, message: Json) -> list[Event]:
        sender = _sender(message)
        if sender.id == self._me.id and is_part(self._nonces.read(message)):
            return []
        if "guild_id" not in message and sender.id != self._me.id:
            self._directory.meet(message["channel_id"], sender)
        spot = await self._directory.spot_of_message(message["channel_id"])
        if "webhook_id" not in message:
            self._directory.saw(sender)
        payload = self.message(message, spot)
        return [MessageReceived(message=payload, chat=spot.chat, sender=sender, client_id=self._nonces.read(message) if payload.outgoing else None)]

    def message(self, message: Json, spot: Spot) -> Message:
        """Return a message of Discord as ours."""
        sender = _sender(message)
        self._remember(message)
        is_notice, words = self._words(message, sender.name)
        media, poll = media_of(message), if_readable(lambda: poll_of(message), None)
        kind = MessageKind.SYSTEM if is_notice else MessageKind.MEDIA if media else MessageKind.POLL if poll else MessageKind.TEXT
        return Message(
            id=message_id(message["channel_id"], message["id"]),
            chat_id=spot.chat.id,
            at=if_readable(lambda: _time(message["timestamp"]), time_of(int(message["id"]))),
            outgoing=sender.id == self._me.id,
            sender_id=sender.id,
            sender_name=sender.name,
            kind=kind,
            text=words,
            format=TextFormat.PLAIN if is_notice else TextFormat.MARKDOWN,
            reply_to=_reply_to(message),
            thread_id=spot.thread,
            thread_title=spot.title,
            media=media,
            poll=poll,
            mentions_me=if_readable(lambda: self._mentions_me(message), otherwise=False),
            forwarded=if_readable(lambda: forwarded_of(message, self._directory), None),
            quoted=if_readable(lambda: quoted_of(message, self._directory), None),
            raw=bounded_raw(message, "id"),
        )

    def _words(self, message: Json, who: str) -> tuple[bool, str]:
        """Return whether a message is a notice of Discord, and its words."""
        try:
            notice = sentence(message, who, self._directory)
            return (True, notice) if notice else (False, words_of(message, self._directory))
        except NOT_OF_ITS_FORM:
            return message["type"] not in WRITTEN, words_despite(message.get("content"))

    def _mentions_me(self, message: Json) -> bool:
        """Whether a message means the bot: by its id, or by the role that Discord made for it."""
        people = any(user["id"] == self._me.id for user in many(message, "mentions"))
        return people or any(self._directory.is_role_of(role, self._me.id) for role in texts(message, "mention_roles"))

    def _remember(self, message: Json) -> None:
        """Keep what later events about the message do not repeat."""
        if_readable(lambda: self._votes.saw(message), None)
        if message.get("edited_timestamp"):
            self._edits[message["id"]] = message["edited_timestamp"]
        if message.get("flags", 0) & LOADING:
            self._loading.add(message["id"])

    async def interacted(self, interaction: Json) -> list[Event]:
        """Return a pressed button, a pick, a command or a dialog as a message: with what it says, in reply to the message it hangs on."""
        payload = picked(interaction, self._directory)
        if payload is None:
            return []
        member: Json = one(interaction, "member")
        sender = person_of({**(interaction.get("user") or member["user"]), "nick": member.get("nick")})
        where, channel = interaction["channel_id"], one(interaction, "channel")
        if "guild_id" not in interaction:
            self._directory.meet(where, sender)
        elif self._directory.known(where) is None and channel.get("name"):
            self._directory.add(channel, interaction["guild_id"])
        spot = await self._directory.spot_of_message(where)
        under = None if payload.under is None else message_id(where, payload.under["id"])
        message = Message(
            id=command_id(where, interaction["id"]) if under is None else f"{under}:{interaction['id']}",
            chat_id=spot.chat.id,
            at=time_of(int(interaction["id"])),
            sender_id=sender.id,
            sender_name=sender.name,
            text=payload.text,
            chosen=payload.chosen,
            reply_to=under,
            thread_id=spot.thread,
            thread_title=spot.title,
            mentions_me=True,
            quoted=payload.quoted,
            raw=bounded_raw({name: interaction[name] for name in ("id", "type", "data")}, "id"),
        )
        return [MessageReceived(message=message, chat=spot.chat, sender=sender)]

    async def edited(self, message: Json) -> list[Event]:
        """Return an edit. Discord reports the added preview of a link and a pin alike; then the time of the last edit is the old one."""
        at = self._written_at(message)
        if at is None or "content" not in message or self._own_edits.is_echo(message):
            return []
        chat = (await self._directory.spot_of_message(message["channel_id"])).chat
        self._remember(message)
        return [
            MessageEdited(
                chat_id=chat.id,
                message_id=message_id(message["channel_id"], message["id"]),
                text=self._words(message, _sender(message).name)[1],
                at=at,
                media=media_of(message) or None,
            )
        ]

    def _written_at(self, message: Json) -> datetime | None:
        """Return when a message got the words that an update shows; None where they are not new."""
        if message["id"] in self._loading and not message.get("flags", 0) & LOADING:
            self._loading.discard(message["id"])
            return datetime.now(UTC)
        edited = message.get("edited_timestamp")
        return None if not edited or self._edits.get(message["id"]) == edited else _time(edited)

    async def voted(self, data: Json) -> list[Event]:
        """Return a person's votes after one more."""
        return [await self._vote(data, is_added=True)]

    async def unvoted(self, data: Json) -> list[Event]:
        """Return a person's votes after one was taken back."""
        return [await self._vote(data, is_added=False)]

    async def _vote(self, data: Json, *, is_added: bool) -> Event:
        chat = (await self._directory.spot_of_message(data["channel_id"])).chat
        return PollVoted(
            chat_id=chat.id,
            message_id=message_id(data["channel_id"], data["message_id"]),
            sender_id=data["user_id"],
            sender_name=self._directory.person_name(data["user_id"]) or "",
            options=await self._votes.changed(data, is_added=is_added),
            at=datetime.now(UTC),
        )

    async def deleted(self, data: Json) -> list[Event]:
        chat = (await self._directory.spot_of_message(data["channel_id"])).chat
        ids = data.get("ids") or [data["id"]]
        return [MessageDeleted(chat_id=chat.id, message_id=message_id(data["channel_id"], id), at=datetime.now(UTC)) for id in ids]

    async def reacted(self, data: Json) -> list[Event]:
        """Return a reaction of other people: our own is known."""
        return [] if data["user_id"] == self._me.id else [await self._reaction(data, self._reactions.added(data))]

    async def unreacted(self, data: Json) -> list[Event]:
        """Return what is left when one person's reaction, everybody's with one emoji, or all of them were taken back."""
        if data.get("user_id") == self._me.id:
            return []
        if "user_id" in data:
            return [await self._reaction(data, self._reactions.removed(data))]
        return [await self._reaction({**data, "user_id": user}, emojis) for user, emojis in self._reactions.cleared(data).items()]

    async def _reaction(self, data: Json, emojis: tuple[str, ...]) -> Event:
        chat = (await self._directory.spot_of_message(data["channel_id"])).chat
        id = message_id(data["channel_id"], data["message_id"])
        return ReactionChanged(chat_id=chat.id, message_id=id, sender_id=data["user_id"], emojis=emojis, at=datetime.now(UTC))

    async def channel(self, channel: Json) -> list[Event]:
        place = self._directory.add(channel)
        if place.is_thread or place.type == DIRECT:
            return []
        chat = await self._directory.chat(channel["id"])
        return [ChatChanged(chat=chat)]

    async def channel_gone(self, channel: Json) -> list[Event]:
        """Return that nothing can be sent to a channel any more; a thread is no chat by itself."""
        place = self._directory.known(channel["id"])
        self._directory.remove(channel["id"])
        return [_closed(channel["id"], CHAT_DELETED)] if place is not None and not place.is_thread else []

    async def guild(self, guild: Json) -> list[Event]:
        self._directory.update_guild(guild)
        return []

    async def role(self, data: Json) -> list[Event]:
        """Note a role that is new or changed."""
        self._directory.add_role(data["guild_id"], data["role"])
        return []

    async def role_gone(self, data: Json) -> list[Event]:
        """Forget a role."""
        self._directory.remove_role(data["role_id"])
        return []

    async def member(self, data: Json) -> list[Event]:
        """Note the roles of a bot: Discord tells of ours."""
        self._directory.add_member(data["guild_id"], data)
        return []

    async def threads(self, data: Json) -> list[Event]:
        """Note the threads of a channel that the bot may see from now on."""
        for thread in data["threads"]:
            self._directory.add(thread, data["guild_id"])
        return []

    async def guild_gone(self, guild: Json) -> list[Event]:
        """Close the chats of a server that the bot was taken out of, and forget it; with `unavailable` it only has an outage."""
        if guild.get("unavailable"):
            return []
        chats, name = self._directory.chats_of(guild["id"]), self._directory.guilds.get(guild["id"], guild["id"])
        self._directory.remove_guild(guild["id"])
        return [_closed(chat, f"The bot was taken out of the server {name}.") for chat in chats]


_TRANSLATIONS: dict[str, Callable[[Translator, Json], Awaitable[list[Event]]]] = {
    "MESSAGE_CREATE": Translator.received,
    READ_BACK: Translator.received,
    "INTERACTION_CREATE": Translator.interacted,
    "MESSAGE_POLL_VOTE_ADD": Translator.voted,
    "MESSAGE_POLL_VOTE_REMOVE": Translator.unvoted,
    "MESSAGE_UPDATE": Translator.edited,
    "MESSAGE_DELETE": Translator.deleted,
    "MESSAGE_DELETE_BULK": Translator.deleted,
    "MESSAGE_REACTION_ADD": Translator.reacted,
    "MESSAGE_REACTION_REMOVE": Translator.unreacted,
    "MESSAGE_REACTION_REMOVE_ALL": Translator.unreacted,
    "MESSAGE_REACTION_REMOVE_EMOJI": Translator.unreacted,
    "CHANNEL_CREATE": Translator.channel,
    "CHANNEL_UPDATE": Translator.channel,
    "CHANNEL_DELETE": Translator.channel_gone,
    "THREAD_CREATE": Translator.channel,
    "THREAD_UPDATE": Translator.channel,
    "THREAD_DELETE": Translator.channel_gone,
    "THREAD_LIST_SYNC": Translator.threads,
    "GUILD_ROLE_CREATE": Translator.role,
    "GUILD_ROLE_UPDATE": Translator.role,
    "GUILD_ROLE_DELETE": Translator.role_gone,
    "GUILD_MEMBER_UPDATE": Translator.member,
    "GUILD_UPDATE": Translator.guild,
    "GUILD_DELETE": Translator.guild_gone,
}

TRANSLATED = frozenset(_TRANSLATIONS)


def _closed(chat_id: str, reason: str | None) -> ChatClosed:
    return ChatClosed(chat_id=chat_id, reason=reason, at=datetime.now(UTC))


def _sender(message: Json) -> Contact:
    """Return the writer. A webhook writes under any name; it counts as a bot."""
    author = message["author"]
    member: Json = one(message, "member")
    return person_of({**author, "nick": member.get("nick"), "bot": author.get("bot", False) or "webhook_id" in message})


def _reply_to(message: Json) -> str | None:
    """Return the message that is answered, or that a notice is about."""
    replied = message.get("message_reference")
    if message["type"] not in POINTING | {REPLY} or not replied or not replied.get("message_id"):
        return None
    return message_id(replied.get("channel_id", message["channel_id"]), replied["message_id"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
