"""GET /metrics, in Prometheus' text format, for the administrator. Counters are of this process, gauges of the store."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from uuid import UUID

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.responses import Response

from db.errors import StoreUnavailable
from db.gauges import Gauge, gauges
from mcp_messenger.api.rest.routes import caller_of
from mcp_messenger.observability.metrics import BUCKETS, Histogram, Metrics
from mcp_messenger.observability.workers import Workers
from mcp_messenger.operations.application import App
from mcp_messenger.operations.warnings import PARTS, troubles

PREFIX = "mcp_messenger_"
GONE = "gone"
"""The provider of an instance that is no more."""


def add_metrics(router: APIRouter, app: App) -> None:
    # Not in the document: it has its own format, and Prometheus needs no description.
    @router.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        (await caller_of(request)).require_admin()
        registry = CollectorRegistry(auto_describe=False)
        wrong = await troubles(app)
        registry.register(Figures(app.metrics, app.workers, await _standing(app), wrong.keys(), owned=len(app.supervisor.owned)))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def _standing(app: App) -> Sequence[Gauge] | None:
    """None while the store is away: the counters of this process are shown all the same."""
    try:
        return await gauges(app.database)
    except StoreUnavailable:
        return None


class Figures(Collector):
    def __init__(self, metrics: Metrics, workers: Workers, standing: Sequence[Gauge] | None, wrong: Collection[str], *, owned: int) -> None:
        self._metrics = metrics
        self._workers = workers
        self._standing = standing or ()
        self._is_up = standing is not None
        self._wrong = wrong
        self._owned = owned
        self._providers = {one.id: one.provider for one in self._standing}

    def collect(self) -> Iterator[Metric]:
        yield _single("store_up", "Whether the store answers.", float(self._is_up))
        yield _single("instances_held", "Instances that this process runs.", self._owned)
        warnings = GaugeMetricFamily(PREFIX + "warning", "1 for a part that /health says something is wrong with.", labels=("part",))
        for part in PARTS:
            warnings.add_metric([part], float(part in self._wrong))
        yield warnings
        yield from self._counted()
        yield from self._stands()

    def _counted(self) -> Iterator[Metric]:
        messages = CounterMetricFamily(PREFIX + "messages", "Messages by what became of them in this process.", labels=(*OF, "outcome"))
        for (instance_id, outcome), count in self._metrics.messages.items():
            messages.add_metric([*self._of(instance_id), outcome], count)
        yield messages
        sends = HistogramMetricFamily(PREFIX + "send_seconds", "How long the platform took for a send.", labels=OF)
        for instance_id, histogram in self._metrics.sends.items():
            sends.add_metric(self._of(instance_id), _buckets(histogram), histogram.total)
        yield sends
        late = HistogramMetricFamily(
            PREFIX + "delivery_seconds", "From an event to the end of an attempt to deliver it.", labels=(*OF, "target", "outcome")
        )
        for (instance_id, target, outcome), histogram in self._metrics.deliveries.items():
            late.add_metric([*self._of(instance_id), target, outcome], _buckets(histogram), histogram.total)
        yield late
        files = CounterMetricFamily(PREFIX + "files", "Files of messages that came in, by what became of them.", labels=(*OF, "outcome"))
        for (instance_id, outcome), count in self._metrics.files.items():
            files.add_metric([*self._of(instance_id), outcome], count)
        yield files
        failures = CounterMetricFamily(PREFIX + "worker_failures", "Errors of background work, which is tried again.", labels=("worker", "kind"))
        for labels, count in self._workers.failures.items():
            failures.add_metric(labels, count)
        yield failures
        failing = GaugeMetricFamily(PREFIX + "workers_failing", "Background work that failed at its last try.", labels=("worker",))
        for name, count in Counter(one.name for one in self._workers.failing()).items():
            failing.add_metric([name], count)
        yield failing

    def _stands(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(PREFIX + "instance_info", "1, with the name that its owner gave it.", labels=(*OF, "name"))
        states = GaugeMetricFamily(PREFIX + "instance_state", "1 for the state in which an instance is.", labels=(*OF, "state"))
        leases = GaugeMetricFamily(PREFIX + "instance_leased", "Whether some process runs the instance.", labels=OF)
        depth = GaugeMetricFamily(PREFIX + "queue_depth", "Sends that wait.", labels=OF)
        age = GaugeMetricFamily(PREFIX + "queue_age_seconds", "How long the oldest send has been due.", labels=OF)
        waiting = GaugeMetricFamily(PREFIX + "deliveries_pending", "Deliveries that wait.", labels=(*OF, "target"))
        dead = GaugeMetricFamily(PREFIX + "deliveries_dead", "Deliveries that were given up.", labels=(*OF, "target"))
        waited = GaugeMetricFamily(PREFIX + "deliveries_age_seconds", "How long the oldest delivery has been due.", labels=OF)
        for one in self._standing:
            of = self._of(one.id)
            info.add_metric([*of, one.name], 1)
            states.add_metric([*of, one.status], 1)
            leases.add_metric(of, one.leased)
            depth.add_metric(of, one.queued)
            age.add_metric(of, one.queued_age)
            waited.add_metric(of, one.pending_age)
            for family, counts in ((waiting, one.pending), (dead, one.dead)):
                for target, count in counts.items():
                    family.add_metric([*of, target], count)
        yield from (info, states, leases, depth, age, waiting, dead, waited)

    def _of(self, instance_id: UUID) -> list[str]:
        return [self._providers.get(instance_id, GONE), str(instance_id)]


OF = ("provider", "instance_id")
"""Not `instance`, which Prometheus itself sets to the address that it asked."""


def _single(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, documentation, value=value)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*map(str, BUCKETS), "+Inf"]
    return list(zip(bounds, accumulate(map(float, histogram.counts)), strict=True))
