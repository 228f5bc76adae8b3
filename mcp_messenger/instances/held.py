"""An instance that this process runs."""

from dataclasses import dataclass, field

import anyio

from db.instances import InstanceRow
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.delivery.pace import Pace
from providers.base import Provider
from providers.models import InstanceState

WORKING = frozenset({InstanceState.READY, InstanceState.DEGRADED})
"""States in which a send is tried."""
COMING = frozenset({InstanceState.PROCESSING, InstanceState.STARTING, InstanceState.AUTHENTICATED})
"""States in which a send is kept until the instance is ready."""


@dataclass
class Held:
    """The lease, the provider, and what runs around it."""

    row: InstanceRow
    epoch: int
    provider: Provider
    pace: Pace
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    outgoing: anyio.Event = field(default_factory=anyio.Event)
    stopped: anyio.Event = field(default_factory=anyio.Event)

    @property
    def source(self) -> Source:
        return Source(self.row.id, self.epoch, targets_of(self.row))

    def wake_outbox(self) -> None:
        self.outgoing.set()


def targets_of(row: InstanceRow) -> tuple[str, ...]:
    """Who gets the instance's events besides the log."""
    webhook = ("webhook",) if (row.api_webhook_schema or {}).get("enabled") else ()
    return webhook + (("agno",) if row.agno_enable and row.agent_id else ())
