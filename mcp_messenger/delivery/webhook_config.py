"""What an instance's webhook is set to, and which events it wants."""

import base64
import binascii
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, field_validator, model_validator

from db.deliveries import ClaimedDelivery
from db.messages import MessageRow
from providers.models import ChatKind
from providers.states import InstanceState

EVENT_NAMES = MappingProxyType(
    {
        "message": "message",
        "message_sent": "message_sent",
        "message_edited": "message_edited",
        "message_deleted": "message_deleted",
        "transcript": "transcript",
        "reaction": "reaction",
        "receipt": "receipt",
        "chat": "chat",
        "chat_migrated": "chat_migrated",
        "chat_closed": "chat_closed",
        "poll_vote": "poll_vote",
        "notice": "notice",
        "stop_requested": "stop_requested",
        "approval": "approval",
        "reminder": "reminder",
        "state": "state",
        "qr": "qr",
        "ready": "ready",
        "message_ack": "receipt",
        "callback_query": "message",
    }
)
"""Names that `events` takes, and ours for them. A pressed button is a message; `qr` and `ready` are those of the states."""
BY_DEFAULT = frozenset(EVENT_NAMES.values()) - {"message_sent", "qr"}

HIDDEN = "***"
SHOWN = 4
KEY_LENGTH = 20
"""Characters from which on a part of a path with letters and digits is taken for a key, as the vault's mask does."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - how such secrets begin
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_OURS = frozenset(
    {
        *("host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"),
        *("content-length", "content-type", "content-encoding", "accept-encoding", "user-agent"),
    }
)
_OUR_PREFIXES = ("webhook-", "proxy-")


class WebhookFilters(BaseModel):
    """`allowedNumbers`: only of these people or chats, by phone number or id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowGroups: bool = True  # noqa: N815 - the users' spelling
    allowPrivate: bool = True  # noqa: N815
    allowedNumbers: list[str] | None = Field(default=None, max_length=1000)  # noqa: N815

    def let(self, claimed: ClaimedDelivery, message: MessageRow | None) -> bool:
        if claimed.chat_id is None:
            return True
        if claimed.chat_kind == ChatKind.PRIVATE:
            if not self.allowPrivate:
                return False
        elif claimed.chat_kind in {ChatKind.GROUP, ChatKind.CHANNEL} and not self.allowGroups:
            return False
        if self.allowedNumbers is None:
            return True
        sender = message.sender_id if message is not None else (claimed.data or {}).get("sender_id")
        allowed = {_number(number) for number in self.allowedNumbers}
        return any(_number(name) in allowed for name in (claimed.chat_id, claimed.chat_phone, sender) if name)


def _number(text: str) -> str:
    """+1 555-0100, 15550100 and 15550100@s.whatsapp.net are one; what is no number is compared as it is."""
    head = text.partition("@")[0]
    digits = re.sub(r"[ ()+.-]", "", head)
    return digits if digits.isdecimal() and not head.startswith("-") else text


class WebhookConfig(BaseModel):
    """Where events of the instance are posted to."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    enabled: bool = False
    url: AnyHttpUrl | None = None
    filters: WebhookFilters = WebhookFilters()
    events: list[Annotated[str, Field(max_length=64)]] | None = Field(
        default=None, max_length=50, description=f"of {', '.join(EVENT_NAMES)}; none: all but message_sent and qr"
    )
    only_waking: bool | None = Field(default=None, description="only words that the policy lets wake an agent; else they say so in `wakes`")
    secret: str | None = Field(
        default=None, repr=False, max_length=512, min_length=16, description="whsec_ and base64, or any text; none: one is made"
    )
    headers: dict[str, str] | None = Field(
        default=None, repr=False, max_length=20, description="sent with every event, such as Authorization; kept encrypted; none: as they were"
    )

    @field_validator("events")
    @classmethod
    def _are_known(cls, value: list[str] | None) -> list[str] | None:
        unknown = sorted(set(value or ()) - EVENT_NAMES.keys())
        if unknown:
            raise ValueError(f"there is no event {', '.join(map(repr, unknown))}; there are {', '.join(EVENT_NAMES)}")
        return value

    @field_validator("secret")
    @classmethod
    def _is_a_key(cls, value: str | None) -> str | None:
        if value is not None:
            signing_key(value)
        return value

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for name, content in (value or {}).items():
            if not _TOKEN.fullmatch(name) or name.lower() in _OURS or name.lower().startswith(_OUR_PREFIXES):
                raise ValueError(f"a header {name[:64]!r} cannot be set")
            if len(content) > 2048 or not _VALUE.fullmatch(content):
                raise ValueError(f"the header {name[:64]!r} needs a value of at most 2048 ASCII characters in one line")
        if len({name.lower() for name in value or ()}) < len(value or ()):
            raise ValueError("a header is there twice")
        return value

    @model_validator(mode="after")
    def _has_url(self) -> Self:
        if self.url is not None and (self.url.username or self.url.password):
            raise ValueError("a webhook url holds no user name and no password; set a secret instead")
        if self.enabled and self.url is None:
            raise ValueError("an enabled webhook needs a url")
        return self

    def public(self) -> dict[str, Any]:
        """Return the part that may be seen, with the secrets in the address masked; the rest is kept sealed."""
        found = self.model_dump(mode="json", exclude={"secret", "headers"}, exclude_none=True)
        return found if self.url is None else {**found, "url": masked_url(str(self.url))}

    @property
    def names_qr(self) -> bool:
        """Whether `events` names the QR code: only then is its content posted."""
        return "qr" in (self.events or ())

    def wants(self, claimed: ClaimedDelivery, message: MessageRow | None) -> bool:
        wanted = BY_DEFAULT if self.events is None else {EVENT_NAMES.get(name) for name in self.events}
        return not wanted.isdisjoint(names_of(claimed.type or "", claimed.data or {}, message)) and self.filters.let(claimed, message)


def origin_of(url: AnyHttpUrl) -> str:
    """Return scheme, host and port of an address: whoever may read its secrets."""
    return f"{url.scheme}://{url.host}:{url.port}"


def masked_url(url: str) -> str:
    """Return an address with the values of its query hidden, and of each part of its path that looks like a key all but both ends."""
    parts = urlsplit(url)
    path = "/".join(masked_part(part) if _is_key(part) else part for part in parts.path.split("/"))
    query = "&".join(name + equals + (HIDDEN if value else "") for name, equals, value in (one.partition("=") for one in parts.query.split("&")))
    query = query if "=" in query or not query else HIDDEN
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def _is_key(part: str) -> bool:
    return len(part) >= KEY_LENGTH and any(one.isdigit() for one in part) and any(one.isalpha() for one in part)


def masked_part(part: str) -> str:
    return part[:SHOWN] + HIDDEN + part[-SHOWN:]


def names_of(type: str, data: Mapping[str, Any], message: MessageRow | None) -> set[str]:
    """Return the names that an event has in `events`."""
    if type == "message":
        return {"message_sent" if message is not None and message.outgoing else "message"}
    if type == "state":
        status = data.get("status")
        return {"state", *(["qr"] if status == InstanceState.QR_READY else ["ready"] if status == InstanceState.READY else [])}
    return {type}


def signing_key(secret: str) -> bytes:
    """The key of a secret: what follows `whsec_` in base64, or else the text itself. Raises ValueError."""
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("what follows whsec_ is not base64") from None
    if not 16 <= len(key) <= 384:
        raise ValueError("what follows whsec_ must be base64 of 24 to 64 bytes")
    return key


def new_secret() -> str:
    import secrets

    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
