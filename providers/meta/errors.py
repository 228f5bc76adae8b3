"""What the Graph API answers when it refuses, as our errors. The codes are Meta's, of all three messengers."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import httpx

from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, NotFound, RateLimited, Rejected, Unreachable, WindowClosed
from providers.kit.json import Json, object_in
from providers.text import clean_line

LOOK_FIRST = "It may have taken effect; look before doing it again."
LATER = "Nothing was sent; try again later."
_NO_CHAT = "Only people who wrote first, or have a number with WhatsApp, can be written to; list_chats shows them."
_NOT_ROUTED = "Switch Conversation Routing on in the Page's settings, and let this app take conversations there; until then use request."
_ANOTHERS = "Another app has the conversation now: set_thread_control takes it, or asks for it, where the account's settings let it."
_COMMENT = "A comment is answered by a private message once, within seven days, and only by the account it was written to."
_NOT_TAKEN = "Send the file in a form that the messenger takes (JPEG, PNG, MP4 with H.264 and AAC, Ogg Opus, PDF), and within its size."
_NOT_FETCHED = "Meta could not take the file: give a public https address that leads straight to it, or upload it."
_PLACEHOLDERS = "list_templates shows the template's placeholders; give just as many values, of the same kind and with the same names."
_AWAY = "The person has blocked the account or cannot be reached now."
_PERMISSION = "Give the app and its token the permission, or the account the role, that Meta names."
_WINDOW = "Wait until the person writes again, or send what is taken outside of the window: a template (WhatsApp), a human's answer (HUMAN_AGENT)."

# Codes that say the same whatever their subcode. 200 to 299 are permissions, see `_kind_of`.
_KINDS: dict[type[MessengerError], frozenset[int]] = {
    LoggedOut: frozenset({0, 102, 190, 463, 467}),
    Forbidden: frozenset({3, 10, 27, 368, 551, 10900, 10901, 10903, 130472, 130497, 131005, 131030, 131031, 131037, 131042, 131045, 131050, 132015,
                          132016, 132068, 133010, 134100, 134102, 139101}),
    NotFound: frozenset({803, 10902, 131026, 131052, 131060, 132001}),
    WindowClosed: frozenset({131047}),
    RateLimited: frozenset({4, 9, 17, 32, 341, 613, 80001, 80002, 80006, 80007, 80008, 130429, 131048, 131056, 132069, 133016, 134101, 139102}),
    Unreachable: frozenset({1, 2, 1200, 131000, 131016, 131057, 133004}),
    Rejected: frozenset({131049}),
}  # fmt: skip
_BY_CODE = {code: kind for kind, codes in _KINDS.items() for code in codes}

# A general code with a subcode that says more.
_BY_SUBCODE: dict[int, type[MessengerError]] = {
    33: NotFound,
    2018001: NotFound,
    2534014: NotFound,
    2018278: WindowClosed,
    2018065: WindowClosed,
    2534022: WindowClosed,
    2018108: Forbidden,
    2018300: Forbidden,
    1545041: Forbidden,
    2494191: Forbidden,
    2534037: Forbidden,
    2534041: Forbidden,
    2534029: Forbidden,
    2018028: Forbidden,
    2018344: Forbidden,
    2018022: RateLimited,
    2018354: RateLimited,
}

# Where Meta refused before it did anything, whatever the status.
_SURELY_NOT_DONE = frozenset({131057, 133004})

# Seconds, where the answer names no time itself.
_WAITS = {131056: 6.0, 130429: 5.0, 131048: 300.0, 132069: 600.0, 134101: 600.0}
_WAIT = 60.0

_HINTS = {
    27: _NOT_ROUTED,
    2018300: _ANOTHERS,
    2534037: _ANOTHERS,
    10900: _COMMENT,
    10901: _COMMENT,
    10902: _COMMENT,
    10903: _COMMENT,
    2534041: "In Instagram's settings, under messages, the account's owner has to allow connected tools access to messages.",
    2534029: "Meta blocked the business; Meta Business Suite shows why, and how to appeal.",
    2018028: "The app is in development: it writes only to people with a role in it, until it is live with pages_messaging.",
    2018344: "Somebody who administers the Page has to accept the terms that Meta names.",
    2018047: _NOT_FETCHED,
    2018008: _NOT_FETCHED,
    2018294: _NOT_FETCHED,
    2018109: "Send a smaller file, or a link to it.",
    33: "The number or account is gone: look whether phone_number_id, page_id or ig_user_id is right.",
    131021: "The account cannot write to its own number; use somebody else's.",
    131051: "WhatsApp takes no message of this type; send a text, a file, a place, a contact, choices or a template.",
    131052: "Meta does not have the person's file; ask for it to be sent again.",
    131053: _NOT_TAKEN,
    131060: "Meta does not show this message; ask for it to be sent again.",
    131062: "This template goes to phone numbers alone: use the person's number, not their scoped id.",
    132000: _PLACEHOLDERS,
    132005: "The template is too long with these values; shorten them.",
    132007: "The values hold what a template may not: line breaks, tabs, or more than four spaces in a row.",
    132012: _PLACEHOLDERS,
    132018: _PLACEHOLDERS,
    132068: "Meta blocked the Flow of this template; WhatsApp Manager shows what to mend.",
    134100: "This number sends marketing templates alone that way; send another template as usual.",
    134102: "The template is not available to this number; list_templates shows those that are.",
    139101: "The list of blocked people is full; take somebody off it first.",
    2494191: "Only the app that is set as escalation partner in the account's settings may take a conversation.",
    130472: "Meta holds marketing back from this person; once they write, an answer goes out.",
    130497: "Meta does not let the business write to people of this country; write to others.",
    131026: _NO_CHAT,
    131031: "Meta locked or restricted the business account; WhatsApp Manager shows why, and how to appeal.",
    131045: "The number's certificate is not signed: register the number with the Cloud API again.",
    132015: "Meta paused the template for its low quality: change it in WhatsApp Manager, or send another one.",
    132016: "Meta disabled the template for good: send another one.",
    2018001: _NO_CHAT,
    2534014: _NO_CHAT,
    131030: "A test number writes only to the numbers that are listed in the app's dashboard.",
    131042: "The business account has no valid way of paying: set one in Meta's Business Manager.",
    131049: "Meta limits marketing messages to each person; try another day.",
    131050: "The person stopped marketing messages of this business: send none until they want them again; answers and other templates go out.",
    132001: "list_templates has the names and languages that are approved.",
    133010: "Register the number with the Cloud API first.",
    368: "Meta blocked the account for breaking its policies; its Business Support page says until when.",
    551: _AWAY,
    1545041: _AWAY,
    131037: "Meta has to approve the number's display name first: WhatsApp Manager shows how far it is.",
}
_HINTS_BY_KIND: dict[type[MessengerError], str] = {
    LoggedOut: "Set a token that is valid.",
    Forbidden: _PERMISSION,
    NotFound: "It does not exist, or the token may not see it. list_chats has the chats, get_messages the messages that are known.",
    WindowClosed: _WINDOW,
}


@dataclass(frozen=True)
class Refusal:
    """An `error` object of the Graph API."""

    code: int
    subcode: int
    words: str
    is_transient: bool = False


def error_of(answer: httpx.Response, *, sends: bool) -> MessengerError:
    """What an answer that is no success means. `sends`: the call would have sent a message."""
    refusal = refusal_in(json_of(answer))
    if refusal is not None:
        return from_refusal(refusal, answer.status_code, answer.headers, sends=sends)
    words = f"Meta gave no proper answer (status {answer.status_code})."
    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(_wait(answer.headers, 0), words)
    if answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return InvalidRequest("Meta does not take a file of this size.", hint="Send a smaller file, or a link to it.")
    if HTTPStatus.BAD_REQUEST <= answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR and answer.status_code != HTTPStatus.REQUEST_TIMEOUT:
        return Rejected(words, hint="Look whether base_url and the network's proxy are right.")
    return unreachable(words, maybe_sent=sends)


def unreachable(words: str, *, maybe_sent: bool) -> Unreachable:
    return Unreachable(words, maybe_sent=maybe_sent, hint=LOOK_FIRST if maybe_sent else LATER)


def json_of(answer: httpx.Response) -> Json | None:
    return object_in(answer.content)


def refusal_in(body: Json | None) -> Refusal | None:
    error: object = (body or {}).get("error")
    if not isinstance(error, dict):
        return None
    said = cast("Json", error)
    return Refusal(_number(said.get("code"), 1), _number(said.get("error_subcode"), 0), words_of(said), said.get("is_transient") is True)


def words_of(error: Json) -> str:
    """Meta's words: the message, and the details where they say more. Webhooks have the same object with a title."""
    data = error.get("error_data")
    details = cast("Json", data).get("details") if isinstance(data, dict) else error.get("details")
    parts = (error.get("message") or error.get("title"), error.get("error_user_msg"), details)
    found = dict.fromkeys(clean_line(str(part)) for part in parts if part)
    return " ".join(found) or "no reason given"


def from_refusal(refusal: Refusal, status: int, headers: Mapping[str, str], *, sends: bool) -> MessengerError:
    kind = _kind_of(refusal, status)
    words = f"{refusal.words} (code {refusal.code})"
    if kind is RateLimited:
        return RateLimited(_wait(headers, refusal.code), words)
    if kind is Unreachable:
        return unreachable(f"Meta could not do it: {words}", maybe_sent=sends and refusal.code not in _SURELY_NOT_DONE)
    return cast("Callable[..., MessengerError]", kind)(words, hint=_hint(refusal, kind))


def later_error(error: Json) -> MessengerError:
    """Return the error that a webhook reports of a message that was taken before."""
    refusal = Refusal(_number(error.get("code"), 1), _number(error.get("error_subcode"), 0), words_of(error))
    return from_refusal(refusal, HTTPStatus.BAD_REQUEST, {}, sends=False)


def _hint(refusal: Refusal, kind: type[MessengerError]) -> str | None:
    return _HINTS.get(refusal.subcode) or _HINTS.get(refusal.code) or _HINTS_BY_KIND.get(kind)


def _kind_of(refusal: Refusal, status: int) -> type[MessengerError]:
    if kind := _BY_SUBCODE.get(refusal.subcode) or _BY_CODE.get(refusal.code):
        return kind
    if 200 <= refusal.code < 300:
        return Forbidden
    if refusal.is_transient or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unreachable
    return RateLimited if status == HTTPStatus.TOO_MANY_REQUESTS else InvalidRequest


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _wait(headers: Mapping[str, str], code: int) -> float:
    """Seconds: as the header says, or the account's usage, or what is known of the code."""
    after = headers.get("retry-after", "")
    if after.isdecimal():
        return float(after)
    minutes = _minutes_to_regain(headers.get("x-business-use-case-usage", ""))
    return minutes * 60.0 if minutes else _WAITS.get(code, _WAIT)


def _minutes_to_regain(usage: str) -> float:
    """`{"<account>": [{"estimated_time_to_regain_access": minutes, ...}]}`; 0 where it says nothing."""
    try:
        accounts: dict[str, list[Json]] = json.loads(usage)
        return max(float(one["estimated_time_to_regain_access"]) for uses in accounts.values() for one in uses)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return 0.0
