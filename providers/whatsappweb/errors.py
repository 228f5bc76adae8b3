"""What the bridge refuses, as our errors."""

from collections.abc import Generator
from contextlib import contextmanager

from providers.errors import Forbidden, InvalidRequest, MessengerError, NotFound, RateLimited, Rejected, Unreachable
from providers.whatsappweb.client import BridgeRefused
from providers.whatsappweb.ids import phone_of

_NOT_THERE = ("no lid for user", "invalid wid", "could not get the quoted message", "item-not-found", "invalid serialized message id")
_PAGE_GONE = ("target closed", "session closed", "context was destroyed", "protocol error", "detached frame", "timed out")
_ACCOUNT_MAY_NOT = ("forbidden", "not-authorized")

_HINT_CHATS = "list_chats has the chats there are; a number must have its country code and be registered on WhatsApp."


def not_on_whatsapp(id: str) -> NotFound:
    """Return the error for a person whom WhatsApp does not know."""
    return NotFound(f"{phone_of(id) or id} is not on WhatsApp.", hint="Give the phone number with its country code, or an id of list_contacts.")


@contextmanager
def bridge_errors() -> Generator[None]:
    """What the bridge refuses inside is raised as MessengerError."""
    try:
        yield
    except BridgeRefused as refusal:
        raise from_bridge(refusal) from refusal


def from_bridge(refusal: BridgeRefused) -> MessengerError:
    words, said = refusal.words, refusal.words.casefold()
    match refusal.code:
        case "no_such_chat":
            return NotFound(words, hint=_HINT_CHATS)
        case "no_such_message" | "no_such_file":
            return NotFound(words, hint="Ask for it to be sent again, or look with get_messages.")
        case "not_allowed":
            return Forbidden(
                words, hint="Own messages can be edited for 15 minutes and deleted for two days; groups are changed by their administrators."
            )
        case "not_ready" | "leaving":
            return Unreachable(words, maybe_sent=False, hint="It is being started; try again in a minute.")
        case _ if refusal.begun or any(phrase in said for phrase in _PAGE_GONE):
            return Unreachable(
                f"WhatsApp Web broke off: {words}", maybe_sent=refusal.begun, hint="It may have taken effect; look before doing it again."
            )
        case _:
            return _refused(words, said)


def _refused(words: str, said: str) -> MessengerError:
    if any(phrase in said for phrase in _NOT_THERE):
        return NotFound(f"WhatsApp does not know it: {words}", hint=_HINT_CHATS)
    if any(phrase in said for phrase in _ACCOUNT_MAY_NOT):
        return Forbidden(f"WhatsApp does not let this account do that: {words}")
    if "413" in said:
        return InvalidRequest(
            "The file is too large for WhatsApp.", hint="Send pictures, videos and sounds of up to 16 MB, or send it as a document."
        )
    return Rejected(f"WhatsApp Web refused: {words}")


REACH_OUT_LOCK = 463
"""WhatsApp's number for: this account may not write to people it has no chat with, for now."""


def send_refusal(code: int | None, words: str) -> MessengerError:
    """WhatsApp's answer to a send that it did not take."""
    if code == REACH_OUT_LOCK:
        hint = "Write only to people who wrote first. WhatsApp lifts this after hours or days; going on may cost the number."
        return Forbidden("WhatsApp does not let this account begin new chats for now (463).", hint=hint)
    match code:
        case 403 | 401:
            return Forbidden(f"WhatsApp does not let this account write there ({code}).", hint="In some groups only administrators may write.")
        case 404:
            return NotFound("WhatsApp does not know this chat.", hint=_HINT_CHATS)
        case 413:
            return InvalidRequest("WhatsApp says that the message is too large.", hint="Send it in several messages.")
        case 429:
            return RateLimited(60)
        case _:
            return Rejected(f"WhatsApp did not take the message ({words}{'' if code is None else f', {code}'}).")
