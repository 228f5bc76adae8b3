"""Nonces: Discord makes one message of all sends with the same, for a few minutes, and shows it with the message to the bot itself."""

import hashlib
from typing import Any

from providers.kit.parts import part_nonce

_MAX = 25


class Nonces:
    """Marked with the instance: two servers may number their sends alike and use one bot."""

    def __init__(self, instance_id: str) -> None:
        self._mark = hashlib.sha256(instance_id.encode()).hexdigest()[:5] + "-"

    def write(self, client_id: str, number: int = 0, total: int = 1) -> str:
        """Return the nonce of a message. A client id that is too long cannot be read back from it."""
        nonce = self._mark + part_nonce(client_id, number, total)
        return nonce if len(nonce) <= _MAX else hashlib.sha256(nonce.encode()).hexdigest()[:_MAX]

    def read(self, message: dict[str, Any]) -> str | None:
        """Return the client id of a message that this instance sent; None for every other."""
        nonce = str(message.get("nonce") or "")
        return nonce.removeprefix(self._mark) if nonce.startswith(self._mark) else None
