"""A Slack app's bot behind the port."""

import json
import mimetypes
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from providers.base import Deliver, ProviderContext, Settings, WebhookReply, WebhookRequest
from providers.capabilities import Capability
from providers.errors import Forbidden, InvalidRequest, MessengerError, NotFound, RateLimited
from providers.groups import Group, GroupChange
from providers.kit.background import ConnectedProvider
from providers.kit.bounded import BoundedMap
from providers.kit.extra import check_extra
from providers.kit.parts import SPLIT_HINT, check_parts, is_split
from providers.limits import Limits, Rate
from providers.models import Account, Address, Chat, ChatMarks, Contact, Download, Draft, Found, Media, Message, SentMessage, TextFormat
from providers.slack import addresses
from providers.slack.client import SlackClient, connect, in_each_workspace
from providers.slack.connection import Connection, Timing, identify
from providers.slack.directory import Directory, chat_of, contact_of
from providers.slack.emoji import name_of
from providers.slack.errors import slack_errors
from providers.slack.groups import Groups
from providers.slack.ids import before, is_message, place_of
from providers.slack.inbound import Identity, Translator
from providers.slack.interactions import Interactions
from providers.slack.outbound import ALARMING_EXTRA, KNOWN_EXTRA, SAID_BY_DRAFT, SECTION_MAX, Sender, drafts_of, written_length
from providers.slack.position import Position
from providers.slack.reactions import Reactions
from providers.slack.responses import Responses
from providers.slack.searching import found_of
from providers.slack.settings import SlackSettings
from providers.slack.streams import Streams
from providers.slack.webhook import is_signed, parse

_SCOPES: dict[Capability, tuple[str, ...]] = {
    Capability.MEDIA: ("files:write",),
    Capability.DOWNLOAD: ("files:read",),
    Capability.REACT: ("reactions:write",),
    Capability.CHATS: ("channels:read", "groups:read", "im:read", "mpim:read"),
    Capability.CONTACTS: ("users:read",),
    Capability.HISTORY: ("channels:history", "groups:history", "im:history", "mpim:history"),
    Capability.GROUPS: ("groups:write",),
    Capability.GROUP_MESSAGES: ("channels:history", "groups:history", "mpim:history"),
}
"""The scopes of which a capability needs one."""
_MAX_BUTTONS = 25
_MAX_BUTTON_TITLE = 75
# Slack takes about one message a second.
_PARTS_MAX = 20
_HISTORY_PAGE = 200
_SEARCH_PAGE = 100
_OF_PERSON = (Capability.SEARCH, Capability.MARK_READ, Capability.CHAT_MARKS)
_NEEDS_PERSON = (
    "Set user_token to a person's token (xoxp-) with search:read, and channels:write, groups:write, im:write and mpim:write for read marks."
)
_THREAD_PAGES = 10


class SlackProvider(ConnectedProvider[Connection]):
    """Searching and read marks are a person's: they need `user_token`."""

    name = "slack"
    title = "Slack"
    capabilities = frozenset(
        {
            Capability.REPLY,
            Capability.THREADS,
            Capability.FORMATTING,
            Capability.MEDIA,
            Capability.DOWNLOAD,
            Capability.CHOICES,
            Capability.EDIT,
            Capability.DELETE,
            Capability.REACT,
            Capability.TYPING,
            Capability.PIN,
            Capability.CHATS,
            Capability.ARCHIVE,
            Capability.CONTACTS,
            Capability.HISTORY,
            Capability.GROUPS,
            Capability.GROUP_MESSAGES,
            Capability.MARK_READ,
            Capability.CHAT_MARKS,
            Capability.SEARCH,
            Capability.WEBHOOK,
        }
    )
    limits = Limits(
        # Slack cuts what is longer without a word.
        max_text=40_000,
        max_upload=1_000_000_000,
        max_download=1_000_000_000,
        chat_rate=Rate(count=1, seconds=1),
        group_rate=Rate(count=1, seconds=1),
    )
    settings_type = SlackSettings

    def __init__(self, settings: Settings, context: ProviderContext, *, timing: Timing | None = None) -> None:
        super().__init__(settings, context)
        self._settings = SlackSettings.model_validate(settings)
        self._timing = timing or Timing()
        self._desk: _Desk | None = None

    @property
    def _at(self) -> "_Desk":
        """Sending needs no running connection, only the token."""
        if self._desk is None:
            client = connect(self._settings.bot_token, self._settings.base_url, self.context.tls)
            self._desk = _Desk(client, self._timing)
        return self._desk

    async def identify(self) -> Account:
        return (await self._at.identity()).account

    def _connect(self, deliver: Deliver) -> Connection:
        position = Position(self.context.data_dir, self.context.heard_until)
        desk = self._at
        stopped = desk.sender.stopped
        return Connection(desk.client, deliver, desk.translator, desk.interactions, position, self._settings.app_token, stopped, self._timing)

    async def _disconnect(self) -> None:
        desk, self._desk = self._desk, None
        if desk is not None:
            await desk.client.http.close()

    def check(self, draft: Draft) -> None:
        super().check(draft)
        check_extra(draft, self.title, reserved=SAID_BY_DRAFT, known=KNOWN_EXTRA)
        if not draft.mass_mentions and (alarming := ALARMING_EXTRA & draft.extra.keys()):
            raise InvalidRequest(
                f"extra.{min(alarming)} would let bare words such as @channel alarm everybody.",
                hint="Name people as <@U123> in a Markdown text, or allow mass mentions with mass_mentions.",
            )
        if draft.choices and (draft.upload is not None or "blocks" in draft.extra):
            raise InvalidRequest("Slack shows choices only under a text.", hint="Send the file or the blocks as a message of their own.")
        if len(draft.choices) > _MAX_BUTTONS or any(len(choice.title) > _MAX_BUTTON_TITLE for choice in draft.choices):
            raise InvalidRequest(
                f"Slack takes {_MAX_BUTTONS} choices with titles of {_MAX_BUTTON_TITLE} characters.", hint="Offer fewer or shorter ones."
            )

    def check_lengths(self, draft: Draft) -> None:
        """Raise InvalidRequest for what is too long as Slack counts it: with its markup, and less where there are buttons."""
        if is_split(draft):
            check_parts([part.text for part in drafts_of(draft, self.limits)], _PARTS_MAX)
            return
        super().check_lengths(draft)
        limit = SECTION_MAX if draft.choices else self.limits.max_text
        if (length := written_length(draft)) > limit:
            raise InvalidRequest(f"The text has {length} characters with its markup; Slack takes {limit}.", hint=SPLIT_HINT)

    async def send(self, draft: Draft) -> SentMessage:
        return await self._at.sender.send(draft, self.limits)

    async def edit(self, chat_id: str, message_id: str, text: str, format: TextFormat) -> None:
        await self._at.sender.edit(Draft(client_id="0", chat_id=chat_id, text=text, format=format), message_id)

    async def grow(self, chat_id: str, message_id: str, text: str, format: TextFormat, *, is_whole: bool) -> None:
        """The text is Markdown from its beginning on, whatever its format is while it grows."""
        await self._at.sender.grow(Draft(client_id="0", chat_id=chat_id, text=text, format=format), message_id, is_whole=is_whole)

    @classmethod
    def address(cls, to: str) -> str:
        return addresses.address_of(to)

    @classmethod
    def must_resolve(cls, to: str) -> bool:
        return addresses.must_resolve(to)

    async def resolve(self, to: str) -> Address:
        return await addresses.resolve(self.address(to), self._at.client, self._at.directory, self._at.sender)

    async def lacking(self) -> Mapping[Capability, str]:
        """Return what the token has no scope for, where Slack has named its scopes."""
        has = self._at.client.scopes
        of_person: dict[Capability, str] = {} if self._settings.user_token is not None else dict.fromkeys(_OF_PERSON, _NEEDS_PERSON)
        if not has:
            return of_person
        return of_person | {
            capability: f"The token needs the scope {' or '.join(scopes)}. Add it on the app's page and install the app again."
            for capability, scopes in _SCOPES.items()
            if not has.intersection(scopes)
        }

    async def set_typing(self, chat_id: str, typing: bool, message_id: str | None = None) -> None:
        """Show that the app is thinking, under the message it answers: until it has answered, for two minutes at most."""
        if message_id is None or not is_message(message_id):
            raise NotFound("Slack shows that an app is thinking only under a message, and there is none.", hint="Just send the message.")
        await self._at.sender.set_thinking(chat_id, message_id, thinking=typing)

    async def delete(self, chat_id: str, message_id: str) -> None:
        channel, ts = place_of(chat_id, message_id)
        with slack_errors():
            await self._at.client.call("chat.delete", channel=channel, ts=ts)

    async def react(self, chat_id: str, message_id: str, emoji: str | None) -> None:
        """Slack keeps several reactions of one person; ours is one."""
        channel, ts = place_of(chat_id, message_id)
        wanted = None if emoji is None else name_of(emoji)
        ours = await self._at.reactions.of(channel, ts, (await self._me()).account.id)
        if wanted is not None and wanted not in ours:
            await self._reaction("reactions.add", channel, ts, wanted)
        for name in ours:
            if name != wanted:
                await self._reaction("reactions.remove", channel, ts, name)

    async def pin_message(self, chat_id: str, message_id: str, pinned: bool) -> None:
        """Needs the scope pins:write."""
        channel, ts = place_of(chat_id, message_id)
        await self._unless_already("pins.add" if pinned else "pins.remove", ("already_pinned", "no_pin"), channel=channel, timestamp=ts)

    async def archive_chat(self, chat_id: str, archived: bool) -> None:
        """Slack archives a channel for everybody, and lets no bot take one out that it was removed from by that."""
        channel = await self._at.sender.channel_of(chat_id)
        method = "conversations.archive" if archived else "conversations.unarchive"
        await self._unless_already(method, ("already_archived", "not_archived"), channel=channel)

    async def _unless_already(self, method: str, as_wanted: tuple[str, ...], **arguments: str) -> None:
        """Call a method; that all is as wanted already is no failure."""
        try:
            with slack_errors():
                await self._at.client.call(method, **arguments)
        except MessengerError as refusal:
            if not any(word in refusal.detail for word in as_wanted):
                raise

    async def _reaction(self, method: str, channel: str, ts: str, name: str) -> None:
        try:
            with slack_errors():
                await self._at.client.call(method, channel=channel, timestamp=ts, name=name)
        except InvalidRequest as refusal:
            # It is as wanted: somebody was faster.
            if not any(word in refusal.detail for word in ("already_reacted", "no_reaction")):
                raise

    async def _me(self) -> Identity:
        return await self._at.identity()

    async def list_chats(self) -> Sequence[Chat]:
        """Those the bot is in."""
        kinds = "public_channel,private_channel,mpim,im"
        channels = await in_each_workspace(self._at.client, "users.conversations", "channels", types=kinds, exclude_archived=True)
        return [self._named(chat_of(channel), channel.get("user")) for channel in channels]

    def _named(self, chat: Chat, person: str | None) -> Chat:
        """Direct messages have no name but that of the person, where it is known already."""
        if chat.title or person is None:
            return chat
        return chat.model_copy(update={"title": self._at.directory.known_person(person).name})

    async def list_contacts(self) -> Sequence[Contact]:
        """The workspace's members, of the first 10,000."""
        people = await in_each_workspace(self._at.client, "users.list", "members")
        return [contact_of(person) for person in people if not person.get("deleted")]

    async def history(self, chat_id: str, *, before: str | None, limit: int) -> Sequence[Message]:
        """Return messages of the channel itself, or of a thread of it by the thread's id."""
        root: str | None = None
        if is_message(chat_id):
            chat_id, root = place_of(chat_id.partition(":")[0], chat_id)
        latest = None if before is None else place_of(chat_id, before)[1]
        channel = await self._at.sender.channel_of(chat_id)
        translator = self._at.translator(await self._me())
        with _few_readings():
            if root is not None:
                found = await self._thread(channel, root, latest, limit)
            else:
                answer = await self._at.client.call("conversations.history", channel=channel, latest=latest, limit=min(limit, _HISTORY_PAGE))
                found = answer["messages"]
        return [(await translator.received(message, channel)).message for message in found]

    async def _thread(self, channel: str, root: str, latest: str | None, limit: int) -> list[dict[str, Any]]:
        """Return the newest messages of a thread before `latest`, newest first. Slack gives a thread from its beginning, page by page."""
        found: dict[str, dict[str, Any]] = {}
        cursor: str | None = None
        for _ in range(_THREAD_PAGES):
            answer = await self._at.client.call("conversations.replies", channel=channel, ts=root, latest=latest, limit=_HISTORY_PAGE, cursor=cursor)
            # The first message comes with each page.
            found |= {message["ts"]: message for message in answer["messages"] if message["ts"] != latest}
            cursor = answer.get("response_metadata", {}).get("next_cursor") or None
            if cursor is None:
                break
        return sorted(found.values(), key=lambda message: float(message["ts"]), reverse=True)[:limit]

    def _person(self) -> SlackClient:
        """Return the client of the person whose token is set. Raises Forbidden where none is."""
        if self._settings.user_token is None:
            raise Forbidden("Slack lets no bot do this, only a person's token.", hint=_NEEDS_PERSON)
        return self._at.client.for_person(self._settings.user_token)

    async def search(self, query: str, *, chat_id: str | None, limit: int) -> Sequence[Found]:
        """Return messages that the person whose token is set may see, also where the bot is not."""
        person, translator = self._person(), self._at.translator(await self._me())
        words = query
        if chat_id is not None:
            words += f" in:<#{await self._at.sender.channel_of(chat_id)}>"
        with slack_errors():
            answer = await person.call("search.messages", query=words, count=min(limit, _SEARCH_PAGE), sort="timestamp", sort_dir="desc")
        return [await found_of(match, translator) for match in answer["messages"]["matches"]]

    async def mark_read(self, chat_id: str, message_id: str) -> None:
        """Move the person's mark; without their token, and in chats they are not in, only this server counts what is read."""
        if self._settings.user_token is not None:
            channel, ts = place_of(await self._at.sender.channel_of(chat_id), message_id)
            await self._mark(channel, ts)

    async def mark_chat(self, chat_id: str, marks: ChatMarks) -> None:
        """Slack lets apps mark a chat as unread for the person, and neither pin nor mute it."""
        if marks.unread is None or marks.pinned is not None or marks.muted is not None:
            raise InvalidRequest("Slack lets apps mark a chat as unread, and neither pin nor mute it.", hint="Give unread alone.")
        person, channel = self._person(), await self._at.sender.channel_of(chat_id)
        with slack_errors():
            newest = (await person.call("conversations.history", channel=channel, limit=1))["messages"]
        if newest:
            await self._mark(channel, before(newest[0]["ts"]))

    async def _mark(self, channel: str, ts: str) -> None:
        try:
            with slack_errors():
                await self._person().call("conversations.mark", channel=channel, ts=ts)
        except MessengerError as refusal:
            if not any(word in refusal.detail for word in ("channel_not_found", "not_in_channel")):
                raise

    async def download(self, media: Media) -> Download:
        with slack_errors():
            file = (await self._at.client.call("files.info", file=media.ref))["file"]
        self._check_download(file.get("size"))
        url = str(file.get("url_private_download") or file.get("url_private") or "")
        if not self._at.client.is_own(url):
            raise Forbidden("The file does not lie at Slack, and the token must not go elsewhere.", hint="Open its link in a browser.")
        with slack_errors():
            status, mime, content = await self._at.client.fetch(url)
        wanted = str(file.get("mimetype") or media.mime or mimetypes.guess_type(str(file.get("name")))[0] or "application/octet-stream")
        if status in {404, 410}:
            raise NotFound("Slack does not have this file any more.", hint="Ask for it to be sent again.")
        if status != 200 or (mime == "text/html" and wanted != "text/html"):
            raise Forbidden(f"Slack did not hand out the file: status {status}.", hint="The token needs the scope files:read.")
        return Download(content=content, mime=wanted, name=str(file.get("name") or media.name or media.ref))

    def _check_download(self, size: int | None) -> None:
        limit = self.limits.max_download
        if size is not None and limit is not None and size > limit:
            raise InvalidRequest(f"The file has {size} bytes; at most {limit} are downloaded.", hint="Ask for a smaller file or a link.")

    async def list_groups(self) -> Sequence[Group]:
        return await self._at.groups.list((await self._me()).account.id)

    async def create_group(self, title: str, participants: Sequence[str]) -> GroupChange:
        """A private channel. Slack writes its name in lower case, without spaces."""
        return await self._at.groups.create(title, participants, (await self._me()).account.id)

    async def add_participants(self, group_id: str, participants: Sequence[str]) -> GroupChange:
        return await self._at.groups.add(group_id, participants, (await self._me()).account.id)

    async def remove_participants(self, group_id: str, participants: Sequence[str]) -> GroupChange:
        return await self._at.groups.remove(group_id, participants, (await self._me()).account.id)

    async def receive_webhook(self, request: WebhookRequest) -> WebhookReply:
        """Raises what `deliver` raises; Slack brings the event again."""
        secret = self._settings.signing_secret
        if secret is None or not is_signed(request, secret):
            return WebhookReply(401, "The signature is missing, wrong or older than five minutes.")
        payload = parse(request)
        if payload is None:
            return WebhookReply(400, "The body is no event of Slack.")
        if payload.get("type") == "url_verification":
            return WebhookReply(body=json.dumps({"challenge": str(payload.get("challenge", ""))}), content_type="application/json")
        if self._connection is None or not await self._connection.receive(payload):
            return WebhookReply(503, "The instance is not running yet.")
        return WebhookReply()


@contextmanager
def _few_readings() -> Generator[None]:
    """Read history inside: a limit on that has a reason which Slack does not name."""
    try:
        with slack_errors():
            yield
    except RateLimited as error:
        raise RateLimited(
            error.retry_after,
            f"{error.detail} Apps that are sold outside Slack's Marketplace read 15 messages of history a minute; internal apps read more.",
        ) from None


class _Desk:
    """What works with one client, from the first call to the stop."""

    def __init__(self, client: SlackClient, timing: Timing) -> None:
        self.client = client
        self.directory = Directory(client)
        self.reactions = Reactions(client)
        self.groups = Groups(client, self.directory)
        self._roots: BoundedMap[str, str] = BoundedMap(10_000)
        self._uploads: BoundedMap[str, str] = BoundedMap(1_000)
        responses = Responses()
        self._streams = Streams(client)
        self.sender = Sender(client, self._roots, self._uploads, responses, self._streams, timing.share_pauses)
        self.interactions = Interactions(self.directory, responses, self.sender.channel_of)
        self._identity: Identity | None = None

    def translator(self, me: Identity) -> Translator:
        self._identity = me
        return Translator(me, self.directory, self.reactions, self._roots, self._uploads, self._streams)

    async def identity(self) -> Identity:
        if self._identity is None:
            self._identity = (await identify(self.client))[0]
        return self._identity
