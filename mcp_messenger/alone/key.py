"""The key that opens one messenger's API."""

import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from mcp_messenger.errors import NotAvailable
from mcp_messenger.security.vault import new_api_key

KEY_FILE = "api.key"


@dataclass(frozen=True)
class Key:
    """Known by its SHA-256 alone where somebody else made it."""

    digest: bytes
    value: SecretStr | None = None
    file: Path | None = None

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self.file.stat().st_mtime if self.file else 0, UTC)

    def opens(self, given: str) -> bool:
        """In a time that does not depend on the key. A key is long and random, so its plain hash tells nothing of it."""
        return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), self.digest)

    def revealed(self) -> str:
        """Raises NotAvailable where only its hash is known."""
        if self.value is None:
            raise NotAvailable("This program knows only the hash of its API key.", hint="Ask whoever set the key, or the manager.")
        return self.value.get_secret_value()


def key_in(folder: Path) -> Key:
    """The key of the folder's file, made at the first start. For programs of the same user: a terminal or a log would show it to others."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / KEY_FILE
    if not path.exists():
        draft = path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(f"{new_api_key()}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    value = path.read_text(encoding="ascii").strip()
    return Key(hashlib.sha256(value.encode()).digest(), SecretStr(value), path)
