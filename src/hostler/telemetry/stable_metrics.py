"""Metrics of the stable: memory promised and used, loads, departures and their reasons."""

from collections import Counter as Tally
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from hostler.lifecycle.events import LeaveReason, NoteKind
from hostler.lifecycle.journal import JournalEntry
from hostler.lifecycle.ledger import PLACES
from hostler.lifecycle.manager import ModelManager
from hostler.telemetry.model_labels import ModelLabels
from hostler.types import ModelState

LOAD_BUCKETS_S = (0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600, 1800)
"""From a small model in the page cache to a large one that is downloaded."""


_REASONS = frozenset(reason.value for reason in LeaveReason)


class StableMetrics:
    """Counts what the manager's journal tells; what holds at the moment is asked of the manager at each scrape."""

    def __init__(self, manager: ModelManager, registry: CollectorRegistry, model_labels: ModelLabels) -> None:
        self._model_labels = model_labels
        self._reasons: dict[str, str] = {}
        """By model id: why one that is leaving leaves."""
        self._loads = Histogram(
            "hostler_model_load_seconds", "Loads that succeeded", ["model"], buckets=LOAD_BUCKETS_S, registry=registry
        )
        self._failures = Counter(
            "hostler_model_load_failures", "Loads that failed, by error code", ["model", "code"], registry=registry
        )
        self._departures = Counter(
            "hostler_model_departures",
            "Models that left memory, by reason (evicted, idle, unloaded, died, ...)",
            ["model", "reason"],
            registry=registry,
        )
        self._refusals = Counter(
            "hostler_model_refusals",
            "Requests that waited for a model and were turned away, by error code",
            ["model", "code"],
            registry=registry,
        )
        self._estimate_ratio = Gauge(
            "hostler_model_memory_estimate_ratio",
            "Memory reserved before the last load, by what the model turned out to need; 1 is exact",
            ["model"],
            registry=registry,
        )
        registry.register(StableState(manager))
        manager.journal.subscribe(self.note)

    def note(self, entry: JournalEntry) -> None:
        model_id, facts = entry.model_id, entry.facts
        label = self._model_labels.of(model_id)
        match entry.kind:
            case NoteKind.LOADED:
                self._loads.labels(label).observe(float(facts["seconds"] or 0))
                measured = _sum_of_bytes(entry, "measured_")
                if measured:
                    self._estimate_ratio.labels(label).set(_sum_of_bytes(entry, "reserved_") / measured)
            case NoteKind.LOAD_FAILED:
                self._failures.labels(label, str(facts["code"])).inc()
            case NoteKind.LEAVING if facts["reason"] in _REASONS:
                self._reasons[model_id] = str(facts["reason"])
            case NoteKind.DIED:
                self._reasons.pop(model_id, None)
                self._departures.labels(label, "died").inc()
            case NoteKind.UNLOADED:
                self._departures.labels(label, self._reasons.pop(model_id, "unknown")).inc()
            case NoteKind.REFUSED:
                self._refusals.labels(label, str(facts["code"])).inc(float(facts["num"] or 0))


class StableState(Collector):
    """What holds at the moment of a scrape."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The metrics without their values: a registry asks before there is anything to tell."""
        yield from self._families().values()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        manager, families = self._manager, self._families()
        for resource, amount in manager.budget.items():
            if resource != PLACES:
                families["budget"].add_metric([resource], amount)
        states: Tally[str] = Tally({state.value: 0 for state in ModelState})
        for model_id in manager.registry:
            status = manager.status(model_id)
            states[status.state.value] += 1
            if not status.num_waiting and status.state in (ModelState.UNLOADED, ModelState.FAILED):
                continue
            families["leases"].add_metric([model_id], status.num_leases)
            families["waiting"].add_metric([model_id], status.num_waiting)
            for resource, amount in manager.reserved(model_id).items():
                if resource != PLACES:
                    families["reserved"].add_metric([model_id, resource], amount)
            if status.facts is not None:
                families["measured"].add_metric([model_id, "host"], status.facts.host_bytes)
                for device, amount in status.facts.bytes_by_device.items():
                    families["measured"].add_metric([model_id, device], amount)
        for state, count in states.items():
            families["models"].add_metric([state], count)
        yield from families.values()

    def _families(self) -> dict[str, GaugeMetricFamily]:
        of_model = ["model", "resource"]
        return {
            "budget": GaugeMetricFamily(
                "hostler_memory_budget_bytes", "What models may take of each memory", labels=["resource"]
            ),
            "reserved": GaugeMetricFamily(
                "hostler_model_memory_reserved_bytes", "What the ledger holds for a model", labels=of_model
            ),
            "measured": GaugeMetricFamily(
                "hostler_model_memory_measured_bytes", "What a model took just after its load", labels=of_model
            ),
            "models": GaugeMetricFamily("hostler_models", "Registered models by state", labels=["state"]),
            "leases": GaugeMetricFamily(
                "hostler_model_leases", "Requests that hold a model that is in memory, or comes", labels=["model"]
            ),
            "waiting": GaugeMetricFamily(
                "hostler_model_waiting_requests", "Requests that wait for a model to be in memory", labels=["model"]
            ),
        }


def _sum_of_bytes(entry: JournalEntry, prefix: str) -> float:
    return sum(
        float(amount or 0)
        for name, amount in entry.facts.items()
        if name.startswith(prefix) and name != f"{prefix}{PLACES}"
    )
