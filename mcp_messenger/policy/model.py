"""Policies: what the owner of an instance allows agents to do, and the presets there are."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mcp_messenger.config.quiet_hours import parse_quiet

TAINT_MINUTES = 60
Outcome = Literal["allow", "ask", "deny"]
Entries = Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=1000)]


def _readable(text: str) -> str:
    parse_quiet(text)
    return text


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Outbound(Part):
    """To whom and what may be sent. Entries are chat ids, or patterns of them with `*`.

    `send_to`: contacts are people the account knows; known are those that a person approved or confirmed; replied are those who wrote
    before; list is `allow` alone. What is not allowed is `otherwise`.
    """

    send_to: Literal["anyone", "contacts", "known", "replied", "list", "nobody"] = "anyone"
    otherwise: Literal["ask", "deny"] = "ask"
    allow: Entries = []
    deny: Entries = []
    groups: Outcome = "allow"
    files: Literal["any", "own", "none"] = Field(default="any", description="own: no file that was received in a chat")
    max_file_bytes: int | None = Field(default=None, ge=0)
    links: Outcome = "allow"
    mass_mentions: Outcome = "ask"
    new_chats_a_day: int | None = Field(default=None, ge=0)
    sends_an_hour: int | None = Field(default=None, ge=0)
    quiet_hours: Annotated[str, AfterValidator(_readable)] | None = Field(default=None, max_length=64, description='e.g. "22:00-07:00 Europe/Berlin"')


class Inbound(Part):
    """Who reaches an agent at all; what does not is stored all the same.

    `wake`: trusted are chats that a person approved or confirmed; list is `allow` alone. With both, groups need an entry; `group_words` says
    which words of a group count.
    """

    wake: Literal["anyone", "trusted", "list", "off"] = "anyone"
    allow: Entries = []
    group_words: Literal["mentions", "all"] = "all"


class OwnerChat(Part):
    """Where the owner answers approvals: a chat of one of the owner's instances."""

    instance_id: str = Field(max_length=64)
    chat_id: str = Field(min_length=1, max_length=256)


class Policy(Part):
    """`taint`: after an agent was shown a stranger's words, `strict` asks before a send to another chat, `answers` before one to a chat
    whose words it was not shown, `off` never. Strict and answers also ask before what cannot be taken back. `taint_minutes`: so long words count.
    """

    preset: str = "standard"
    read_only: bool = False
    outbound: Outbound = Outbound()
    inbound: Inbound = Inbound()
    taint: Literal["strict", "answers", "off"] = "strict"
    taint_minutes: int = Field(default=TAINT_MINUTES, ge=1, le=30 * 24 * 60)
    approval_minutes: int = Field(default=24 * 60, ge=1, le=30 * 24 * 60, description="so long a call waits for a person")
    owner: OwnerChat | None = None
    binds_owner: bool = Field(default=False, description="outbound holds for the owner's own calls over REST, too")


PRESETS: Mapping[str, Policy] = MappingProxyType(
    {
        "standard": Policy(),
        "personal assistant": Policy(preset="personal assistant", outbound=Outbound(send_to="known", groups="ask", files="own", new_chats_a_day=5)),
        "customer service": Policy(
            preset="customer service",
            taint="answers",
            outbound=Outbound(send_to="replied", otherwise="deny", groups="deny", files="own", mass_mentions="deny"),
        ),
        "read only": Policy(preset="read only", read_only=True),
        "no limits": Policy(preset="no limits", taint="off", outbound=Outbound(mass_mentions="allow")),
    }
)
DEFAULT = PRESETS["standard"]


def stored(document: Mapping[str, object] | None) -> Policy:
    """Return a policy from its document; a part that a later version added is left out. None: the default."""
    return DEFAULT if document is None else _Lenient.model_validate(document)


class _LenientOutbound(Outbound):
    model_config = ConfigDict(extra="ignore")


class _LenientInbound(Inbound):
    model_config = ConfigDict(extra="ignore")


class _Lenient(Policy):
    model_config = ConfigDict(extra="ignore")

    outbound: Outbound = _LenientOutbound()
    inbound: Inbound = _LenientInbound()
