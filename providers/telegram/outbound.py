"""Drafts into calls of the Bot API."""

from collections.abc import Awaitable, Callable
from inspect import signature
from typing import Any, cast

from telegram import Bot, InputFile, ReplyParameters
from telegram import Message as BotMessage

from providers.errors import InvalidRequest
from providers.kit.parts import SPLIT, parts_of, send_parts, texts_of
from providers.limits import Limits
from providers.models import Contact, Draft, Forwarding, Location, MediaKind, Poll, SentMessage, TextFormat, Upload
from providers.telegram import context
from providers.telegram.attachments import media_of
from providers.telegram.client import BotClient
from providers.telegram.errors import telegram_errors
from providers.telegram.ids import ephemeral_in, number_of
from providers.telegram.keyboards import keyboard_of
from providers.telegram.markup import to_html
from providers.telegram.memory import Memory

# A server that takes 50 MB in needs a while before it answers.
_UPLOAD_SECONDS = 120

_SENDERS: dict[MediaKind, Callable[..., Awaitable[BotMessage]]] = {
    MediaKind.IMAGE: Bot.send_photo,
    MediaKind.VIDEO: Bot.send_video,
    MediaKind.AUDIO: Bot.send_audio,
    MediaKind.VOICE: Bot.send_voice,
    MediaKind.DOCUMENT: Bot.send_document,
    MediaKind.STICKER: Bot.send_sticker,
}

# Where a message goes and how it arrives; buttons and effects belong to the last part of a text.
_EVERYWHERE = frozenset(
    {"message_thread_id", "business_connection_id", "link_preview_options", "disable_web_page_preview",
     "protect_content", "allow_paid_broadcast"}
)  # fmt: skip

SAID_BY_DRAFT = frozenset(
    {"chat_id", "text", "caption", "photo", "video", "animation", "audio", "voice", "document", "sticker", "latitude", "longitude",
     "question", "options", "reply_parameters", "phone_number", "first_name", "last_name", "business_connection_id",
     "direct_messages_topic_id"}
)  # fmt: skip
"""Fields that the draft itself has."""

_METHODS = (*_SENDERS.values(), Bot.send_message, Bot.send_animation, Bot.send_location, Bot.send_venue, Bot.send_poll, Bot.send_contact)
# The SDK's own arguments, and a file that it would read from this machine's disk.
_OF_THE_SDK = frozenset({"self", "read_timeout", "write_timeout", "connect_timeout", "pool_timeout", "api_kwargs", "filename", "thumbnail", "cover",
                         "contact", "location", "venue", "poll"})  # fmt: skip
RICH = "rich_message"
RICH_MAX = 32_768
"""Characters of a rich message (https://core.telegram.org/bots/api#rich-message-formatting-options)."""
_RICH_SOURCES = ("blocks", "html", "markdown")

KNOWN_EXTRA = (frozenset(name for method in _METHODS for name in signature(method).parameters) - SAID_BY_DRAFT - _OF_THE_SDK) | {RICH}
"""Fields of the Bot API's methods that send; those of newer versions come with the SDK."""


def rendered(text: str, format: TextFormat) -> tuple[str, str | None]:
    """The text as it goes out, and its parse_mode."""
    match format:
        case TextFormat.PLAIN:
            return text, None
        case TextFormat.HTML:
            return text, "HTML"
        case TextFormat.MARKDOWN:
            return to_html(text), "HTML"


def rich_message_of(draft: Draft) -> dict[str, Any] | None:
    """Return the InputRichMessage of a draft: its text as rich Markdown or HTML, or the content that extra has; None for any other draft.

    Raises InvalidRequest for one that has no place in such a message, or is of another form.
    """
    wanted = draft.extra.get(RICH, False)
    if wanted is False:
        return None
    others = (draft.upload, draft.location, draft.poll, draft.contact, draft.forward)
    if any(one is not None for one in others) or "parse_mode" in draft.extra:
        raise InvalidRequest("A rich message is a text, without files of its own, a place, a poll or a parse_mode.", hint=f"Leave extra.{RICH} out.")
    if wanted is not True and not isinstance(wanted, dict):
        raise InvalidRequest(f"extra.{RICH} is true, or an InputRichMessage of the Bot API.", hint=f'Send extra {{"{RICH}": true}}.')
    fields = cast("dict[str, Any]", wanted) if isinstance(wanted, dict) else {}
    sources = [name for name in _RICH_SOURCES if name in fields]
    if len(sources) > 1:
        raise InvalidRequest(f"extra.{RICH} has both {' and '.join(sources)}.", hint="Give one of them, or the text alone.")
    if sources:
        return fields
    if draft.format is TextFormat.PLAIN:
        raise InvalidRequest("A rich message is written in Markdown or HTML.", hint="Use format markdown or html.")
    return {str(draft.format): draft.text, **fields}


def texts_in(draft: Draft, limits: Limits) -> list[str]:
    """Return the text of each message that the draft makes."""
    return texts_of(draft, limits, markdown=draft.format is TextFormat.MARKDOWN)


async def send_draft(bot: BotClient, draft: Draft, limits: Limits, memory: Memory) -> SentMessage:
    """Send a draft. Raises TelegramError before anything went out, and Unreachable when only some of several messages did."""
    if draft.forward is not None:
        return _sent(await _forward(bot, draft, draft.forward), memory)
    if draft.upload is not None:
        return _sent(await _send_upload(bot, draft, draft.upload, memory), memory)
    if draft.location is not None:
        return _sent(await _send_location(bot, draft, draft.location, memory), memory)
    if draft.poll is not None:
        with memory.asking():
            return _sent(await _send_poll(bot, draft, draft.poll, memory), memory)
    if draft.contact is not None:
        return _sent(await _send_contact(bot, draft, draft.contact, memory), memory)
    if (rich := rich_message_of(draft)) is not None:
        return _sent(await bot.send_rich_message(draft.chat_id, rich, **_options(draft, memory)), memory)

    async def send(part: Draft, number: int) -> SentMessage:
        if number == 0:
            return await _send_text(bot, part, memory)
        with telegram_errors():
            return await _send_text(bot, part, memory)

    return await send_parts(parts_of(draft, texts_in(draft, limits), everywhere=_EVERYWHERE), send)


async def _forward(bot: Bot, draft: Draft, forward: Forwarding) -> BotMessage:
    thread = {} if draft.thread_id is None else context.options_of_thread(draft.chat_id, draft.thread_id)
    number = number_of(forward.chat_id, forward.message_id)
    return await bot.forward_message(draft.chat_id, forward.chat_id, number, disable_notification=draft.silent or None, api_kwargs=thread)


async def _send_text(bot: Bot, draft: Draft, memory: Memory) -> SentMessage:
    text, parse_mode = _marked_up(draft)
    return _sent(await bot.send_message(draft.chat_id, text, parse_mode, **_options(draft, memory)), memory)


async def _send_upload(bot: Bot, draft: Draft, upload: Upload, memory: Memory) -> BotMessage:
    send = Bot.send_animation if upload.mime == "image/gif" else _SENDERS[upload.kind]
    options = _options(draft, memory)
    if draft.text:
        options["caption"], options["parse_mode"] = _marked_up(draft)
    return await send(bot, draft.chat_id, InputFile(upload.content, upload.name), **options, read_timeout=_UPLOAD_SECONDS)


async def _send_location(bot: Bot, draft: Draft, place: Location, memory: Memory) -> BotMessage:
    options = _options(draft, memory)
    if place.name is None:
        return await bot.send_location(draft.chat_id, place.latitude, place.longitude, **options)
    address = f"{place.latitude:.6f}, {place.longitude:.6f}"
    return await bot.send_venue(draft.chat_id, place.latitude, place.longitude, place.name, address, **options)


async def _send_poll(bot: Bot, draft: Draft, poll: Poll, memory: Memory) -> BotMessage:
    """Named, not anonymous: an agent that asks wants to know who answered."""
    options = _options(draft, memory)
    return await bot.send_poll(draft.chat_id, poll.question, poll.options, is_anonymous=False, allows_multiple_answers=poll.multiple, **options)


async def _send_contact(bot: Bot, draft: Draft, card: Contact, memory: Memory) -> BotMessage:
    """The whole name goes in one piece: nobody says which part of it is which."""
    return await bot.send_contact(draft.chat_id, card.phone or "", card.name or card.phone or "", **_options(draft, memory))


def _marked_up(draft: Draft) -> tuple[str, str | None]:
    return (draft.text, None) if "parse_mode" in draft.extra else rendered(draft.text, draft.format)


def _options(draft: Draft, memory: Memory) -> dict[str, Any]:
    options: dict[str, Any] = {"api_kwargs": {name: value for name, value in draft.extra.items() if name not in {SPLIT, RICH}}}
    if draft.silent:
        options["disable_notification"] = True
    if draft.reply_to is not None and (hidden := ephemeral_in(draft.reply_to)) is not None:
        # Whoever wrote so that nobody else sees it is answered in the same way.
        number, person = hidden
        options["api_kwargs"] |= {
            "reply_parameters": {"ephemeral_message_id": number},
            "ephemeral_message_parameters": {"receiver_user_id": person},
        }
    elif draft.reply_to is not None:
        options["reply_parameters"] = ReplyParameters(number_of(draft.chat_id, draft.reply_to))
    if draft.choices:
        options["reply_markup"] = keyboard_of(draft.choices, memory)
    if draft.thread_id is not None:
        options["api_kwargs"] |= context.options_of_thread(draft.chat_id, draft.thread_id)
    return options


def _sent(message: BotMessage, memory: Memory) -> SentMessage:
    raw = message.to_dict()
    chat = memory.chat_id_in(raw)
    id = context.id_of({**raw, "chat": {**raw["chat"], "id": chat}})
    if "poll" in raw:
        memory.keep_poll(raw["poll"], id)
    return SentMessage(id=id, at=message.date, chat_id=chat, thread_id=context.thread_of(raw), media=media_of(raw), raw=raw)
