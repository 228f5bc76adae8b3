"""An instance that this process runs."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from db.instances import InstanceRow
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.delivery.journal import Journal
from mcp_messenger.delivery.pacing import Pacing
from providers.base import Provider


def _shielded() -> anyio.CancelScope:
    return anyio.CancelScope(shield=True)


@dataclass
class OwnedInstance:
    """The lease, the provider, and what runs around it.

    It ends by `stop`, which lets what is under way come to its end, or by cancelling `scope`, which does not. What is cut short
    stays claimed, and the next owner settles it as unknown.
    """

    row: InstanceRow
    epoch: int
    provider: Provider
    pacing: Pacing
    in_time: Callable[[], bool]
    """Return whether the lease is surely ours at this moment: a process that was frozen may have been replaced before it woke up."""
    journal: Journal
    scope: anyio.CancelScope = field(default_factory=_shielded)
    stopping: bool = False
    in_flight: set[int] = field(default_factory=set[int])
    """Numbers of the messages that were claimed and are not settled."""
    outgoing: anyio.Event = field(default_factory=anyio.Event)
    look_again: bool = False
    """Somebody asked for a look at the outbox while something was being sent, whose chat that look had to pass over."""
    became_ready: anyio.Event = field(default_factory=anyio.Event)
    stopped: anyio.Event = field(default_factory=anyio.Event)

    @property
    def source(self) -> Source:
        return Source(self.row.id, self.epoch)

    def wake_outbox(self) -> None:
        self.outgoing.set()

    def stop(self, within: float) -> None:
        """Begin nothing more; what has not ended in so many seconds is cut short."""
        if not self.stopping:
            self.stopping = True
            self.scope.deadline = anyio.current_time() + within
            self.wake_outbox()
