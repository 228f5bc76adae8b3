"""How Meta brings events: it shows a token once, and signs each delivery over the body as it sent it."""

import hashlib
import hmac
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, cast

from pydantic import SecretStr

from providers.base import WebhookReply, WebhookRequest
from providers.kit.json import Json, object_in
from providers.models import Event

logger = logging.getLogger(__name__)

NO_SECRET = "Nothing is received without app_secret: what comes in could be forged. It is in the app's dashboard, under Basic settings."  # noqa: S105  words


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
    entries: Any = delivery.get("entry")
    return cast("list[Json]", entries) if isinstance(entries, list) else None


def readable(items: Iterable[Json], translate: Callable[[Json], list[Event]]) -> list[Event]:
    """The events of all. One that cannot be read must not keep back the others."""
    events: list[Event] = []
    for item in items:
        try:
            events += translate(item)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            logger.warning("A part of a delivery is not of Meta's form and was left out: %s", type(error).__name__)
    return events
