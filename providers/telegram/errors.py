"""What python-telegram-bot raises, as our errors."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import httpx
from telegram.error import BadRequest, ChatMigrated, InvalidToken, NetworkError, RetryAfter, TelegramError
from telegram.error import Forbidden as BotForbidden

from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, NotFound, RateLimited, Unreachable, WindowClosed
from providers.events import CHAT_DELETED
from providers.text import clean_line

# What failed before a byte of the request was written.
_NOT_WRITTEN = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

# Telegram has one status for every refusal and no codes; python-telegram-bot changes their case.
_NOT_FOUND = ("not found", "message_id_invalid", "peer_id_invalid", "business_connection_invalid",
              "topic_deleted", "topic_id_invalid", "invalid file_id", "wrong file_id",
              "wrong file identifier", "wrong remote file")  # fmt: skip
_FORBIDDEN = ("not enough rights", "have no rights", "need administrator rights", "chat_admin_required", "chat_write_forbidden", "can't be deleted",
              "can't be edited", "topic_closed", "chat_restricted", "chat_send_", "voice_messages_forbidden", "user is deactivated", "not a member",
              "user_is_blocked", "can't send messages to", "channel_private", "user_banned_in_channel",
              "allow_payment_required", "privacy_premium_required", "chat_forwards_restricted",
              "protected content")  # fmt: skip
_OF_WINDOW = ("business_peer_usage_missing", "business_peer_invalid")
"""In a person's own chats the bot answers those who wrote within a day."""
_DELETED = "chat was deleted"
_CLOSING = (
    "bot was blocked",
    "user_is_blocked",
    "bot was kicked",
    "user is deactivated",
    "bot is not a member",
    "can't initiate conversation",
)

_TOPIC_HINT = "The topic was deleted, or it is of another chat. Use the thread_id of a message in this chat, or leave it out for the general topic."
_REPLY_HINT = "The message was deleted, or it is in another topic; send it without reply_to."
_LENGTH_HINT = 'Send it in several messages, or with extra {"split": true}.'
_EMPTY_HINT = "Telegram takes no message without visible text."
_PROTECTED_HINT = "The content is protected against forwarding; say in words of your own what it is about."
_JOIN_HINT = "Somebody has to add the bot to the chat again."
_PICTURE_HINT = "Send the picture as a document, or smaller and in another format."
_ADDRESS_HINT = "Telegram could not fetch the address: send the file itself."
_FILE_HINT = "The file is gone, or is of another bot: send the file itself."
_POLL_HINT = "A poll has from 2 to 12 options, each of at most 100 characters."
_RIGHTS_HINT = "An administrator of the chat has to give the bot this right."

_HINTS = {
    "message thread not found": _TOPIC_HINT,
    "business_connection_invalid": "The person has disconnected the bot from their chats.",
    "topic_deleted": _TOPIC_HINT,
    "topic_id_invalid": _TOPIC_HINT,
    "topic_closed": "Somebody has to open the topic again, or use the general topic: leave thread_id out.",
    "chat not found": "Only chats that wrote to the bot, or that it was added to, can be written to; list_chats shows them.",
    "replied message not found": _REPLY_HINT,
    "reply message not found": _REPLY_HINT,
    "message to be replied not found": _REPLY_HINT,
    "message_too_long": _LENGTH_HINT,
    "message is too long": _LENGTH_HINT,
    "caption is too long": "Send the text as a message of its own.",
    "text is empty": _EMPTY_HINT,
    "message must be non-empty": _EMPTY_HINT,
    "allow_payment_required": "The person takes messages only from those who pay Stars for them; they have to write first.",
    "privacy_premium_required": "The person takes messages from Telegram Premium accounts only; they have to write first.",
    "chat_forwards_restricted": _PROTECTED_HINT,
    "protected content": _PROTECTED_HINT,
    _DELETED: "The chat is gone for good; list_chats shows the others.",
    "can't parse entities": "Send it with format plain or markdown, or correct the markup.",
    "reaction_invalid": "Telegram takes a fixed set of emoji as reactions, such as 👍 ❤ 🔥 🎉 😢.",
    "message can't be deleted": "A bot deletes its own messages of the last 48 hours, and others' where it is an administrator.",
    "message can't be edited": "A bot edits only its own messages.",
    "is not modified": "The message is already as it was to become.",
    "button_url_invalid": "A button's address begins with http://, https:// or tg://.",
    "button_type_invalid": "Telegram takes no such button in this chat; use send_choices.",
    "reply_markup_": "extra.reply_markup is a keyboard of the Bot API; send_choices makes one.",
    "media_empty": _ADDRESS_HINT,
    "photo_ext_invalid": _PICTURE_HINT,
    "image_process": _PICTURE_HINT,
    "wrong file": _FILE_HINT,
    "invalid file_id": _FILE_HINT,
    "file reference": _FILE_HINT,
    "request entity too large": "Telegram takes files of up to 50 MB from a bot, pictures of up to 10 MB; send a smaller file, or a link to it.",
    "peer_id_invalid": "Only chats that wrote to the bot, or that it was added to, can be written to; list_chats shows them.",
    "participant_id_invalid": "The person is not in the chat.",
    "can't be forwarded": _PROTECTED_HINT,
    "file is too big": "Telegram lets a bot download files of up to 20 MB.",
    "button_data_invalid": "The data of a button has at most 64 bytes; send_choices shortens longer ids.",
    "voice_messages_forbidden": "The person takes no voice messages; send a document.",
    "bot was blocked": "The person has to unblock the bot.",
    "user_is_blocked": "The person has to unblock the bot.",
    "channel_private": _JOIN_HINT,
    "user_banned_in_channel": _JOIN_HINT,
    "not participant": _JOIN_HINT,
    "photo_invalid_dimensions": _PICTURE_HINT,
    "http url content": _ADDRESS_HINT,
    "web page content": _ADDRESS_HINT,
    "webpage_curl_failed": _ADDRESS_HINT,
    "quote_text_invalid": "The quoted words have to be exactly those of the message that is answered.",
    "poll must have": _POLL_HINT,
    "poll can't have": _POLL_HINT,
    "user is deactivated": "The account was deleted; nothing can be sent to it.",
    "can't initiate conversation": "The person has to write to the bot first.",
    "can't send messages to bots": "Telegram lets a bot write to people, groups and channels only.",
    "can't send messages to the user": "The person takes no messages from this bot; they have to write first.",
    "bot was kicked": _JOIN_HINT,
    "not a member": _JOIN_HINT,
    "chat_write_forbidden": _RIGHTS_HINT,
    "chat_restricted": _RIGHTS_HINT,
    "chat_send_": _RIGHTS_HINT,
    "not enough rights": _RIGHTS_HINT,
    "have no rights": _RIGHTS_HINT,
    "need administrator rights": _RIGHTS_HINT,
    "chat_admin_required": _RIGHTS_HINT,
}
"""The next step by a part of Telegram's words; the first that fits."""


@contextmanager
def telegram_errors() -> Generator[None]:
    """Raise an error of Telegram's as a MessengerError."""
    try:
        yield
    except TelegramError as error:
        raise from_telegram(error) from error


def reason_of_closing(refusal: Forbidden) -> str | None:
    """Return why nothing can be sent to the chat any more until the other side changes that; None where it can."""
    said = refusal.detail.casefold()
    if _DELETED in said:
        return CHAT_DELETED
    return refusal.detail if any(phrase in said for phrase in _CLOSING) else None


def from_telegram(error: TelegramError) -> MessengerError:
    """Return an error of Telegram's as ours, in its words and with the next step."""
    words = clean_line(str(error))
    match error:
        case RetryAfter():
            return RateLimited(seconds_of(error), words)
        case BotForbidden():
            return Forbidden(words, hint=_hint(words))
        case ChatMigrated():
            return NotFound(words, hint=f"Use the chat id '{error.new_chat_id}'; messages of the old group cannot be changed any more.")
        case InvalidToken():
            return LoggedOut(f"Telegram does not know this token: {words}", hint="Set the token that @BotFather shows for the bot.")
        case BadRequest():
            return _refusal(words)
        case NetworkError() if isinstance(error.__cause__, _NOT_WRITTEN):
            return Unreachable(f"Telegram cannot be reached: {words}", maybe_sent=False, hint="Nothing was sent; try again later.")
        case _:
            hint = "It may have taken effect; look before doing it again."
            return Unreachable(f"Telegram gave no proper answer: {words}", maybe_sent=True, hint=hint)


def seconds_of(error: RetryAfter) -> float:
    """Return how long Telegram asks to wait."""
    wait = error.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)


def _refusal(words: str) -> MessengerError:
    said = words.casefold()
    if any(phrase in said for phrase in _OF_WINDOW):
        return WindowClosed(words, hint="In a person's own chats a bot answers only those who wrote in the last 24 hours.")
    if any(phrase in said for phrase in _NOT_FOUND):
        return NotFound(words, hint=_hint(words))
    if any(phrase in said for phrase in _FORBIDDEN):
        return Forbidden(words, hint=_hint(words))
    return InvalidRequest(words, hint=_hint(words))


def _hint(words: str) -> str | None:
    return next((hint for phrase, hint in _HINTS.items() if phrase in words.casefold()), None)
