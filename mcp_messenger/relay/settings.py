"""The settings of a relay, read from the environment that the manager gives its container."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from mcp_messenger.config import PREFIX, Setting
from mcp_messenger.errors import InvalidInput
from mcp_messenger.relay.spool import Bounds

SHA256 = re.compile(r"[0-9a-f]{64}")

SETTINGS = (
    Setting(PREFIX + "MANAGED", "1: run as the relay of an instance's container; its manager brings the settings, which stay in memory"),
    Setting(PREFIX + "INSTANCE_ID", "the instance's id (UUID)"),
    Setting(PREFIX + "API_KEY_SHA256", "SHA-256 of the key by which the relay knows its manager, in hex"),
    Setting(PREFIX + "SPOOL_EVENTS", "events that the relay keeps for a manager that does not come (50000)"),
    Setting(PREFIX + "SPOOL_DAYS", "and for how many days (30)"),
)
"""Besides those of config.SETTINGS. The manager sets the first three."""


@dataclass(frozen=True, kw_only=True)
class RelaySettings:
    instance_id: UUID
    key_digest: bytes
    """SHA-256 of the relay's key."""
    bounds: Bounds = field(default_factory=Bounds)


def is_managed(environ: Mapping[str, str]) -> bool:
    """Return whether the process is to be a relay."""
    return environ.get(PREFIX + "MANAGED", "").strip().lower() in {"1", "true", "yes"}


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
