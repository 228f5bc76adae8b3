"""What python-telegram-bot raises, as our errors."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import httpx
from telegram.error import BadRequest, ChatMigrated, InvalidToken, NetworkError, RetryAfter, TelegramError
from telegram.error import Forbidden as BotForbidden

from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, NotFound, RateLimited, Unreachable
from providers.text import clean_line

# What failed before a byte of the request was written.
_NOT_WRITTEN = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

# Telegram has one status for every refusal and no codes; python-telegram-bot changes their case.
_NOT_FOUND = ("not found", "message_id_invalid", "peer_id_invalid", "invalid file_id", "wrong file_id", "wrong file identifier", "wrong remote file")
_FORBIDDEN = ("not enough rights", "have no rights", "need administrator rights", "chat_admin_required", "chat_write_forbidden", "can't be deleted",
              "can't be edited", "topic_closed")  # fmt: skip

_HINTS = {
    "chat not found": "Only chats that wrote to the bot, or that it was added to, can be written to; list_chats shows them.",
    "message is too long": 'Send it in several messages, or with extra {"split": true}.',
    "can't parse entities": "Send it with format plain or markdown, or correct the markup.",
    "reaction_invalid": "Telegram takes a fixed set of emoji as reactions, such as 👍 ❤ 🔥 🎉 😢.",
    "message can't be deleted": "A bot deletes its own messages of the last 48 hours, and others' where it is an administrator.",
    "message can't be edited": "A bot edits only its own messages.",
    "file is too big": "Telegram lets a bot download files of up to 20 MB.",
    "bot was blocked": "The person has to unblock the bot.",
    "can't initiate conversation": "The person has to write to the bot first.",
    "bot was kicked": "Somebody has to add the bot to the group again.",
}


@contextmanager
def telegram_errors() -> Generator[None]:
    """What goes wrong inside is raised as MessengerError."""
    try:
        yield
    except TelegramError as error:
        raise from_telegram(error) from error


def from_telegram(error: TelegramError) -> MessengerError:
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
    wait = error.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)


def _refusal(words: str) -> MessengerError:
    said = words.casefold()
    if any(phrase in said for phrase in _NOT_FOUND):
        return NotFound(words, hint=_hint(words))
    if any(phrase in said for phrase in _FORBIDDEN):
        return Forbidden(words, hint=_hint(words))
    return InvalidRequest(words, hint=_hint(words))


def _hint(words: str) -> str | None:
    return next((hint for phrase, hint in _HINTS.items() if phrase in words.casefold()), None)
