"""Drafts into calls of the Bot API."""

from collections.abc import Awaitable, Callable
from typing import Any

from telegram import Bot, InputFile, ReplyParameters
from telegram import Message as BotMessage
from telegram.error import TelegramError

from providers.errors import Unreachable
from providers.models import Draft, Limits, Location, MediaKind, Poll, SentMessage, TextFormat, Upload
from providers.splitting import split
from providers.telegram.attachments import media_of
from providers.telegram.errors import from_telegram
from providers.telegram.ids import message_id, number_of
from providers.telegram.markdown import to_html

# Our own word in `extra`; everything else in there is Telegram's.
SPLIT = "split"

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


def rendered(text: str, format: TextFormat) -> tuple[str, str | None]:
    """The text as it goes out, and its parse_mode."""
    match format:
        case TextFormat.PLAIN:
            return text, None
        case TextFormat.HTML:
            return text, "HTML"
        case TextFormat.MARKDOWN:
            return to_html(text), "HTML"


async def send_draft(bot: Bot, draft: Draft, limits: Limits) -> SentMessage:
    """Raises TelegramError, and Unreachable when only some of several messages went out."""
    if draft.upload is not None:
        return _sent([await _send_upload(bot, draft, draft.upload)])
    if draft.location is not None:
        return _sent([await _send_location(bot, draft, draft.location)])
    if draft.poll is not None:
        return _sent([await _send_poll(bot, draft, draft.poll)])
    return _sent(await _send_text(bot, draft, limits))


async def _send_text(bot: Bot, draft: Draft, limits: Limits) -> list[BotMessage]:
    pieces = split(draft.text, limits.max_text, limits.text_unit) if draft.extra.get(SPLIT) else []
    pieces = pieces or [draft.text]
    sent: list[BotMessage] = []
    for piece in pieces:
        part = draft.model_copy(update={"text": piece, "reply_to": None if sent else draft.reply_to})
        try:
            text, parse_mode = _marked_up(part)
            sent.append(await bot.send_message(part.chat_id, text, parse_mode, **_options(part)))
        except TelegramError as error:
            if not sent:
                raise
            raise _partly_sent(sent, len(pieces), error) from error
    return sent


async def _send_upload(bot: Bot, draft: Draft, upload: Upload) -> BotMessage:
    send = Bot.send_animation if upload.mime == "image/gif" else _SENDERS[upload.kind]
    options = _options(draft)
    if draft.text:
        options["caption"], options["parse_mode"] = _marked_up(draft)
    return await send(bot, draft.chat_id, InputFile(upload.content, upload.name), **options, read_timeout=_UPLOAD_SECONDS)


async def _send_location(bot: Bot, draft: Draft, place: Location) -> BotMessage:
    if place.name is None:
        return await bot.send_location(draft.chat_id, place.latitude, place.longitude, **_options(draft))
    address = f"{place.latitude:.6f}, {place.longitude:.6f}"
    return await bot.send_venue(draft.chat_id, place.latitude, place.longitude, place.name, address, **_options(draft))


async def _send_poll(bot: Bot, draft: Draft, poll: Poll) -> BotMessage:
    """Named, not anonymous: an agent that asks wants to know who answered."""
    return await bot.send_poll(
        draft.chat_id, poll.question, poll.options, is_anonymous=False, allows_multiple_answers=poll.multiple, **_options(draft)
    )


def _marked_up(draft: Draft) -> tuple[str, str | None]:
    return (draft.text, None) if "parse_mode" in draft.extra else rendered(draft.text, draft.format)


def _options(draft: Draft) -> dict[str, Any]:
    options: dict[str, Any] = {"api_kwargs": {name: value for name, value in draft.extra.items() if name != SPLIT}}
    if draft.silent:
        options["disable_notification"] = True
    if draft.reply_to is not None:
        options["reply_parameters"] = ReplyParameters(number_of(draft.chat_id, draft.reply_to))
    return options


def _sent(messages: list[BotMessage]) -> SentMessage:
    first, raw = messages[0], messages[0].to_dict()
    ids = tuple(_id_of(message) for message in messages)
    return SentMessage(id=ids[0], at=first.date, chat_id=str(first.chat.id), parts=ids if len(ids) > 1 else (), media=media_of(raw), raw=raw)


def _id_of(message: BotMessage) -> str:
    return message_id(message.chat.id, message.message_id)


def _partly_sent(sent: list[BotMessage], total: int, error: TelegramError) -> Unreachable:
    ids = ", ".join(map(_id_of, sent))
    return Unreachable(
        f"{len(sent)} of {total} messages went out ({ids}), then: {from_telegram(error).detail}",
        maybe_sent=True,
        hint="Send only the rest of the text.",
    )
