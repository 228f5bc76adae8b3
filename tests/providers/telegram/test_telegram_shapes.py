"""Refusals of the Bot API, also of older servers, in its words and with the next step."""

import httpx
import pytest
from telegram.error import BadRequest, NetworkError, RetryAfter, TelegramError
from telegram.error import Forbidden as BotForbidden

from providers.errors import Forbidden, InvalidRequest, MessengerError, NotFound, RateLimited, Unreachable
from providers.events import CHAT_DELETED
from providers.telegram.errors import from_telegram, reason_of_closing


@pytest.mark.parametrize(
    ("words", "kind", "hint"),
    [
        ("Forbidden: the group chat was deleted", Forbidden, "list_chats"),
        ("Forbidden: bot is not a member of the supergroup chat", Forbidden, "add the bot"),
        ("Forbidden: bot was kicked from the channel chat", Forbidden, "add the bot"),
        ("Bad Request: ALLOW_PAYMENT_REQUIRED_5", Forbidden, "Stars"),
        ("Bad Request: PRIVACY_PREMIUM_REQUIRED", Forbidden, "Premium"),
        ("Bad Request: MESSAGE_TOO_LONG", InvalidRequest, "split"),
        ("Bad Request: replied message not found", NotFound, "reply_to"),
        ("Bad Request: reply message not found", NotFound, "reply_to"),
        ("Bad Request: message to be replied not found", NotFound, "reply_to"),
        ("Bad Request: CHAT_SEND_PLAIN_FORBIDDEN", Forbidden, "right"),
        ("Bad Request: not enough rights to send photos to the chat", Forbidden, "right"),
        ("Bad Request: message has protected content and can't be forwarded", Forbidden, "protected"),
        ("Bad Request: CHAT_FORWARDS_RESTRICTED", Forbidden, "protected"),
        ("Bad Request: message must be non-empty", InvalidRequest, "visible text"),
        ("Bad Request: a refusal that is new", InvalidRequest, ""),
    ],
)
def test_a_refused_send_is_told_in_telegrams_words_with_the_next_step(words: str, kind: type[MessengerError], hint: str) -> None:
    error = from_telegram((BotForbidden if words.startswith("Forbidden") else BadRequest)(words.removeprefix("Bad Request: ")))
    assert type(error) is kind
    assert words.removeprefix("Bad Request: ").removeprefix("Forbidden: ").casefold() in error.detail.casefold()
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    "words", ["Forbidden: the group chat was deleted", "Forbidden: the channel chat was deleted", "Forbidden: bot was blocked by the user"]
)
def test_a_chat_that_is_gone_is_closed(words: str) -> None:
    error = from_telegram(BotForbidden(words))
    assert isinstance(error, Forbidden)
    assert reason_of_closing(error) == (CHAT_DELETED if "deleted" in words else error.detail)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (RetryAfter(7), RateLimited),
        (NetworkError("Internal Server Error: sent message was not found"), Unreachable),
        (TelegramError("odd"), Unreachable),
    ],
)
def test_what_may_have_been_sent_is_not_called_refused(raised: TelegramError, kind: type[MessengerError]) -> None:
    assert type(from_telegram(raised)) is kind


def test_what_never_left_was_not_sent() -> None:
    raised = NetworkError("httpx.ConnectError")
    raised.__cause__ = httpx.ConnectError("refused")
    error = from_telegram(raised)
    assert isinstance(error, Unreachable)
    assert not error.maybe_sent
