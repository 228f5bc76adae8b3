"""A Telegram bot behind the port."""

import hmac
import mimetypes
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from telegram import ReactionTypeEmoji
from telegram.constants import ChatAction
from telegram.error import BadRequest, ChatMigrated, InvalidToken

from providers.base import Deliver, ProviderContext, Settings, WebhookReply, WebhookRequest
from providers.capabilities import Capability
from providers.errors import Forbidden, InvalidRequest, NotFound, Unsupported
from providers.events import ChatClosed
from providers.events import ChatMigrated as ChatMigratedEvent
from providers.kit.background import ConnectedProvider
from providers.kit.extra import check_extra
from providers.kit.parts import check_parts, is_split
from providers.limits import Limits, Rate, TextUnit
from providers.models import Account, Address, Chat, ChatKind, Download, Draft, Media, MediaKind, SentMessage, TextFormat
from providers.telegram.business import not_connected, owner_and_chat
from providers.telegram.client import BotClient, connect
from providers.telegram.connection import Connection, Timing, account_of, parse_update
from providers.telegram.context import options_of_thread
from providers.telegram.errors import reason_of_closing, telegram_errors
from providers.telegram.ids import number_of, username_in
from providers.telegram.keyboards import check_choices, with_descriptions
from providers.telegram.memory import Memory
from providers.telegram.outbound import KNOWN_EXTRA, RICH_MAX, SAID_BY_DRAFT, rendered, rich_message_of, send_draft, texts_in
from providers.telegram.people import chat_of
from providers.telegram.settings import TelegramSettings

# Markup may be longer than what is shown of it (4096), but not without end.
_MARKUP_MAX = 32_768

# Of a split text. Telegram lets a bot send 20 messages a minute into a group.
_MAX_PARTS = 20

_EMOJI_STYLE = "\ufe0f"

_PRIVACY_MODE = (
    "Privacy mode is on: in groups the bot hears only commands, mentions of it and answers to it. Turn it off with @BotFather (/setprivacy) and add "
    "the bot to the group again, or make it an administrator there."
)
_NO_DRAFTS = "The Bot API server has no sendMessageDraft: it is older than Bot API 9.5."
_NO_FILES = "Run the Bot API server without --local."
_WITH_STOP_BUTTON = {"can_stop": True}
# Refusals of a draft that have nothing to do with its markup.
_OF_THE_CHAT = ("PEER_INVALID", "not found", "draft_id")


class TelegramProvider(ConnectedProvider[Connection]):
    """Bots cannot open, list or read chats: what was not recorded when it arrived is not to be had."""

    name = "telegram"
    title = "Telegram"
    capabilities = frozenset(
        {
            Capability.REPLY,
            Capability.THREADS,
            Capability.FORMATTING,
            Capability.MEDIA,
            Capability.DOWNLOAD,
            Capability.POLL,
            Capability.LOCATION,
            Capability.CONTACT,
            Capability.CHOICES,
            Capability.EDIT,
            Capability.DELETE,
            Capability.REACT,
            Capability.FORWARD,
            Capability.PIN,
            Capability.TYPING,
            Capability.PREVIEW,
            Capability.GROUP_MESSAGES,
            Capability.WEBHOOK,
        }
    )
    limits = Limits(
        max_text=4096,
        text_unit=TextUnit.UTF16,
        max_caption=1024,
        max_upload=50_000_000,
        max_photo=10_000_000,
        max_download=20_000_000,
        overall_rate=Rate(count=30, seconds=1),
        chat_rate=Rate(count=3, seconds=3),
        group_rate=Rate(count=20, seconds=60),
    )
    settings_type = TelegramSettings

    def __init__(self, settings: Settings, context: ProviderContext, *, timing: Timing | None = None) -> None:
        super().__init__(settings, context)
        self._settings = TelegramSettings.model_validate(settings)
        self._timing = timing or Timing()
        self._client: BotClient | None = None
        self._memory = Memory(context.data_dir)
        self._has_rich_drafts = self._has_drafts = self._has_files = True

    @property
    def _bot(self) -> BotClient:
        """Sending needs no running connection, only the token."""
        if self._client is None:
            self._client = connect(self._settings.token, self._settings.base_url, self.context.tls)
        return self._client

    async def identify(self) -> Account:
        with telegram_errors():
            return account_of(await self._bot.get_me())

    def _connect(self, deliver: Deliver) -> Connection:
        webhook = None
        if self._settings.mode == "webhook":
            if self.context.public_url is None:
                hint = "Set it, or the mode of this instance to polling."
                raise InvalidRequest("Webhook mode needs the public URL of this server.", hint=hint)
            address = f"{self.context.public_url}/webhooks/telegram/{self.context.instance_id}"
            webhook = (address, self._settings.secret_for_webhook())
        return Connection(self._bot, deliver, webhook, self._timing, self._memory)

    async def _disconnect(self) -> None:
        """Close the connections. A webhook stays set: Telegram keeps what it cannot bring for 24 hours."""
        client, self._client = self._client, None
        if client is not None:
            await client.close_connections()

    @classmethod
    def address(cls, to: str) -> str:
        return username_in(to) or to

    @classmethod
    def must_resolve(cls, to: str) -> bool:
        return to.startswith("@")

    async def resolve(self, to: str) -> Address:
        """Return the chat that a user name names now. Names move between chats, so it is asked for each time."""
        to = self.address(to)
        if not self.must_resolve(to):
            return Address(chat_id=to)
        with telegram_errors():
            found = await self._bot.get_chat(to)
        chat = chat_of(found.to_dict())
        return Address(chat_id=chat.id, kind=chat.kind, title=chat.title, lasting=False)

    def check(self, draft: Draft) -> None:
        super().check(draft)
        check_extra(draft, self.title, reserved=SAID_BY_DRAFT, known=KNOWN_EXTRA)
        is_sticker = draft.upload is not None and draft.upload.kind is MediaKind.STICKER
        if draft.text and (draft.location is not None or draft.poll is not None or is_sticker):
            raise InvalidRequest("Telegram shows no text with a location, a poll or a sticker.", hint="Send the text as a message of its own.")
        check_choices(draft)
        if draft.thread_id is not None and "message_thread_id" in draft.extra:
            raise InvalidRequest("extra may not hold message_thread_id beside a thread_id.", hint="Use thread_id.")
        if draft.contact is not None and not draft.contact.phone:
            raise InvalidRequest("Telegram takes only contacts that have a phone number.", hint="Add the number, or send the name as text.")
        if draft.contact is not None and draft.text:
            raise InvalidRequest("Telegram shows no text with a contact.", hint="Send the text as a message of its own.")

    def check_lengths(self, draft: Draft) -> None:
        """Telegram counts what is left of a text after its markup, so of a marked-up one it has to be the judge."""
        draft = with_descriptions(draft)
        is_raw_markup = draft.format is TextFormat.HTML or "parse_mode" in draft.extra
        is_rich = rich_message_of(draft) is not None
        if is_split(draft):
            if is_rich:
                raise InvalidRequest("A rich message is not split.", hint=f"It takes {RICH_MAX} characters; leave split out, or rich_message.")
            if is_raw_markup:
                raise InvalidRequest("A text with HTML or a parse_mode cannot be split.", hint="Use format plain or markdown, or several messages.")
            check_parts(texts_in(draft, self.limits), _MAX_PARTS)
            return super().check_lengths(draft.model_copy(update={"text": ""}))
        if is_rich or is_raw_markup or draft.format is TextFormat.MARKDOWN:
            limit = RICH_MAX if is_rich else _MARKUP_MAX
        else:
            return super().check_lengths(draft)
        length = self.limits.text_unit.length(draft.text)
        if length > limit:
            raise InvalidRequest(f"The text has {length} {self.limits.text_unit}; at most {limit} are sent.", hint="Send it as a file.")
        return super().check_lengths(draft.model_copy(update={"text": ""}))

    async def lacking(self) -> Mapping[Capability, str]:
        """Return what @BotFather's settings and the Bot API server do not allow, as far as they have shown it."""
        found: dict[Capability, str] = {}
        if self._connection is not None and not self._connection.hears_groups:
            found[Capability.GROUP_MESSAGES] = _PRIVACY_MODE
        if not self._has_drafts:
            found[Capability.PREVIEW] = _NO_DRAFTS
        if not self._has_files:
            found[Capability.DOWNLOAD] = _NO_FILES
        return found

    async def send(self, draft: Draft) -> SentMessage:
        draft = with_descriptions(draft)
        try:
            with telegram_errors():
                return await self._send(draft)
        except Forbidden as refusal:
            reason = reason_of_closing(refusal)
            if self._connection is not None and reason is not None and not draft.chat_id.startswith("@"):
                self._connection.note(ChatClosed(chat_id=draft.chat_id, reason=reason, at=datetime.now(UTC)))
            raise

    def _of_business(self, chat_id: str, *rights: str) -> tuple[str, str | None]:
        """Return Telegram's ids of a chat and of the connection that leads to it; None for a chat of the bot itself.

        Raises NotFound and Forbidden where the person does not let the bot do that.
        """
        own = owner_and_chat(chat_id)
        if own is None:
            return chat_id, None
        connection = self._memory.connection_of(own[0])
        if connection is None:
            raise not_connected()
        connection.require(*rights)
        return own[1], connection.id

    def _as_telegram(self, draft: Draft) -> Draft:
        """Return a draft to a person's own chat as a draft to Telegram's number of it."""
        chat, connection = self._of_business(draft.chat_id, "can_reply")
        if connection is None:
            return draft
        replied = None if draft.reply_to is None else f"{chat}:{number_of(draft.chat_id, draft.reply_to)}"
        return draft.model_copy(update={"chat_id": chat, "reply_to": replied, "extra": {**draft.extra, "business_connection_id": connection}})

    async def _send(self, draft: Draft) -> SentMessage:
        draft = self._as_telegram(draft)
        try:
            return await send_draft(self._bot, draft, self.limits, self._memory)
        except ChatMigrated as moved:
            if draft.reply_to is not None:
                raise
            draft = await self._follow(draft, str(moved.new_chat_id))
            return await send_draft(self._bot, draft, self.limits, self._memory)

    async def _follow(self, draft: Draft, new_id: str) -> Draft:
        """Telegram sent nothing, and told where the group is now."""
        if self._deliver is not None:
            await self._deliver([ChatMigratedEvent(old_id=draft.chat_id, chat=Chat(id=new_id, kind=ChatKind.GROUP))])
        return draft.model_copy(update={"chat_id": new_id})

    async def edit(self, chat_id: str, message_id: str, text: str, format: TextFormat) -> None:
        number = number_of(chat_id, message_id)
        chat, connection = self._of_business(chat_id, "can_reply")
        text, parse_mode = rendered(text, format)
        with telegram_errors(), _already_so():
            try:
                await self._bot.edit_message_text(text, chat, number, parse_mode=parse_mode, business_connection_id=connection)
            except BadRequest as refusal:
                if "no text in the message" not in refusal.message:
                    raise
                await self._bot.edit_message_caption(chat, number, caption=text, parse_mode=parse_mode, business_connection_id=connection)

    async def delete(self, chat_id: str, message_id: str) -> None:
        number = number_of(chat_id, message_id)
        chat, connection = self._of_business(chat_id, "can_delete_all_messages", "can_delete_sent_messages")
        with telegram_errors():
            if connection is None:
                await self._bot.delete_message(chat, number)
            else:
                await self._bot.delete_business_messages(connection, [number])

    async def react(self, chat_id: str, message_id: str, emoji: str | None) -> None:
        if owner_and_chat(chat_id) is not None:
            raise InvalidRequest("Telegram lets a bot react in its own chats only, not in a person's.", hint="Answer with a message.")
        # Telegram lists its reactions without the character that asks for the colourful style, and takes no others.
        reactions = [] if emoji is None else [ReactionTypeEmoji(emoji.replace(_EMOJI_STYLE, ""))]
        with telegram_errors():
            await self._bot.set_message_reaction(chat_id, number_of(chat_id, message_id), reactions)

    async def pin_message(self, chat_id: str, message_id: str, pinned: bool) -> None:
        """Without a notification: nobody asked to alarm the whole chat."""
        number = number_of(chat_id, message_id)
        with telegram_errors(), _already_so():
            if pinned:
                await self._bot.pin_chat_message(chat_id, number, disable_notification=True)
            else:
                await self._bot.unpin_chat_message(chat_id, message_id=number)

    async def set_typing(self, chat_id: str, typing: bool, message_id: str | None = None) -> None:
        """Shown for 5 s, or until the message arrives; it cannot be taken back."""
        if typing:
            chat, connection = self._of_business(chat_id, "can_reply")
            with telegram_errors():
                await self._bot.send_chat_action(chat, ChatAction.TYPING, business_connection_id=connection)

    async def preview(self, chat_id: str, text: str, *, number: int, thread_id: str | None = None) -> None:
        """Shown for 30 s, in chats of the bot with a person alone."""
        if not chat_id.isdecimal():
            raise InvalidRequest("Telegram shows drafts only in a person's chat with the bot.", hint="Send the text when it is whole.")
        options = _WITH_STOP_BUTTON if thread_id is None else {**_WITH_STOP_BUTTON, **options_of_thread(chat_id, thread_id)}
        with telegram_errors():
            if self._has_rich_drafts and await self._rich_preview(int(chat_id), text, number, options):
                return
            try:
                await self._bot.send_message_draft(int(chat_id), number, text, api_kwargs=options)
            except InvalidToken:
                # An older server of one's own has no such method; that the token is none would show in this call, too.
                await self._bot.get_me()
                self._has_drafts = False
                raise Unsupported(self.name, Capability.PREVIEW, hint=_NO_DRAFTS) from None

    async def _rich_preview(self, chat: int, text: str, number: int, options: Mapping[str, Any]) -> bool:
        """Show a part of an answer with its markup; False where Telegram does not take that of this part, or this server never does."""
        try:
            await self._bot.send_rich_message_draft(chat, number, {"markdown": text}, **options)
        except InvalidToken:
            # As the Bot API answers for a method that it does not have.
            self._has_rich_drafts = False
            return False
        except BadRequest as refusal:
            if any(word in refusal.message for word in _OF_THE_CHAT):
                raise
            return False
        return True

    async def download(self, media: Media) -> Download:
        self._check_download(media.size)
        with telegram_errors():
            file = await self._bot.get_file(media.ref)
            self._check_download(file.file_size)
            path = file.file_path or ""
            if not path.startswith(f"{self._bot.base_file_url}/"):
                # A server in local mode names a path on its own disk; read here, it would be a file of ours.
                self._has_files = False
                raise InvalidRequest("This Bot API server does not hand out files over HTTP.", hint=_NO_FILES)
            try:
                content = await file.download_as_bytearray()
            except InvalidToken:
                raise NotFound("Telegram does not have this file any more.", hint="Ask for it to be sent again.") from None
        name = media.name or PurePosixPath(path).name
        mime = media.mime or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Download(content=bytes(content), mime=mime, name=name)

    def _check_download(self, size: int | None) -> None:
        limit = self.limits.max_download
        if size is not None and limit is not None and size > limit:
            raise InvalidRequest(f"The file has {size} bytes; Telegram lets a bot download {limit}.", hint="Ask for a smaller file or a link.")

    async def receive_webhook(self, request: WebhookRequest) -> WebhookReply:
        """Raises what `deliver` raises; Telegram brings the update again."""
        given = request.headers.get("x-telegram-bot-api-secret-token", "")
        if not hmac.compare_digest(given.encode(errors="replace"), self._settings.secret_for_webhook().encode()):
            return WebhookReply(401, "The secret token is missing or wrong.")
        update = parse_update(request.body)
        if update is None:
            return WebhookReply(400, "The body is no update of the Bot API.")
        if self._connection is None or not await self._connection.receive(update):
            return WebhookReply(503, "The instance is not running yet.")
        return WebhookReply()


@contextmanager
def _already_so() -> Generator[None]:
    """An edit to what the message says already is done."""
    try:
        yield
    except BadRequest as refusal:
        if "message is not modified" not in refusal.message.casefold():
            raise
