"""Metrics of requests: how many, how long, and how many tokens."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from hostler.telemetry.model_labels import ModelLabels
from hostler.telemetry.timeline import GAP_BUCKETS_S, Timeline
from hostler.types import SamplingParams

SECONDS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""From an answer without a model to one that waited for a large load."""


@dataclass(frozen=True)
class Generated:
    """What one generation came to."""

    model_id: str
    timeline: Timeline
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    """Of the prompt's, those that were not computed."""
    num_completion_tokens: int = 0
    num_reasoning_tokens: int = 0
    """Of the completion's."""
    finish_reasons: tuple[str, ...] = ()
    """Of the sequences that have ended."""
    params: SamplingParams | None = None


class RequestMetrics:
    """Labels are bounded: routes as they are registered, `ModelLabels`, names of keys, HTTP's statuses."""

    def __init__(self, registry: CollectorRegistry, model_labels: ModelLabels) -> None:
        self._model_labels = model_labels
        self.in_flight = Gauge("hostler_requests_in_flight", "Requests that are being answered", registry=registry)
        self._requests = Counter(
            "hostler_requests",
            "Requests that have ended; 499: the client left before an answer began",
            ["route", "method", "status", "model", "key"],
            registry=registry,
        )
        self._seconds = Histogram(
            "hostler_request_seconds",
            "From a request's headers to the end of its answer",
            ["route"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._waits = Histogram(
            "hostler_model_wait_seconds",
            "How long a request waited for its model to be in memory",
            ["model"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._queue = Histogram(
            "hostler_engine_queue_seconds",
            "How long a sequence, or a request to read texts, waited in its model's engine for its first step",
            ["model"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._ttft = Histogram(
            "hostler_time_to_first_token_seconds",
            "From a request to its first token, the wait for its model included",
            ["model"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._prompt_tokens = Counter("hostler_prompt_tokens", "Tokens of prompts", ["model", "key"], registry=registry)
        self._cached_tokens = Counter(
            "hostler_cached_prompt_tokens", "Those of them that were not computed again", ["model"], registry=registry
        )
        self._completion_tokens = Counter(
            "hostler_completion_tokens", "Tokens of answers", ["model", "key"], registry=registry
        )
        self._gaps = TokenGaps()
        registry.register(self._gaps)

    def note_request(self, *, route: str, method: str, status: int, model_id: str, key: str, seconds: float) -> None:
        self._requests.labels(route, method, str(status), self._model_labels.of(model_id), key).inc()
        self._seconds.labels(route).observe(seconds)

    def note_generation(self, generated: Generated, key: str) -> None:
        model_id, timeline = self._model_labels.of(generated.model_id), generated.timeline
        if timeline.wait_s is not None:
            self._waits.labels(model_id).observe(timeline.wait_s)
        for queued_s in timeline.queue_waits_s:
            self._queue.labels(model_id).observe(queued_s)
        if timeline.ttft_s is not None:
            self._ttft.labels(model_id).observe(timeline.ttft_s)
        self._prompt_tokens.labels(model_id, key).inc(generated.num_prompt_tokens)
        self._cached_tokens.labels(model_id).inc(generated.num_cached_tokens)
        self._completion_tokens.labels(model_id, key).inc(generated.num_completion_tokens)
        self._gaps.add(model_id, timeline)


@dataclass
class _Gaps:
    counts: list[int] = field(default_factory=lambda: [0] * (len(GAP_BUCKETS_S) + 1))
    seconds: float = 0.0


class TokenGaps(Collector):
    """A histogram that takes in a whole generation at once: to observe each of its tokens by itself would hold up the
    other streams at its end."""

    def __init__(self) -> None:
        self._by_model: dict[str, _Gaps] = {}

    def add(self, model_id: str, timeline: Timeline) -> None:
        gaps = self._by_model.setdefault(model_id, _Gaps())
        gaps.counts = [count + more for count, more in zip(gaps.counts, timeline.gap_counts, strict=True)]
        gaps.seconds += timeline.gap_seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(
            "hostler_inter_token_seconds", "From one token of an answer to its next", labels=["model"]
        )
        bounds = [*map(floatToGoString, GAP_BUCKETS_S), "+Inf"]
        for model_id, gaps in self._by_model.items():
            buckets = list(zip(bounds, map(float, accumulate(gaps.counts)), strict=True))
            family.add_metric([model_id], buckets, gaps.seconds)
        yield family
