"""What the program and its manager say to each other, at both ends alike. The other calls carry the port's own arguments and answers."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from providers.models import Event, StateChanged

EVENTS = "/events"
SETTINGS = "/port/settings"
STOP = "/port/stop"
FORGET = "/port/forget"
SEND = "/port/send"
METHOD = "/port/{method}"
LONGEST_WAIT = 60.0
MOST_EVENTS = 500


class Numbered(BaseModel):
    """An event with its place in the spool."""

    seq: int
    event: Event


class Pulled(BaseModel):
    """`spool` names the file that the numbers are of; `lost` counts events that went unread, since the beginning.

    `attached` is False for a manager whose settings the program does not have (any more).
    """

    spool: str
    events: list[Numbered]
    state: StateChanged
    lost: int = 0
    attached: bool = True


class Attached(BaseModel):
    """The answer to what concerns the provider's life."""

    spool: str
    state: StateChanged


class Failed(BaseModel):
    """The answer to a call that the program or its provider refused: the error as `told` makes it."""

    model_config = ConfigDict(extra="allow")

    error: dict[str, Any]
