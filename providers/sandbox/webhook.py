"""Events that another program signs and posts: the sandbox's example of a strict webhook.

POST with a JSON body {"id": "evt-1", "chat_id": "ann", "sender_id"?: "ann", "text": "hello"} and two headers:
`x-sandbox-timestamp`, Unix seconds not more than 300 s off, and `x-sandbox-signature`, "sha256=" and the hexadecimal HMAC-SHA256
of `<timestamp>.<body>` under the instance's webhook_secret. The same id twice is one message.
"""

import hashlib
import hmac
import re
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from providers.base import WebhookRequest

TIMESTAMP_HEADER = "x-sandbox-timestamp"
SIGNATURE_HEADER = "x-sandbox-signature"
TOLERANCE = 300
_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)


class WebhookEvent(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")
    chat_id: str
    sender_id: str | None = None
    text: str = Field(min_length=1)


def sign(secret: SecretStr, timestamp: str, body: bytes) -> str:
    """The value of `x-sandbox-signature`."""
    return "sha256=" + hmac.new(secret.get_secret_value().encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def is_genuine(request: WebhookRequest, secret: SecretStr, now: datetime) -> bool:
    timestamp = request.headers.get(TIMESTAMP_HEADER, "")
    if not _SECONDS.fullmatch(timestamp) or abs(now.timestamp() - int(timestamp)) > TOLERANCE:
        return False
    given = request.headers.get(SIGNATURE_HEADER, "")
    return hmac.compare_digest(given.encode(errors="replace"), sign(secret, timestamp, request.body).encode())
