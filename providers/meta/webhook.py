"""How Meta brings events: it shows a token once, and signs each delivery over the body as it sent it."""

import hashlib
import hmac
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, cast

from pydantic import SecretStr

from providers.base import WebhookReply, WebhookRequest
from providers.events import Event, MessageReceived, NoticeReceived
from providers.kit.json import Json, object_in, parts
from providers.kit.unread import NOT_OF_ITS_FORM, unread
from providers.meta.words import without_nulls
from providers.models import Chat, MessageKind

logger = logging.getLogger(__name__)

TEST_ENTRY = "0"
"""The id of the entry in what the dashboard's test button sends."""
_TEST = "Test from Meta's dashboard"

NO_SECRET = "Nothing is received without app_secret: what comes in could be forged. It is in the app's dashboard, under Basic settings."  # noqa: S105  words


_SHOWN = 100
"""Characters of the names of an unread item's fields."""


class Webhook:
    def __init__(self, verify_token: SecretStr, app_secret: SecretStr | None) -> None:
        self._verify_token = verify_token
        self._app_secret = app_secret

    def challenge(self, request: WebhookRequest) -> WebhookReply:
        """The answer to Meta's only GET, when the webhook is set in the dashboard."""
        given = request.query.get("hub.verify_token", "")
        is_ours = hmac.compare_digest(given.encode(errors="replace"), self._verify_token.get_secret_value().encode())
        if request.query.get("hub.mode") != "subscribe" or not is_ours:
            return WebhookReply(HTTPStatus.FORBIDDEN, "The verify token is missing or wrong.")
        return WebhookReply(body=request.query.get("hub.challenge", ""))

    def refusal(self, request: WebhookRequest) -> WebhookReply | None:
        """None for what Meta signed."""
        if self._app_secret is None:
            return WebhookReply(HTTPStatus.FORBIDDEN, NO_SECRET)
        made = hmac.new(self._app_secret.get_secret_value().encode(), request.body, hashlib.sha256).hexdigest()
        given = request.headers.get("x-hub-signature-256", "")
        if not hmac.compare_digest(given.encode(errors="replace"), f"sha256={made}".encode()):
            return WebhookReply(HTTPStatus.FORBIDDEN, "The signature is missing or wrong.")
        return None


def entries_of(body: bytes, object: str) -> list[Json] | None:
    """Return the entries of a delivery about such an object; None for what is none, and is not brought again."""
    delivery = object_in(body)
    if delivery is None or delivery.get("object") != object:
        logger.warning("A delivery of %s bytes is not of Meta's form and was left out.", len(body))
        return None
    entries: Any = without_nulls(delivery.get("entry"))
    return cast("list[Json]", entries) if isinstance(entries, list) else None


def as_test(entry: Json, events: Sequence[Event]) -> list[Event]:
    """Return what shows that a test of the dashboard was received: its messages as notices in a chat that says so, or a notice by itself.

    Nobody wrote them, so they wake nobody and open no window.
    """
    shown: list[Event] = []
    for event in events:
        if isinstance(event, MessageReceived):
            chat = Chat(id=event.chat.id, kind=event.chat.kind, title=_TEST)
            words = event.message.text or f"A message of the kind {event.message.kind}."
            message = event.message.model_copy(update={"kind": MessageKind.SYSTEM, "text": words, "outgoing": False})
            shown.append(MessageReceived(message=message, chat=chat))
    fields = ", ".join(str(change.get("field")) for change in parts(entry, "changes")) or "messages"
    return shown or [NoticeReceived(code="dashboard_test", text=f"{_TEST}: {fields}. It was received.", at=datetime.now(UTC), is_error=False)]


def readable(items: Iterable[Json], translate: Callable[[Json], list[Event]]) -> list[Event]:
    """The events of all. One that cannot be read must not keep back the others."""
    events: list[Event] = []
    for item in items:
        try:
            events += translate(item)
        except NOT_OF_ITS_FORM as error:
            logger.warning("A part of a delivery is not of Meta's form and was left out: %s", type(error).__name__)
            if names := _names_in(item):
                events.append(unread("Meta", names, error))
    return events


def _names_in(item: object) -> str:
    """Return the names of an item's fields; an empty text for what has none."""
    return ", ".join(sorted(cast("Json", item)))[:_SHOWN] if isinstance(item, dict) else ""
