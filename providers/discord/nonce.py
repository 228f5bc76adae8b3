"""Nonces: Discord makes one message of all sends with the same, for a few minutes, and shows it with the message to the bot itself."""

import hashlib
from typing import Any

_MAX = 25
_LATER = "+"


class Nonces:
    """Marked with the instance: two servers may number their sends alike and use one bot."""

    def __init__(self, instance_id: str) -> None:
        self._mark = hashlib.sha256(instance_id.encode()).hexdigest()[:5] + "-"

    def write(self, client_id: str, part: int = 0) -> str:
        """For each message of a send that makes several. A client id that is too long is not read back from it."""
        nonce = f"{self._mark}{client_id}{_LATER}{part}" if part else self._mark + client_id
        return nonce if len(nonce) <= _MAX else hashlib.sha256(nonce.encode()).hexdigest()[:_MAX]

    def read(self, message: dict[str, Any]) -> str | None:
        """The client id of a message that this instance sent."""
        nonce = str(message.get("nonce") or "")
        return nonce.removeprefix(self._mark) if nonce.startswith(self._mark) else None

    def is_later_part(self, message: dict[str, Any]) -> bool:
        """Whether it continues another message of the same send, under which all of it is known."""
        return _LATER in (self.read(message) or "")
