"""A Discord bot behind the port."""

import asyncio
import mimetypes
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from discord.errors import HTTPException

from providers.base import Deliver, ProviderContext, Settings
from providers.capabilities import Capability
from providers.discord.attachments import attachments_of, file_ref
from providers.discord.choices import check_choices
from providers.discord.client import DiscordClient, WrongCalls
from providers.discord.connection import Connection, Timing
from providers.discord.directory import UPLOAD_MAX, Directory, Place, by_id, person_of
from providers.discord.edits import OwnEdits
from providers.discord.errors import UNKNOWN_CHANNEL, discord_errors
from providers.discord.fields import texts
from providers.discord.ids import chat_meant, is_person, message_ref
from providers.discord.inbound import Translator
from providers.discord.nonce import Nonces
from providers.discord.outbound import (
    KNOWN_EXTRA,
    MESSAGES,
    NOBODY,
    OF_POST,
    POLL_OPTION,
    POLL_OPTIONS,
    POLL_QUESTION,
    SAID_BY_DRAFT,
    TEXT_MAX,
    TITLE,
    alarms_many,
    check_content,
    create_post,
    drafts_of,
    permission_for,
    rendered,
    send_draft,
    sent_message,
)
from providers.discord.position import Position
from providers.discord.reactions import emoji_for_path, emoji_text
from providers.discord.receiver import Receiver
from providers.discord.settings import DiscordSettings
from providers.errors import InvalidRequest, MessengerError, NotFound, RateLimited, Unreachable
from providers.kit.background import ConnectedProvider
from providers.kit.extra import check_extra
from providers.kit.parts import check_parts, is_split, send_parts
from providers.limits import Limits, Rate
from providers.models import Account, Address, Chat, Contact, Download, Draft, Found, Media, Message, Poll, SentMessage, TextFormat
from providers.proxies import proxy_for

Json = dict[str, Any]

# Discord takes 5 messages in 5 s.
_PARTS_MAX = 20

_PAGE = 100
# Of a forum, whose messages are read post by post.
_POSTS_READ = 10
_TITLE_MAX = 100
# Of each server; whoever needs more asks Discord itself.
_MEMBERS_MAX = 1000

_MESSAGE = f"{MESSAGES}/{{message_id}}"
_PIN = f"{MESSAGES}/pins/{{message_id}}"
_MY_REACTION = f"{_MESSAGE}/reactions/{{emoji}}/@me"

_SEARCH_PAGE = 25
_INDEX_SECONDS = 5.0

_PERMISSIONS: dict[Capability, tuple[int, str]] = {
    Capability.REACT: (1 << 6, "Add Reactions"),
    Capability.MEDIA: (1 << 15, "Attach Files"),
    Capability.HISTORY: (1 << 16, "Read Message History"),
    Capability.SEARCH: (1 << 16, "Read Message History"),
    Capability.PIN: (1 << 51, "Pin Messages"),
    Capability.THREADS: (1 << 38, "Send Messages in Threads"),
    Capability.POLL: (1 << 49, "Create Polls"),
}
"""What a capability needs in servers (https://docs.discord.com/developers/topics/permissions)."""

_FILE_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})


class DiscordProvider(ConnectedProvider[Connection]):
    """Chats are the text channels of the servers the bot is in, and private chats, called `user:<person>`."""

    name = "discord"
    title = "Discord"
    capabilities = frozenset(
        {
            Capability.REPLY,
            Capability.FORMATTING,
            Capability.MEDIA,
            Capability.DOWNLOAD,
            Capability.POLL,
            Capability.EDIT,
            Capability.DELETE,
            Capability.REACT,
            Capability.PIN,
            Capability.TYPING,
            Capability.CHATS,
            Capability.CONTACTS,
            Capability.HISTORY,
            Capability.THREADS,
            Capability.CHOICES,
            Capability.SEARCH,
            Capability.GROUP_MESSAGES,
        }
    )
    limits = Limits(
        max_text=TEXT_MAX,
        max_caption=TEXT_MAX,
        max_upload=UPLOAD_MAX,
        max_download=100 * 2**20,
        overall_rate=Rate(count=50, seconds=1),
        chat_rate=Rate(count=5, seconds=5),
        edit_pause=2.0,
    )
    settings_type = DiscordSettings

    def __init__(self, settings: Settings, context: ProviderContext, *, timing: Timing | None = None, wrong_calls: WrongCalls | None = None) -> None:
        super().__init__(settings, context)
        self._settings = DiscordSettings.model_validate(settings)
        self._timing = timing or Timing()
        self._wrong_calls = wrong_calls
        self._nonces = Nonces(context.instance_id)
        self._own_edits = OwnEdits()
        self._held: tuple[DiscordClient, Directory] | None = None

    def _open(self) -> tuple[DiscordClient, Directory]:
        """Sending needs no running connection, only the token."""
        if self._held is None:
            client = DiscordClient(self._settings.bot_token, self._settings.base_url, self.context.tls, self._wrong_calls)
            self._held = client, Directory(client, self._settings.guild_id)
        return self._held

    async def identify(self) -> Account:
        with discord_errors():
            me = person_of(await self._open()[0].me())
        return Account(id=me.id, name=me.name, username=me.username)

    def _connect(self, deliver: Deliver) -> Connection:
        proxy_for(self._settings.base_url)
        client, directory = self._open()
        position = Position(self.context.data_dir / "read.json", self.context.heard_until)
        receiver = Receiver(client, deliver, directory, position, self._timing.pauses, self._timing.catching)

        def make_translator(me: Account) -> Translator:
            return Translator(me, directory, self._nonces, self._own_edits)

        return Connection(client, directory, receiver, self._settings, make_translator, self._timing)

    async def _disconnect(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await held[0].close()

    @classmethod
    def address(cls, to: str) -> str:
        return chat_meant(to)

    @classmethod
    def must_resolve(cls, to: str) -> bool:
        """Whether it may be a thread, a person or a name: a number alone does not say what it is of."""
        return not is_person(to)

    async def resolve(self, to: str) -> Address:
        """Return the chat, and the thread, that an address means."""
        directory = self._open()[1]
        with discord_errors():
            try:
                return await directory.address(chat_meant(to))
            except HTTPException as error:
                if error.code != UNKNOWN_CHANNEL or not to.isdecimal():
                    raise
                return await directory.person_address(to)

    def check(self, draft: Draft) -> None:
        """Raise Unsupported or InvalidRequest for a draft that Discord is known to refuse; of a forum, where it is known as one."""
        super().check(draft)
        check_extra(draft, self.title, reserved=SAID_BY_DRAFT, known=KNOWN_EXTRA)
        if not draft.mass_mentions and "allowed_mentions" in draft.extra and alarms_many(draft.extra["allowed_mentions"]):
            raise InvalidRequest(
                "extra.allowed_mentions would let the text alarm everybody or a role.",
                hint="Name people alone in it, or allow mass mentions with mass_mentions.",
            )
        if draft.poll is not None:
            _check_poll(draft.poll)
        check_choices(draft.choices)
        check_content(draft)
        place = None if self._held is None else self._held[1].known(draft.chat_id)
        if place is not None and draft.thread_id is None and draft.reply_to is None:
            _check_post(place, draft)

    def check_lengths(self, draft: Draft) -> None:
        """Raise InvalidRequest for what is too long as it goes out: in a plain text each character that is Markdown gets a backslash."""
        if draft.upload is not None and self._held is not None:
            _check_upload(len(draft.upload.content), self._held[1].largest_upload(draft.chat_id))
        if is_split(draft):
            check_parts([part.text for part in drafts_of(draft, self.limits)], _PARTS_MAX)
            return
        super().check_lengths(draft)
        super().check_lengths(draft.model_copy(update={"text": rendered(draft.text, draft.format)}))

    async def send(self, draft: Draft) -> SentMessage:
        client, directory = self._open()
        with _nothing_sent(), discord_errors():
            await client.me()
            channel = await directory.channel(draft.chat_id, message_id=draft.reply_to, thread_id=draft.thread_id)
            place = await directory.place(channel)
            _check_post(place, draft)
            if draft.upload is not None:
                _check_upload(len(draft.upload.content), directory.largest_upload(channel if not is_person(draft.chat_id) else draft.chat_id))
            spot = await directory.spot(channel)
        of_post = {name: value for name, value in draft.extra.items() if name in OF_POST}
        parts = drafts_of(draft.model_copy(update={"extra": {name: draft.extra[name] for name in draft.extra.keys() - OF_POST}}), self.limits)
        thread = channel if place.is_thread else None

        async def send(part: Draft, number: int) -> SentMessage:
            nonlocal thread
            if place.is_forum and thread is None:
                with discord_errors(permission_for(part, in_thread=False, is_post=True)):
                    post = await create_post(client, channel, part, _post_of(place, of_post))
                thread = post["id"]
                directory.add(post, place.guild)
                return sent_message(post["message"], spot.chat.id, thread)
            message = await self._send_once(client, thread or channel, part, self._nonces.write(draft.client_id, number, len(parts)), place)
            return sent_message(message, spot.chat.id, thread)

        return await send_parts(parts, send)

    async def _send_once(self, client: DiscordClient, channel: str, draft: Draft, nonce: str, place: Place) -> Json:
        """Send again where it may have gone out: the nonce makes one message of all tries."""
        doubt: Unreachable | None = None
        for pause in (*self._timing.resend_pauses, None):
            try:
                with discord_errors(permission_for(draft, in_thread=place.is_thread or place.is_forum)):
                    return await send_draft(client, channel, draft, nonce)
            except MessengerError as error:
                if isinstance(error, Unreachable) and error.maybe_sent:
                    doubt = error
                if doubt is None:
                    raise
                if pause is None or not isinstance(error, Unreachable):
                    # Whatever the last try was answered, an earlier one may have gone out.
                    raise doubt from error
                await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def list_chats(self) -> Sequence[Chat]:
        directory = self._open()[1]
        await directory.until_told(self._timing.servers_seconds)
        return directory.chats()

    async def list_contacts(self) -> Sequence[Contact]:
        """Who wrote, and the members of the servers where Discord lets the bot see them."""
        client, directory = self._open()
        await directory.until_told(self._timing.servers_seconds)
        people = by_id([*directory.partners.values(), *directory.people.values()])
        if self._connection is not None and self._connection.sees_members:
            for guild in list(directory.guilds):
                with discord_errors():
                    members = await client.call("GET", "/guilds/{guild_id}/members", guild_id=guild, params={"limit": str(_MEMBERS_MAX)})
                people |= by_id(person_of({**member["user"], "nick": member.get("nick")}) for member in members)
        return list(people.values())

    async def lacking(self) -> Mapping[Capability, str]:
        """Return what Discord does not let the bot do: by its settings, and by its roles where none of its servers allows it."""
        client, directory = self._open()
        found: dict[Capability, str] = {}
        if self._connection is not None and (missing := self._connection.content_missing) is not None:
            found[Capability.GROUP_MESSAGES] = found[Capability.SEARCH] = missing
        servers = list(directory.guilds)
        if servers:
            me = str((await client.me())["id"])
            allowed = [directory.permissions(server, me) for server in servers]
            for capability, (bit, name) in _PERMISSIONS.items():
                if not any(one is None or one & bit for one in allowed):
                    found[capability] = f"None of the bot's servers gives it the permission {name}."
        return found

    async def search(self, query: str, *, chat_id: str | None, limit: int) -> Sequence[Found]:
        """Return messages of the servers, newest first; of private chats Discord lets no bot search any."""
        client, directory = self._open()
        await directory.until_told(self._timing.servers_seconds)
        params: dict[str, str] = {"content": query}
        servers = list(directory.guilds)
        if chat_id is not None:
            with discord_errors():
                channel = await directory.channel(chat_id)
                place = await directory.place(channel)
            if place.guild is None:
                raise InvalidRequest("Discord lets bots search servers only, not private chats.", hint="search_messages finds what is stored here.")
            servers, params["channel_id"] = [place.guild], channel
        translator = Translator(await self._me(client), directory, self._nonces, self._own_edits)
        found: list[Found] = []
        for server in servers:
            for message in await _search(client, server, params, limit):
                with discord_errors():
                    spot = await directory.spot(message["channel_id"])
                found.append(Found(message=translator.message(message, spot), chat=spot.chat))
        return sorted(found, key=lambda one: one.message.at, reverse=True)[:limit]

    async def history(self, chat_id: str, *, before: str | None, limit: int) -> Sequence[Message]:
        """Return messages of a channel, of a thread by its own id, or, of a forum, of its newest posts."""
        client, directory = self._open()
        with discord_errors():
            channel = await directory.channel(chat_id, message_id=before)
            last = None if before is None else message_ref(before).message
            translator = Translator(await self._me(client), directory, self._nonces, self._own_edits)
            places = directory.threads_of(channel)[:_POSTS_READ] if (await directory.place(channel)).is_forum else [channel]
            found = [
                translator.message(message, await directory.spot(place)) for place in places for message in await _pages(client, place, last, limit)
            ]
        return sorted(found, key=lambda message: int(message_ref(message.id).message), reverse=True)[:limit]

    async def _me(self, client: DiscordClient) -> Account:
        me = person_of(await client.me())
        return Account(id=me.id, name=me.name, username=me.username)

    async def edit(self, chat_id: str, message_id: str, text: str, format: TextFormat) -> None:
        content = rendered(text, format)
        self._own_edits.note(message_ref(message_id).message, content)
        await self._on_message("PATCH", _MESSAGE, chat_id, message_id, "Send Messages", json={"content": content, "allowed_mentions": NOBODY})

    async def delete(self, chat_id: str, message_id: str) -> None:
        await self._on_message("DELETE", _MESSAGE, chat_id, message_id, "Manage Messages")

    async def react(self, chat_id: str, message_id: str, emoji: str | None) -> None:
        """Discord takes several reactions; the one we set is the one we have."""
        wanted = None if emoji is None else emoji_for_path(emoji)
        if wanted is not None:
            await self._on_message("PUT", _MY_REACTION, chat_id, message_id, "Add Reactions, Read Message History", emoji=wanted)
        message = await self._on_message("GET", _MESSAGE, chat_id, message_id, "Read Message History")
        for reaction in message.get("reactions", []):
            if reaction["me"] and emoji_text(reaction["emoji"]) != wanted:
                await self._on_message("DELETE", _MY_REACTION, chat_id, message_id, "Read Message History", emoji=emoji_text(reaction["emoji"]))

    async def pin_message(self, chat_id: str, message_id: str, pinned: bool) -> None:
        await self._on_message("PUT" if pinned else "DELETE", _PIN, chat_id, message_id, "Read Message History, Pin Messages")

    async def set_typing(self, chat_id: str, typing: bool, message_id: str | None = None) -> None:
        """Shown for 10 s, or until the message arrives; it cannot be taken back."""
        if typing:
            client, directory = self._open()
            with discord_errors():
                await client.call("POST", "/channels/{channel_id}/typing", channel_id=await directory.channel(chat_id))

    async def download(self, media: Media) -> Download:
        client, _ = self._open()
        message, attachment_id = file_ref(media)
        with discord_errors():
            holder = await client.call("GET", _MESSAGE, channel_id=message.channel, message_id=message.message)
            attachment = next((one for one in attachments_of(holder) if one["id"] == attachment_id), None)
            if attachment is None:
                raise NotFound("The message does not have this file any more.", hint="Ask for it to be sent again.")
            limit = self.limits.max_download or 0
            if attachment["size"] > limit:
                raise InvalidRequest(f"The file has {attachment['size']} bytes; {limit} are downloaded.", hint="Ask for a smaller file or a link.")
            self._check_host(attachment["url"])
            content = await client.get_from_cdn(attachment["url"])
        name = media.name or attachment["filename"]
        mime = media.mime or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Download(content=content, mime=mime, name=name)

    def _check_host(self, url: str) -> None:
        host = urlsplit(url).hostname
        if host not in _FILE_HOSTS and host != urlsplit(self._settings.base_url).hostname:
            raise InvalidRequest("The file is not on Discord's servers.", hint="Only Discord's own files are downloaded.")

    async def _on_message(self, method: str, path: str, chat_id: str, message_id: str, permission: str, **fields: Any) -> Any:
        client, directory = self._open()
        with discord_errors(f"View Channel, {permission}"):
            channel = await directory.channel(chat_id, message_id=message_id)
            return await client.call(method, path, channel_id=channel, message_id=message_ref(message_id).message, **fields)


@contextmanager
def _nothing_sent() -> Generator[None]:
    """For the questions before a send."""
    try:
        yield
    except Unreachable as error:
        raise Unreachable(error.detail, maybe_sent=False, hint="Nothing was sent; try again later.") from error


async def _search(client: DiscordClient, server: str, params: dict[str, str], limit: int) -> list[Json]:
    """Return at most `limit` messages of a server, newest first. Raises RateLimited while Discord still prepares the server for that."""
    found: list[Json] = []
    while len(found) < limit:
        page = {**params, "limit": str(min(_SEARCH_PAGE, limit - len(found))), "offset": str(len(found))}
        with discord_errors("Read Message History"):
            answer: Json = await client.call("GET", "/guilds/{guild_id}/messages/search", guild_id=server, params=page)
        if "messages" not in answer:
            raise RateLimited(float(answer.get("retry_after") or _INDEX_SECONDS), "Discord prepares the server to be searched.")
        hits: list[Json] = [message for around in answer["messages"] for message in around if message.get("hit", True)]
        found += hits
        if not hits or len(found) >= int(answer.get("total_results") or 0):
            break
    return found


async def _pages(client: DiscordClient, channel: str, before: str | None, limit: int) -> list[Json]:
    """Return at most `limit` messages of a channel or thread, newest first, page by page."""
    found: list[Json] = []
    while len(found) < limit:
        size = min(_PAGE, limit - len(found))
        params = {"limit": str(size)} | ({"before": before} if before else {})
        page: list[Json] = await client.call("GET", MESSAGES, channel_id=channel, params=params)
        found += page
        if len(page) < size:
            break
        before = page[-1]["id"]
    return found


def _check_post(place: Place, draft: Draft) -> None:
    """Raise InvalidRequest for a message to a forum without a title or a tag that it wants, and for a title where there is no forum."""
    title = draft.extra.get(TITLE)
    if not place.is_forum:
        if said := sorted(draft.extra.keys() & OF_POST):
            raise InvalidRequest(f"Only a new post in a forum has {', '.join(said)}.", hint="Leave it out, or send to a forum.")
        return
    if not isinstance(title, str) or not 0 < len(title.strip()) <= _TITLE_MAX:
        raise InvalidRequest(
            f"“{place.name}” is a forum: it takes new posts with a title of at most {_TITLE_MAX} characters, and answers in a post.",
            hint=f'Give a title with extra {{"{TITLE}": "..."}}, or answer in a post by its thread_id.',
        )
    if draft.poll is not None:
        raise InvalidRequest("A post in a forum does not begin with a poll.", hint="Create the post with a text, then send the poll in it.")
    _post_of(place, draft.extra)


def _post_of(place: Place, fields: Json) -> Json:
    """Return the fields of a new post, its tags by their ids. Raises InvalidRequest for a tag that the forum does not have."""
    offered = ", ".join(name for _, name in place.offered)
    ids = {name.casefold(): id for id, name in place.offered} | {id: id for id, _ in place.offered}
    tags = [str(tag) for tag in texts(fields, "applied_tags")]
    if place.needs_tag and not tags:
        raise InvalidRequest(f"“{place.name}” takes posts with a tag.", hint=f'Give one with extra {{"applied_tags": ["..."]}}: {offered}.')
    if place.offered and (unknown := [tag for tag in tags if tag.casefold() not in ids]):
        raise InvalidRequest(f"“{place.name}” has no tag {', '.join(unknown)[:100]}.", hint=f"It has: {offered}.")
    post = {"name": fields[TITLE], **{name: fields[name] for name in ("auto_archive_duration",) if name in fields}}
    return post | ({"applied_tags": [ids.get(tag.casefold(), tag) for tag in tags]} if tags else {})


def _check_upload(size: int, limit: int) -> None:
    """Raise InvalidRequest for a file that is larger than the server's level of boosts allows."""
    if size > limit:
        raise InvalidRequest(f"The file has {size} bytes; this chat takes {limit}.", hint="Send a smaller file, or a link to it.")


def _check_poll(poll: Poll) -> None:
    if len(poll.question) > POLL_QUESTION or len(poll.options) > POLL_OPTIONS or any(len(option) > POLL_OPTION for option in poll.options):
        raise InvalidRequest(
            f"Discord takes questions of {POLL_QUESTION} characters and {POLL_OPTIONS} options of {POLL_OPTION}.", hint="Shorten the poll."
        )
