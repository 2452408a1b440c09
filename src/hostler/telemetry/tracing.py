"""Spans of requests, from HTTP through the wait for a model to its tokens, for OpenTelemetry.

Off unless the `OTEL_*` variables ask for it; until then nothing of OpenTelemetry's SDK is imported. Names are those of
the semantic conventions for HTTP servers and for generative AI. No span has a text of a request or of an answer.
"""

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hostler import __version__
from hostler.telemetry.request_metrics import Generated

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

logger = logging.getLogger(__name__)

_FLUSH_S = 5.0
"""For what is not sent when the server ends."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether the variables of OpenTelemetry's SDK say where spans go, or that they do go."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
        return False
    return exporter == "otlp" or any(environment.get(name) for name in _ENDPOINTS)


def tracer_for(environment: Mapping[str, str]) -> "RequestTracer | None":
    """What sends spans as the variables say; `None` where they do not ask for any, or the extra is not installed."""
    if not is_asked_for(environment):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        logger.warning("tracing_not_installed remedy=%r", "pip install 'hostler[tracing]', or unset OTEL_*")
        return None
    named = OTELResourceDetector().detect().attributes
    own = {"service.name": "hostler", "service.version": __version__}
    resource = Resource.create({key: value for key, value in own.items() if key not in named})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return RequestTracer(provider)


class RequestTracer:
    """Makes the spans of requests."""

    def __init__(self, provider: "TracerProvider") -> None:
        """`provider`: closed with it."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("hostler", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def start(self, method: str, headers: Mapping[str, str]) -> "RequestSpan":
        """Of a request that has come now; `headers` may say which trace it is part of."""
        from opentelemetry.trace import SpanKind

        carrier = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        context = self._propagator.extract(carrier)
        return RequestSpan(self, self._tracer.start_span(method, context, SpanKind.SERVER), method)

    def child(self, parent: "Context", name: str, start: int, attributes: Mapping[str, "AttributeValue"]) -> "Span":
        """`start`: Unix nanoseconds."""
        return self._tracer.start_span(name, parent, start_time=start, attributes=attributes)

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        flush = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        flush.start()
        flush.join(_FLUSH_S)


class RequestSpan:
    """The span of one request. Those inside it are made at its end, of moments that were noted anyway."""

    def __init__(self, tracer: RequestTracer, span: "Span", method: str) -> None:
        """Made by `RequestTracer.start`."""
        self._tracer = tracer
        self._span = span
        self._method = method
        self._zero = time.time_ns() - time.perf_counter_ns()

    @property
    def trace_id(self) -> str:
        """As `traceparent` spells it."""
        return format(self._span.get_span_context().trace_id, "032x")

    def end(
        self,
        *,
        route: str,
        path: str,
        status: int,
        error_code: str | None,
        request_id: str,
        key: str,
        generated: Iterable[Generated],
    ) -> None:
        """`key`: name of the caller's key. `error_code`: of an answer that is an error, or of a stream that failed."""
        from opentelemetry.trace import StatusCode, set_span_in_context

        if not self._span.is_recording():
            return
        context = set_span_in_context(self._span)
        for one in generated:
            self._add_generation(context, one, _operation_of(route), error_code)
        self._span.update_name(f"{self._method} {route}")
        self._span.set_attributes(
            {
                "http.request.method": self._method,
                "http.route": route,
                "http.response.status_code": status,
                "url.path": path,
                "hostler.request.id": request_id,
                "hostler.key.name": key,
            }
        )
        if error_code is not None:
            self._span.set_attribute("error.type", error_code)
        if status >= 500 or (error_code is not None and status < 400):
            self._span.set_status(StatusCode.ERROR)
        self._span.end()

    def _add_generation(self, parent: "Context", one: Generated, operation: str, error_code: str | None) -> None:
        from opentelemetry.trace import StatusCode, set_span_in_context

        timeline = one.timeline
        of_model: dict[str, AttributeValue] = {"gen_ai.request.model": one.model_id}
        leased_at = timeline.leased_at
        wait_ends = time.perf_counter() if leased_at is None else leased_at
        self._add(parent, "wait_for_model", timeline.asked_at, wait_ends, of_model)
        if leased_at is None:
            return
        attributes = {"gen_ai.operation.name": operation, "gen_ai.provider.name": "hostler", **_attributes_of(one)}
        span = self._tracer.child(parent, f"{operation} {one.model_id}", self._unix_ns(leased_at), attributes)
        inside = set_span_in_context(span)
        moments = [("tokenize", timeline.admitted_at), ("queue", timeline.begun_at), ("prefill", timeline.first_at)]
        begun = leased_at
        for name, ended in moments:
            if ended is not None:
                self._add(inside, name, begun, ended, {})
                begun = ended
        if timeline.first_at is not None:
            span.add_event("first_token", timestamp=self._unix_ns(timeline.first_at))
            self._add(inside, "decode", timeline.first_at, timeline.last_at, {})
        if error_code is not None and not one.finish_reasons:
            span.set_attribute("error.type", error_code)
            span.set_status(StatusCode.ERROR)
        span.end(self._unix_ns(max(begun, timeline.last_at)))

    def _add(
        self, parent: "Context", name: str, start: float, end: float, attributes: Mapping[str, "AttributeValue"]
    ) -> None:
        self._tracer.child(parent, name, self._unix_ns(start), attributes).end(self._unix_ns(end))

    def _unix_ns(self, moment: float) -> int:
        """Of a moment of `time.perf_counter`."""
        return self._zero + int(moment * 1e9)


def _operation_of(route: str) -> str:
    """By the names of the conventions, where they have one."""
    if route.endswith(("/chat/completions", "/chat", "/messages", "/responses")):
        return "chat"
    if route.endswith(("/completions", "/generate", "/compare")):
        return "text_completion"
    return route.rsplit("/", 1)[-1]


def _attributes_of(one: Generated) -> "dict[str, AttributeValue]":
    """What was asked for, and what came of it."""
    params = one.params
    attributes: dict[str, AttributeValue | None] = {
        "gen_ai.request.model": one.model_id,
        "gen_ai.response.model": one.model_id,
        "gen_ai.usage.input_tokens": one.num_prompt_tokens,
        "gen_ai.usage.cache_read.input_tokens": one.num_cached_tokens,
        "gen_ai.usage.output_tokens": one.num_completion_tokens,
        "gen_ai.usage.reasoning.output_tokens": one.num_reasoning_tokens,
        "gen_ai.response.finish_reasons": one.finish_reasons or None,
        "gen_ai.response.time_to_first_chunk": one.timeline.ttft_s,
    }
    if params is not None:
        attributes |= {
            "gen_ai.request.choice.count": params.n if params.n != 1 else None,
            "gen_ai.request.max_tokens": params.max_tokens,
            "gen_ai.request.temperature": params.temperature,
            "gen_ai.request.top_p": params.top_p,
            "gen_ai.request.top_k": params.top_k or None,
            "gen_ai.request.presence_penalty": params.presence_penalty or None,
            "gen_ai.request.frequency_penalty": params.frequency_penalty or None,
            "gen_ai.request.seed": params.seed,
        }
    return {name: value for name, value in attributes.items() if value is not None}
