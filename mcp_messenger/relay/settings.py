"""The settings of a relay, read from the environment that the manager gives its container."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from pydantic import TypeAdapter

from mcp_messenger.config import PREFIX
from mcp_messenger.config.settings import Setting
from mcp_messenger.errors import InvalidInput
from mcp_messenger.relay.spool import Bounds

SHA256 = re.compile(r"[0-9a-f]{64}")

SETTINGS = (
    Setting(PREFIX + "MANAGED", "1: run as the relay of an instance's container; its manager brings the settings, which stay in memory"),
    Setting(PREFIX + "INSTANCE_ID", "the instance's id (UUID)"),
    Setting(PREFIX + "API_KEY_SHA256", "SHA-256 of the key by which the relay knows its manager, in hex"),
    Setting(PREFIX + "SECRET_FILE", "file with more variables, as a JSON object, such as a secret of Docker Swarm"),
    Setting(PREFIX + "FENCE", "seconds without a manager after which the relay lets go of the account, where another node may take it"),
    Setting(PREFIX + "SPOOL_EVENTS", "events that the relay keeps for a manager that does not come (50000)"),
    Setting(PREFIX + "SPOOL_DAYS", "and for how many days (30)"),
)
"""Besides those of config.SETTINGS. The manager sets the first five."""


@dataclass(frozen=True, kw_only=True)
class RelaySettings:
    instance_id: UUID
    key_digest: bytes
    """SHA-256 of the relay's key."""
    bounds: Bounds = field(default_factory=Bounds)
    fence: float | None = None
    """Seconds without a manager after which the account is let go of; None: never."""


def is_managed(environ: Mapping[str, str]) -> bool:
    """Return whether the process is to be a relay."""
    return environ.get(PREFIX + "MANAGED", "").strip().lower() in {"1", "true", "yes"}


def secrets_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the secret file; none without one. Raises InvalidInput."""
    path = environ.get(PREFIX + "SECRET_FILE", "").strip()
    if not path:
        return {}
    try:
        return TypeAdapter(dict[str, str]).validate_json(Path(path).read_bytes())
    except (OSError, ValueError):
        # Not what is in it: that is secret.
        raise InvalidInput(
            f"{PREFIX}SECRET_FILE cannot be read as a JSON object of texts.", hint="restart_instance makes the service again."
        ) from None


def from_environment(environ: Mapping[str, str]) -> RelaySettings:
    """Return the relay's settings. Raises InvalidInput naming the variable that is missing or cannot be read."""

    def get(name: str, default: str = "") -> str:
        return environ.get(PREFIX + name, "").strip() or default

    digest = get("API_KEY_SHA256").lower()
    if not SHA256.fullmatch(digest):
        raise InvalidInput(f"{PREFIX}API_KEY_SHA256 is no SHA-256.", hint="Give the SHA-256 of a long random key, 64 hexadecimal digits.")
    return RelaySettings(
        instance_id=_uuid(get("INSTANCE_ID")),
        key_digest=bytes.fromhex(digest),
        bounds=Bounds(
            events=_number("SPOOL_EVENTS", get("SPOOL_EVENTS", "50000")),
            age=timedelta(days=_number("SPOOL_DAYS", get("SPOOL_DAYS", "30"))),
        ),
        fence=_number("FENCE", get("FENCE")) if get("FENCE") else None,
    )


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput(f"{PREFIX}INSTANCE_ID is {text!r}, which is no UUID.", hint="Give the instance's id.") from None


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 10**9):
        raise InvalidInput(f"{PREFIX}{name} is {text!r}.", hint="Give a whole number above 0.")
    return int(text)
