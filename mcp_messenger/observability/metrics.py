"""What this process has done, counted. Prometheus reads it through api/rest/metrics.py."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds in seconds; what is longer counts in the last."""


@dataclass
class Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


@dataclass
class Metrics:
    """Cheap to count; names and labels are given when somebody looks."""

    messages: Counter[tuple[UUID, str]] = field(default_factory=Counter[tuple[UUID, str]])
    """By instance and what became of it: received, sent, failed, unknown."""
    sends: dict[UUID, Histogram] = field(default_factory=dict[UUID, Histogram])
    """How long the platform took for a send, by instance."""
    deliveries: dict[tuple[UUID, str, str], Histogram] = field(default_factory=dict[tuple[UUID, str, str], Histogram])
    """How long after its event an attempt of a delivery ended, by instance, target and outcome."""

    files: Counter[tuple[UUID, str]] = field(default_factory=Counter[tuple[UUID, str]])
    """Files of messages that came in, by instance and what became of them: kept, failed (it is tried again), not_kept; heard or not_heard."""
    refused: Counter[UUID] = field(default_factory=Counter[UUID])
    """Sends that failed since the last one that did not, by instance."""

    def refused_in_a_row(self, least: int) -> int:
        """Return the number of instances whose last sends, at least so many, have all failed."""
        return sum(count >= least for count in self.refused.values())

    def sent(self, instance_id: UUID, seconds: float) -> None:
        self.refused.pop(instance_id, None)
        self.sends.setdefault(instance_id, Histogram()).observe(seconds)

    def delivered(self, instance_id: UUID, target: str, outcome: str, seconds: float) -> None:
        """`outcome` is done, pending (it is tried again) or dead."""
        self.deliveries.setdefault((instance_id, target, outcome), Histogram()).observe(seconds)

    def forget(self, instance_id: UUID) -> None:
        """The instance is gone: its figures would stay for ever."""
        for counted in (self.messages, self.sends, self.deliveries, self.files, self.refused):
            for key in [key for key in counted if (key[0] if isinstance(key, tuple) else key) == instance_id]:
                del counted[key]  # pyright: ignore[reportArgumentType] - the keys are its own
