"""The messages between a relay and its manager. The other calls carry the provider port's own arguments and answers.

Both ends may be of different versions during an upgrade: paths and fields are only ever added.
"""

from pydantic import BaseModel, ConfigDict, Field

from providers.events import Event, StateChanged

HEALTH = "/health"
"""Open to everybody; the other paths need the relay's key."""
EVENTS = "/events"
SETTINGS = "/port/settings"
STOP = "/port/stop"
FORGET = "/port/forget"
SEND = "/port/send"
METHOD = "/port/{method}"
LONGEST_WAIT = 60.0
MOST_EVENTS = 500


class Health(BaseModel):
    """`status` is healthy as long as the relay answers; `state` is the instance's."""

    status: str
    state: str
    reason: str | None = None
    version: str


class Pull(BaseModel):
    """The query of EVENTS. `after` confirms all events up to it, if it is of the spool that `spool` names or `spool` is None.

    `wait` is in seconds. `manager` names the manager that asks.
    """

    model_config = ConfigDict(extra="forbid")

    after: int | None = Field(default=None, ge=0, lt=2**63)
    spool: str | None = Field(default=None, max_length=64)
    manager: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=100, ge=1, le=MOST_EVENTS)
    wait: float = Field(default=0, ge=0, le=LONGEST_WAIT)


class Numbered(BaseModel):
    """An event with its number in the spool."""

    seq: int
    event: Event


class Pulled(BaseModel):
    """The answer to EVENTS. `spool` names the file that the numbers belong to; `lost` counts the events that were dropped unread, ever.

    `attached` is False for a manager whose settings the relay does not use (any more).
    """

    spool: str
    events: list[Numbered]
    state: StateChanged
    lost: int = 0
    attached: bool = True


class Attached(BaseModel):
    """The answer to SETTINGS, STOP and FORGET."""

    spool: str
    state: StateChanged
