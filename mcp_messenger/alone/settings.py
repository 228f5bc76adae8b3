"""How one messenger alone is set up, read from the environment once."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from mcp_messenger.alone.spool import Bounds
from mcp_messenger.config import PREFIX, Config, Setting
from mcp_messenger.errors import InvalidInput

TYPES = frozenset({"api", "mcp"})
SHA256 = re.compile(r"[0-9a-f]{64}")

SETTINGS = (
    Setting(
        PREFIX + "CREDENTIALS", "the messenger's settings as a JSON object; or --credentials-file. Telegram: TELEGRAM_BOT_TOKEN, TELEGRAM_BASE_URL"
    ),
    Setting(PREFIX + "INSTANCE_TYPES", "api, or api,mcp to serve MCP at /mcp too (api)"),
    Setting(PREFIX + "SPOOL_MESSAGES", "messages that the instance itself remembers (10000)"),
)
"""Besides those of config.SETTINGS."""


@dataclass(frozen=True, kw_only=True)
class Alone:
    """`credentials` None: a manager brings them."""

    credentials: Mapping[str, Any] | None = field(default=None, repr=False)
    instance_id: UUID | None = None
    key_digest: bytes | None = None
    """SHA-256 of the API key."""
    types: frozenset[str] = frozenset({"api"})
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def is_managed(self) -> bool:
        return self.credentials is None

    def check(self, config: Config) -> None:
        """Refuse a set-up that would let strangers in, or that its own manager could not open."""
        if self.key_digest is not None:
            return
        hint = f"Set {PREFIX}API_KEY_SHA256 to the SHA-256 (hex) of a long random key"
        if self.is_managed:
            raise InvalidInput("This program waits for its manager, and has no API key to know it by.", hint=f"{hint}.")
        if not config.is_loopback:
            raise InvalidInput(f"Listening on {config.host} lets other machines in, and no API key is set.", hint=f"{hint}, or listen on 127.0.0.1.")


def alone_from(environ: Mapping[str, str], provider: str, *, given: Mapping[str, Any], file: Path | None) -> Alone:
    """`given` are settings from the command line. Raises InvalidInput naming the variable that cannot be read."""

    def get(name: str, default: str = "") -> str:
        return environ.get(PREFIX + name, "").strip() or default

    is_managed = get("MANAGED").lower() in {"1", "true", "yes"}
    types = frozenset(name.strip() for name in get("INSTANCE_TYPES", "api").split(",") if name.strip())
    if not types or types - TYPES:
        raise InvalidInput(f"{PREFIX}INSTANCE_TYPES is {','.join(sorted(types))!r}.", hint="Give api, or api,mcp.")
    digest = get("API_KEY_SHA256").lower()
    if digest and not SHA256.fullmatch(digest):
        raise InvalidInput(f"{PREFIX}API_KEY_SHA256 is no SHA-256.", hint="Give 64 hexadecimal digits.")
    return Alone(
        credentials=None if is_managed else _credentials(environ, provider, given, file),
        instance_id=_uuid(get("INSTANCE_ID")),
        key_digest=bytes.fromhex(digest) or None,
        types=types,
        bounds=Bounds(
            events=_number("SPOOL_EVENTS", get("SPOOL_EVENTS", "50000")),
            messages=_number("SPOOL_MESSAGES", get("SPOOL_MESSAGES", "10000")),
            age=timedelta(days=_number("SPOOL_DAYS", get("SPOOL_DAYS", "30"))),
        ),
    )


def _credentials(environ: Mapping[str, str], provider: str, given: Mapping[str, Any], file: Path | None) -> dict[str, Any]:
    text = environ.get(PREFIX + "CREDENTIALS", "").strip()
    where = f"{PREFIX}CREDENTIALS"
    if file is not None:
        where = str(file)
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{where} cannot be read: {error.strerror}.", hint="Check --credentials-file.") from error
    try:
        found: object = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        # Not what is in it: that is secret.
        raise InvalidInput(f"{where} holds no JSON object.", hint='Write it like {"token": "..."}.')
    credentials = {**cast("dict[str, Any]", found), **given}
    if provider == "telegram":
        named = {"token": environ.get("TELEGRAM_BOT_TOKEN"), "base_url": environ.get("TELEGRAM_BASE_URL")}
        credentials = {**{name: value for name, value in named.items() if value}, **credentials}
        if not credentials.get("token"):
            raise InvalidInput("No bot token.", hint="Set TELEGRAM_BOT_TOKEN, or give --telegram-bot-token.")
    return credentials


def account_name(provider: str, secrets: Mapping[str, str]) -> str:
    """The name of an account's folder: the same at each start with the same secrets."""
    text = f"{provider}:" + "".join(secrets[name] for name in sorted(secrets))
    return f"{provider}-api-" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise InvalidInput(f"{PREFIX}INSTANCE_ID is {text!r}, which is no UUID.", hint="Leave it out, or give the instance's id.") from None


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 10**9):
        raise InvalidInput(f"{PREFIX}{name} is {text!r}.", hint="Give a whole number above 0.")
    return int(text)
