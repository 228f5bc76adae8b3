"""What is known of instances right now, without asking the store: the memory service."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from db.events import EventRow
from db.instances import InstanceRow
from mcp_messenger.delivery.feed import Listener

IDLE_SECONDS = 300.0
EVICT_EVERY = 300.0


@dataclass
class Entry:
    status: str
    provider: str
    loaded_at: datetime
    last_activity: datetime | None = None
    counters: Counter[str] = field(default_factory=Counter[str])
    touched: float = 0.0


class Memory(Listener):
    """Entries come when an instance is looked at or has an event, and go when they have been idle for five minutes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: dict[UUID, Entry] = {}
        self.evicted = 0

    def load(self, row: InstanceRow) -> Entry:
        """The instance's entry, made from its row when it is not there."""
        entry = self._entries.get(row.id)
        if entry is None:
            entry = Entry(row.status, row.provider, datetime.now(UTC), row.last_activity_at)
            self._entries[row.id] = entry
        entry.status = row.status
        entry.touched = self._clock()
        return entry

    def instance_changed(self, instance_id: UUID, rows: list[EventRow]) -> None:
        entry = self._entries.get(instance_id)
        if entry is None:
            return
        entry.touched = self._clock()
        for row in rows:
            entry.counters[row.type] += 1
            entry.last_activity = row.at
            if row.type == "state":
                entry.status = str(row.data.get("status", entry.status))

    def forget(self, instance_id: UUID) -> None:
        self._entries.pop(instance_id, None)

    def evict(self) -> int:
        """Drop what has been idle; how many."""
        horizon = self._clock() - IDLE_SECONDS
        idle = [instance_id for instance_id, entry in self._entries.items() if entry.touched < horizon]
        for instance_id in idle:
            del self._entries[instance_id]
        self.evicted += len(idle)
        return len(idle)

    async def tidy(self) -> None:
        """Drop what has been idle; for a worker."""
        self.evict()

    def entries(self) -> dict[UUID, Entry]:
        return dict(self._entries)
