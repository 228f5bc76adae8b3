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

UNKNOWN_CHANNEL = 10003
_NO_PERMISSION, _SLOW_MODE = 50013, 20016
# Codes that ask for patience, whatever the status: slow mode, limits of a channel, a server or the opening of chats, an index to come.
_TOO_FAST = frozenset({_SLOW_MODE, 20022, 20028, 20029, 30046, 40003, 40062, 110000, 110001})
_OF_CHANNEL = frozenset({_SLOW_MODE, 20022, 20028, 30046})
# Of such an answer without a number of seconds.
_SLOW_SECONDS = 30.0
_LIMITED = range(340000, 350000)
"""Codes by which Discord says that it has limited an account."""

_Refused = type[NotFound | Forbidden | InvalidRequest]
_EMOJI = "Use one emoji character, or 'name:id' of an emoji of a server the bot is in."
_DIRECT = "The person has to share a server with the bot and to allow direct messages from its members."
_SMALLER = "Servers without boosts take files of up to 10 MB. Send a smaller file, or a link to it."
_OTHER_FILE = "Discord cannot read this file: send it in another format, or a link to it."
_NOTICE = "This is a notice of Discord; choose a message that somebody wrote."
_STICKER = "Leave sticker_ids out, or use stickers of this server."
_OFF = "Discord has turned this off for a while; try again later."
_OLD_POLL = "The poll is over; send a new one."

# Discord's error codes (https://docs.discord.com/developers/topics/opcodes-and-status-codes#json), by what they mean to us.
_CODES: dict[int, tuple[_Refused, str | None]] = {
    UNKNOWN_CHANNEL: (NotFound, "list_chats shows the channels; a private chat is 'user:' and the person's id."),
    10004: (NotFound, "The bot is not in this server: somebody who manages it has to invite the bot."),
    10007: (NotFound, "list_contacts shows the people the bot knows."),
    10008: (NotFound, "get_messages shows the messages of a chat."),
    10013: (NotFound, "list_contacts shows the people the bot knows."),
    10014: (InvalidRequest, _EMOJI),
    10060: (NotFound, _STICKER),
    10062: (NotFound, "The command is too old to be answered where it was typed; send a message."),
    10087: (NotFound, "Use tags that the forum has; the refusal of a post without one lists them."),
    20001: (Forbidden, "Discord lets no bot do this."),
    20009: (InvalidRequest, "The person or server takes no such content."),
    20024: (Forbidden, "The channel is for adults; choose another one."),
    20026: (Forbidden, "Discord holds the app for a source of spam; its owner has to appeal in the developer portal."),
    20031: (InvalidRequest, "Discord allows no such words in a title; choose others."),
    30003: (Forbidden, "The channel has as many pins as it may; take one off first."),
    30010: (Forbidden, "A message holds at most 20 different reactions."),
    30015: (InvalidRequest, "A message holds at most 10 files; send several messages."),
    30033: (Forbidden, "The thread has as many members as it may."),
    40002: (Forbidden, "The app's owner has to verify their own account with Discord first."),
    40004: (Forbidden, "Discord has turned off sending for a while; try again later."),
    40005: (InvalidRequest, _SMALLER),
    40006: (Forbidden, _OFF),
    40007: (Forbidden, "The person is banned from this server; write to somebody else."),
    40058: (InvalidRequest, 'A forum takes posts with a title: send with extra {"thread_name": "..."}, or answer in a post by its thread_id.'),
    40060: (InvalidRequest, "The command was answered already; send a message."),
    40066: (Forbidden, "The forum's tags are for moderators: give the bot the permission Manage Threads."),
    40067: (InvalidRequest, 'Name a tag of the forum: extra {"applied_tags": ["..."]}.'),
    40333: (Forbidden, "Cloudflare, which stands before Discord, shuts this server's address out: send over another network or proxy."),
    50001: (Forbidden, "Give the bot the permissions View Channel and Read Message History there."),
    50003: (InvalidRequest, "Private chats have no such thing; list_chats shows the channels."),
    50005: (Forbidden, "A bot edits only its own messages."),
    50006: (InvalidRequest, "Give a text, a file, an embed or a poll."),
    50007: (Forbidden, _DIRECT),
    50008: (InvalidRequest, "This channel takes no text; list_chats shows those that do."),
    50009: (Forbidden, "The server asks for a higher verification: somebody who manages it has to give the bot a role."),
    _NO_PERMISSION: (Forbidden, "Give the bot this permission in the channel: Send Messages, Attach Files, Add Reactions or Manage Messages."),
    50019: (InvalidRequest, "A message is pinned in the channel that it was sent in."),
    50021: (InvalidRequest, _NOTICE),
    50024: (InvalidRequest, "This kind of channel has no such thing; list_chats shows the channels."),
    50033: (NotFound, "list_contacts shows the people the bot knows."),
    50035: (InvalidRequest, "Discord names the field after “In”; change that one, and send it again."),
    50045: (InvalidRequest, _SMALLER),
    50046: (InvalidRequest, _OTHER_FILE),
    50068: (InvalidRequest, _NOTICE),
    50081: (InvalidRequest, _STICKER),
    50083: (Forbidden, "The thread is archived: somebody has to open it again."),
    50095: (Forbidden, "Discord does not show this server where this one runs; choose another server."),
    50101: (Forbidden, "The server needs more boosts for that."),
    50110: (InvalidRequest, _OTHER_FILE),
    50123: (InvalidRequest, _OTHER_FILE),
    50138: (InvalidRequest, _SMALLER),
    50146: (InvalidRequest, "The file did not arrive at Discord; send it again."),
    50151: (InvalidRequest, _EMOJI),
    50159: (InvalidRequest, "Send the text as a separate message."),
    50160: (InvalidRequest, "Send the recording alone, or as a file of the kind audio."),
    50161: (InvalidRequest, "Send the recording in Ogg Opus, or as a file of the kind audio."),
    50162: (Forbidden, "Voice messages cannot be edited; send a new one."),
    50173: (Forbidden, "Give the bot the permission Send Voice Messages there, or send a file of the kind audio."),
    50192: (InvalidRequest, "Send the recording in Ogg Opus, or as a file of the kind audio."),
    50278: (Forbidden, _DIRECT),
    50600: (Forbidden, _STICKER),
    60003: (Forbidden, "The server asks for two-factor login: the app's owner has to turn it on for their own account."),
    90001: (Forbidden, "The person has blocked the bot, and takes no reactions from it."),
    160002: (Forbidden, "Give the bot the permission Read Message History there."),
    160004: (InvalidRequest, "The message has a thread already; send with its thread_id."),
    160005: (Forbidden, "The thread is locked: only its moderators write in it."),
    160006: (Forbidden, "The server has as many open threads as it may; close one."),
    160007: (Forbidden, "The channel has as many open threads as it may; close one."),
    200000: (InvalidRequest, "The server's own rules (AutoMod) refuse these words."),
    200001: (InvalidRequest, "The server's own rules (AutoMod) refuse this title."),
    240000: (InvalidRequest, "Leave the link out: Discord holds it for harmful."),
    400001: (Forbidden, "Discord has limited files in this server; send a link instead."),
    520000: (Forbidden, "Discord lets the bot not vote in this poll."),
    520001: (InvalidRequest, _OLD_POLL),
    520002: (InvalidRequest, "This kind of channel has no polls; list_chats shows the channels."),
    520003: (Forbidden, "A poll cannot be edited; send a new one."),
    520004: (InvalidRequest, "Leave the emoji out of the poll."),
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
    if error.code in _TOO_FAST:
        reason = f"The channel is in slow mode. Discord says: {words}" if error.code == _SLOW_MODE else words
        return RateLimited(_retry_after(error, _SLOW_SECONDS), reason, of_chat=error.code in _OF_CHANNEL)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(_retry_after(error), words)
    by_status: dict[int, _Refused] = {HTTPStatus.FORBIDDEN: Forbidden, HTTPStatus.NOT_FOUND: NotFound}
    if "Unknown message" in words:
        # What a reply is to; as a part of a form it has no separate code.
        return NotFound(words, hint=_CODES[10008][1])
    kind, hint = _CODES.get(error.code, (by_status.get(status, InvalidRequest), None))
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        hint = _SMALLER
    if error.code in _LIMITED:
        hint = "Discord has limited what this account may do: its owner reads why in Discord's mail, and appeals there."
    return kind(words, hint=hint)


def _retry_after(error: HTTPException, otherwise: float = _SHUT_OUT_SECONDS) -> float:
    try:
        return float(error.response.headers.get("Retry-After", otherwise))
    except ValueError:
        return otherwise
