"""Events of the gateway, and messages of the history, into ours."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from providers.discord.attachments import media_of
from providers.discord.choices import chosen
from providers.discord.directory import DIRECT, Directory, person_of
from providers.discord.edits import OwnEdits
from providers.discord.ids import message_id, time_of
from providers.discord.nonce import Nonces
from providers.discord.reactions import Reactions
from providers.discord.system import sentence
from providers.kit.bounded import bounded_raw
from providers.kit.parts import is_part
from providers.models import (
    Account,
    Chat,
    ChatChanged,
    Contact,
    Event,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageKind,
    MessageReceived,
    Poll,
    ReactionChanged,
    TextFormat,
)

Json = dict[str, Any]

_REPLY = 19

READ_BACK = "a message of the history"
"""Our own name, beside Discord's names of events."""


class Translator:
    """For one bot, who is `me`."""

    def __init__(self, me: Account, directory: Directory, nonces: Nonces, own_edits: OwnEdits) -> None:
        self._me = me
        self._directory = directory
        self._nonces = nonces
        self._own_edits = own_edits
        self._reactions = Reactions()

    async def events_of(self, kind: str, data: Json) -> list[Event]:
        """What an event says. Raises KeyError, TypeError or ValueError for one that is not of Discord's form, and what a call raises."""
        return await _TRANSLATIONS[kind](self, data)

    async def received(self, message: Json) -> list[Event]:
        sender = _sender(message)
        if sender.id == self._me.id and is_part(self._nonces.read(message)):
            return []
        if "guild_id" not in message and sender.id != self._me.id:
            self._directory.meet(message["channel_id"], sender)
        chat, thread = await self._directory.chat(message["channel_id"])
        self._directory.saw(sender)
        told = self.message(message, chat, thread)
        return [MessageReceived(message=told, chat=chat, sender=sender, client_id=self._nonces.read(message) if told.outgoing else None)]

    def message(self, message: Json, chat: Chat, thread: str | None) -> Message:
        sender = _sender(message)
        told, media, poll = sentence(message, sender.name), media_of(message), _poll(message)
        kind = MessageKind.SYSTEM if told else MessageKind.MEDIA if media else MessageKind.POLL if poll else MessageKind.TEXT
        return Message(
            id=message_id(message["channel_id"], message["id"]),
            chat_id=chat.id,
            at=_time(message["timestamp"]),
            outgoing=sender.id == self._me.id,
            sender_id=sender.id,
            sender_name=sender.name,
            kind=kind,
            text=told or _text(message),
            format=TextFormat.PLAIN if told else TextFormat.MARKDOWN,
            reply_to=_reply_to(message),
            thread_id=thread,
            media=media,
            poll=poll,
            mentions_me=any(user["id"] == self._me.id for user in message.get("mentions", [])),
            raw=bounded_raw(message, "id"),
        )

    async def pressed(self, press: Json) -> list[Event]:
        """A pressed button is a message with what the button says, in reply to the message it hangs on."""
        picked = chosen(press)
        if picked is None:
            return []
        under = press["message"]
        sender = person_of({**(press.get("user") or press["member"]["user"]), "nick": press.get("member", {}).get("nick")})
        if "guild_id" not in press:
            self._directory.meet(press["channel_id"], sender)
        chat, thread = await self._directory.chat(press["channel_id"])
        button = message_id(press["channel_id"], under["id"])
        message = Message(
            id=f"{button}:{press['id']}",
            chat_id=chat.id,
            at=time_of(int(press["id"])),
            sender_id=sender.id,
            sender_name=sender.name,
            text=picked[1] or picked[0],
            chosen=picked[0],
            reply_to=button,
            thread_id=thread,
            mentions_me=True,
        )
        return [MessageReceived(message=message, chat=chat, sender=sender)]

    async def edited(self, message: Json) -> list[Event]:
        """Discord also tells when it added the preview of a link; then nobody edited."""
        if not message.get("edited_timestamp") or "content" not in message or self._own_edits.is_echo(message):
            return []
        chat, _ = await self._directory.chat(message["channel_id"])
        id = message_id(message["channel_id"], message["id"])
        return [MessageEdited(chat_id=chat.id, message_id=id, text=_text(message), at=_time(message["edited_timestamp"]))]

    async def deleted(self, data: Json) -> list[Event]:
        chat, _ = await self._directory.chat(data["channel_id"])
        ids = data.get("ids") or [data["id"]]
        return [MessageDeleted(chat_id=chat.id, message_id=message_id(data["channel_id"], id), at=datetime.now(UTC)) for id in ids]

    async def reacted(self, data: Json) -> list[Event]:
        """Of other people: whoever sets ours knows of it."""
        return [] if data["user_id"] == self._me.id else [await self._reaction(data, self._reactions.added(data))]

    async def unreacted(self, data: Json) -> list[Event]:
        """One person's reaction, or everybody's with one emoji, or all of them."""
        if data.get("user_id") == self._me.id:
            return []
        if "user_id" in data:
            return [await self._reaction(data, self._reactions.removed(data))]
        return [await self._reaction({**data, "user_id": user}, emojis) for user, emojis in self._reactions.cleared(data).items()]

    async def _reaction(self, data: Json, emojis: tuple[str, ...]) -> Event:
        chat, _ = await self._directory.chat(data["channel_id"])
        id = message_id(data["channel_id"], data["message_id"])
        return ReactionChanged(chat_id=chat.id, message_id=id, sender_id=data["user_id"], emojis=emojis, at=datetime.now(UTC))

    async def channel(self, channel: Json) -> list[Event]:
        place = self._directory.add(channel)
        if place.is_thread or place.type == DIRECT:
            return []
        chat, _ = await self._directory.chat(channel["id"])
        return [ChatChanged(chat=chat)]

    async def channel_gone(self, channel: Json) -> list[Event]:
        self._directory.remove(channel["id"])
        return []

    async def guild(self, guild: Json) -> list[Event]:
        self._directory.rename_guild(guild)
        return []

    async def guild_gone(self, guild: Json) -> list[Event]:
        """Without `unavailable` we were taken out of it; with it Discord has an outage."""
        if not guild.get("unavailable"):
            self._directory.remove_guild(guild["id"])
        return []


_TRANSLATIONS: dict[str, Callable[[Translator, Json], Awaitable[list[Event]]]] = {
    "MESSAGE_CREATE": Translator.received,
    READ_BACK: Translator.received,
    "INTERACTION_CREATE": Translator.pressed,
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
    "GUILD_UPDATE": Translator.guild,
    "GUILD_DELETE": Translator.guild_gone,
}

TRANSLATED = frozenset(_TRANSLATIONS)


def _sender(message: Json) -> Contact:
    """A webhook writes under any name; it counts as a bot."""
    author = message["author"]
    member: Json = message.get("member") or {}
    return person_of({**author, "nick": member.get("nick"), "bot": author.get("bot", False) or "webhook_id" in message})


def _text(message: Json) -> str:
    """What was written; of a message that only forwards or shows something, what it shows."""
    forwarded = [snapshot["message"].get("content", "") for snapshot in message.get("message_snapshots", [])]
    cards = [line for embed in message.get("embeds", []) for line in (embed.get("title"), embed.get("description"))]
    stickers = [sticker["name"] for sticker in message.get("sticker_items", [])]
    choices = (message["content"], *("\n".join(filter(None, lines)) for lines in (forwarded, cards, stickers)))
    question = message["poll"]["question"].get("text", "") if message.get("poll") else ""
    return next(filter(None, (*choices, question)), "")


def _reply_to(message: Json) -> str | None:
    replied = message.get("message_reference")
    if message["type"] != _REPLY or replied is None or "message_id" not in replied:
        return None
    return message_id(replied.get("channel_id", message["channel_id"]), replied["message_id"])


def _poll(message: Json) -> Poll | None:
    poll = message.get("poll")
    if poll is None or len(poll["answers"]) < 2:
        return None
    options = tuple(_label(answer["poll_media"]) for answer in poll["answers"])
    return Poll(question=poll["question"].get("text", ""), options=options, multiple=poll.get("allow_multiselect", False))


def _label(media: Json) -> str:
    emoji: Json = media.get("emoji") or {}
    return media.get("text") or emoji.get("name") or ""


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
