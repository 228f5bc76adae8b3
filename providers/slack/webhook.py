"""Calls of Slack to our webhook: signed over the body as it came, at most five minutes ago."""

import hashlib
import hmac
import time
from typing import Any
from urllib.parse import parse_qs

from pydantic import SecretStr

from providers.base import WebhookRequest
from providers.kit.json import object_in

Json = dict[str, Any]

SKEW_SECONDS = 300


def is_signed(request: WebhookRequest, secret: SecretStr) -> bool:
    stamp = request.headers.get("x-slack-request-timestamp", "")
    if not stamp.isascii() or not stamp.isdecimal() or abs(time.time() - int(stamp)) > SKEW_SECONDS:
        return False
    signed = b"v0:" + stamp.encode() + b":" + request.body
    wanted = "v0=" + hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()
    given = request.headers.get("x-slack-signature", "")
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def parse(request: WebhookRequest) -> Json | None:
    """Return the payload; None when it is none. Buttons and commands come as forms."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return object_in(request.body) or None
    try:
        form = {name: values[0] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}
    except ValueError:
        return None
    return (object_in(form["payload"]) if "payload" in form else form) or None
