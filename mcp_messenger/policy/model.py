"""Policies: what the owner of an instance allows agents to do, and the presets there are."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mcp_messenger.config.quiet_hours import parse_quiet

TAINT_MINUTES = 60
CODE = "{code}"
Outcome = Literal["allow", "ask", "deny"]
Entries = Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=1000)]


def _readable(text: str) -> str:
    parse_quiet(text)
    return text


def _with_code(text: str) -> str:
    if CODE not in text:
        raise ValueError(f"there is no {CODE} in it")
    return text


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Outbound(Part):
    """To whom and what may be sent. Entries are chat ids, or patterns of them with `*`.

    `send_to`: contacts are in the account's address book, or named by its owner; known are those that a person approved or confirmed; replied
    are those who wrote before; list is `allow` alone. What is not allowed is `otherwise`.
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

    `wake`: trusted are chats that a person approved or confirmed; paired are these and whoever the owner let in by a code, which strangers
    are given; list is `allow` alone. With all three, groups need an entry; `group_words` says which words of a group count. `pairing_text` is
    what a stranger is told, with {code} in it.
    """

    wake: Literal["anyone", "paired", "trusted", "list", "off"] = "anyone"
    allow: Entries = []
    group_words: Literal["mentions", "all"] = "all"
    pairing_text: Annotated[str, Field(max_length=500), AfterValidator(_with_code)] | None = None


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
    client_decides: bool = Field(
        default=True, description="the person at an MCP client may decide there, unless it calls with an agent's key; off where none sits there"
    )


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


NARROWED = ("preset", "read_only", "outbound", "inbound", "taint")
"""The parts of a policy that a key may have."""


def narrowing(given: Mapping[str, Any]) -> Policy:
    """Return the policy of a key, in which what is not given forbids nothing. Raises ValueError for what is none."""
    preset = given.get("preset", "no limits")
    if preset not in PRESETS:
        raise ValueError(f"there is no preset {str(preset)[:64]!r}; there are {', '.join(PRESETS)}")
    unknown = sorted(set(given) - set(NARROWED))
    if unknown:
        raise ValueError(f"a key has no {', '.join(unknown)[:64]}; it has {', '.join(NARROWED)}")
    base = PRESETS[preset].model_dump()
    parts = {name: {**base[name], **cast("dict[str, Any]", value)} if isinstance(value, dict) else value for name, value in given.items()}
    return Policy.model_validate({**base, **parts})


def of_key(document: Mapping[str, Any] | None) -> Policy | None:
    """Return the policy of a key from its document; None: it has none."""
    return None if document is None else stored({**PRESETS["no limits"].model_dump(mode="json"), **document})


def first_fault(error: ValueError) -> str:
    """Return where a policy is wrong and why, without the value."""
    if not isinstance(error, ValidationError):
        return f"{error}."
    one = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, one['loc']))}: {one['msg']}."
