"""Turns what discord.py and the connection raise into our errors."""

from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus

import aiohttp
from discord.errors import DiscordException, HTTPException
from discord.errors import RateLimited as TooFast

from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, NotFound, RateLimited, Unreachable
from providers.text import clean_line

TROUBLE = (DiscordException, aiohttp.ClientError, OSError, TimeoutError)
"""Whatever a call of Discord may raise."""

TOKEN_HINT = "Set the bot token that https://discord.com/developers/applications shows under Bot."  # noqa: S105 - words about a token

# Without a number of seconds: an address that made too many wrong calls is shut out for an hour.
_SHUT_OUT_SECONDS = 3600.0

_NO_PERMISSION, _SLOW_MODE = 50013, 20016
# Of an answer about slow mode without a number of seconds.
_SLOW_SECONDS = 30.0

# Discord's error codes (https://discord.com/developers/docs/topics/opcodes-and-status-codes#json), by what they mean to us.
_CODES: dict[int, tuple[type[NotFound | Forbidden | InvalidRequest], str | None]] = {
    10003: (NotFound, "list_chats shows the channels; a private chat is 'user:' and the person's id."),
    10008: (NotFound, "get_messages shows the messages of a chat."),
    10013: (NotFound, "list_contacts shows the people the bot knows."),
    10014: (InvalidRequest, "Use one emoji character, or 'name:id' of an emoji of a server the bot is in."),
    30010: (Forbidden, "A message holds at most 20 different reactions."),
    20009: (InvalidRequest, "The person or server takes no such content."),
    20026: (Forbidden, "Discord holds the app for a source of spam; its owner has to appeal in the developer portal."),
    30033: (Forbidden, "The thread has as many members as it may."),
    40004: (Forbidden, "Discord has turned off sending for a while; try again later."),
    40005: (InvalidRequest, "Servers without boosts take files of up to 10 MB. Send a smaller file, or a link to it."),
    40058: (InvalidRequest, 'A forum takes posts with a title: send with extra {"thread_name": "..."}, or answer in a post by its thread_id.'),
    40067: (InvalidRequest, 'Name a tag of the forum: extra {"applied_tags": ["..."]}.'),
    40060: (InvalidRequest, None),
    50001: (Forbidden, "Give the bot the permissions View Channel and Read Message History there."),
    50005: (Forbidden, "A bot edits only its own messages."),
    50007: (Forbidden, "The person has to share a server with the bot and to allow direct messages from its members."),
    50024: (InvalidRequest, "This kind of channel has no such thing; list_chats shows the channels."),
    50278: (Forbidden, "The person has to share a server with the bot and to allow direct messages from its members."),
    160005: (Forbidden, "The thread is locked: only its moderators write in it."),
    160006: (Forbidden, "The server has as many open threads as it may; close one."),
    200000: (InvalidRequest, "The server's own rules (AutoMod) refuse these words."),
    240000: (InvalidRequest, "Leave the link out: Discord holds it for harmful."),
    50008: (InvalidRequest, "This channel takes no text; list_chats shows those that do."),
    _NO_PERMISSION: (Forbidden, "Give the bot this permission in the channel: Send Messages, Attach Files, Add Reactions or Manage Messages."),
    50033: (NotFound, "list_contacts shows the people the bot knows."),
    50083: (Forbidden, "The thread is archived: somebody has to open it again."),
    160002: (Forbidden, "Give the bot the permission Read Message History there."),
}


@contextmanager
def discord_errors(permission: str | None = None) -> Generator[None]:
    """Raise what goes wrong inside as MessengerError. `permission` names what the call needs: Discord does not say which one is missing."""
    try:
        yield
    except TROUBLE as error:
        found = from_discord(error)
        if permission is not None and isinstance(error, HTTPException) and error.code == _NO_PERMISSION:
            found = Forbidden(found.detail, hint=f"Give the bot in this channel: {permission}.")
        raise found from error


def from_discord(error: Exception) -> MessengerError:
    match error:
        case TooFast():
            return RateLimited(error.retry_after, clean_line(str(error)))
        case HTTPException():
            return _answered(error)
        case aiohttp.ClientConnectorError():
            return Unreachable(f"Discord cannot be reached: {words_of(error)}", maybe_sent=False, hint="Nothing was sent; try again later.")
        case _:
            return no_answer(words_of(error))


def no_answer(words: str) -> Unreachable:
    hint = "It may have taken effect; look before doing it again."
    return Unreachable(f"Discord gave no proper answer: {words}", maybe_sent=True, hint=hint)


def words_of(error: Exception) -> str:
    """Return what an error says, or its kind where it says nothing."""
    if isinstance(error, HTTPException) and (not error.text or "<" in error.text):
        # Nothing, or the page of a proxy or of Cloudflare.
        return f"{error.status} {error.response.reason or ''}".strip()
    if isinstance(error, HTTPException):
        return clean_line(error.text)
    return clean_line(str(error)) or type(error).__name__


def _answered(error: HTTPException) -> MessengerError:
    words, status = words_of(error), error.status
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status < HTTPStatus.BAD_REQUEST:
        return no_answer(words)
    if status == HTTPStatus.UNAUTHORIZED:
        return LoggedOut(f"Discord does not know this token: {words}", hint=TOKEN_HINT)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(_retry_after(error), words)
    if error.code == _SLOW_MODE:
        return RateLimited(_retry_after(error, _SLOW_SECONDS), f"The channel is in slow mode. Discord says: {words}")
    by_status = {HTTPStatus.FORBIDDEN: Forbidden, HTTPStatus.NOT_FOUND: NotFound}
    if "Unknown message" in words:
        # What a reply is to; as a part of a form it has no separate code.
        return NotFound(words, hint=_CODES[10008][1])
    kind, hint = _CODES.get(error.code, (by_status.get(HTTPStatus(status), InvalidRequest), None))
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        hint = _CODES[40005][1]
    return kind(words, hint=hint)


def _retry_after(error: HTTPException, otherwise: float = _SHUT_OUT_SECONDS) -> float:
    try:
        return float(error.response.headers.get("Retry-After", otherwise))
    except ValueError:
        return otherwise
