"""Spans, as the SDK's own exporter gets them."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes, url_attributes
from opentelemetry.trace import SpanKind, StatusCode

from hostler.errors import EngineDeadError
from hostler.telemetry.tracing import RequestTracer, is_asked_for, tracer_for
from hostler.testing.model import FACTS
from hostler.types import PoolingFacts
from tests.server.conftest import MODELS, serving

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PROMPT = "the purple prompt"
COMPLETION = {"model": "tiny-text", "prompt": PROMPT, "max_tokens": 3, "temperature": 0.5, "seed": 7}
CONVENTIONS = {
    value
    for module in (gen_ai_attributes, error_attributes, http_attributes, url_attributes)
    for value in vars(module).values()
    if isinstance(value, str)
}


class Spans:
    """What a tracer has made."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = RequestTracer(provider)

    @property
    def finished(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.finished if span.name == name]
        return span

    def parent_of(self, span: ReadableSpan) -> str | None:
        ids = {other.context.span_id: other.name for other in self.finished if other.context is not None}
        return None if span.parent is None else ids.get(span.parent.span_id, "remote")


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_request_is_a_tree_from_http_to_its_tokens(spans: Spans, is_streamed: bool) -> None:
    async with serving(tracer=spans.tracer) as served:
        await served.client.post("/v1/completions", json={**COMPLETION, "stream": is_streamed})
    root = spans.named("POST /v1/completions")
    assert {span.name: spans.parent_of(span) for span in spans.finished} == {
        "POST /v1/completions": None,
        "wait_for_model": "POST /v1/completions",
        "text_completion tiny-text": "POST /v1/completions",
        "tokenize": "text_completion tiny-text",
        "queue": "text_completion tiny-text",
        "prefill": "text_completion tiny-text",
        "decode": "text_completion tiny-text",
    }
    assert root.kind is SpanKind.SERVER
    assert all(span.start_time is not None and span.end_time is not None for span in spans.finished)
    order = [spans.named(name) for name in ("wait_for_model", "tokenize", "queue", "prefill", "decode")]
    for before, after in pairwise(order):
        assert (before.end_time or 0) == (after.start_time or 0)
    assert (root.start_time or 0) <= (order[0].start_time or 0)
    assert (order[-1].end_time or 0) <= (root.end_time or 0)


async def test_what_was_asked_and_what_came_of_it_have_the_names_of_the_conventions(spans: Spans) -> None:
    async with serving(tracer=spans.tracer) as served:
        await served.client.post("/v1/completions", json=COMPLETION, headers={"x-request-id": "mine"})
    span = spans.named("text_completion tiny-text")
    attributes = dict(span.attributes or {})
    assert isinstance(attributes.pop("gen_ai.response.time_to_first_chunk"), float)
    assert attributes == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "hostler",
        "gen_ai.request.model": "tiny-text",
        "gen_ai.request.max_tokens": 3,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.seed": 7,
        "gen_ai.response.model": "tiny-text",
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 0,
    }
    assert [event.name for event in span.events] == ["first_token"]
    root = dict(spans.named("POST /v1/completions").attributes or {})
    assert root == {
        "http.request.method": "POST",
        "http.route": "/v1/completions",
        "http.response.status_code": 200,
        "url.path": "/v1/completions",
        "hostler.request.id": "mine",
        "hostler.key.name": "-",
    }
    foreign = {name for name in {*attributes, *root} if not name.startswith("hostler.")}
    assert foreign <= CONVENTIONS
    assert PROMPT not in json.dumps([span.to_json() for span in spans.finished])


async def test_a_trace_that_the_caller_began_is_continued_and_named_in_the_log(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01", "tracestate": "vendor=1"}
    with caplog.at_level("INFO", "hostler.server.access"):
        async with serving(tracer=spans.tracer) as served:
            await served.client.get("/models", headers=headers)
            await served.client.get("/models", headers={"traceparent": "00-nonsense"})
    first, second = spans.finished
    assert first.parent is not None
    assert format(first.parent.span_id, "016x") == PARENT_ID
    assert first.context is not None
    assert format(first.context.trace_id, "032x") == TRACE_ID
    assert first.context.trace_state.get("vendor") == "1"
    assert second.parent is None
    assert f"trace_id={TRACE_ID}" in caplog.text


async def test_a_chat_that_fails_in_its_stream_is_an_error(spans: Spans) -> None:
    async with serving(tracer=spans.tracer) as served:
        model = served.launcher.model("tiny-chat")
        model.generation_error, model.num_free_words = EngineDeadError("the worker is gone"), 1
        body = {"model": "tiny-chat", "messages": [{"role": "user", "content": PROMPT}], "stream": True}
        assert (await served.client.post("/v1/chat/completions", json=body)).status_code == 200
    for name in ("POST /v1/chat/completions", "chat tiny-chat"):
        span = spans.named(name)
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == EngineDeadError.code


async def test_a_mistake_of_the_caller_is_no_error_of_the_server(spans: Spans) -> None:
    async with serving(tracer=spans.tracer) as served:
        await served.client.get("/models/nobody/info")
    (span,) = spans.finished
    assert span.status.status_code is StatusCode.UNSET
    assert (span.attributes or {})["error.type"] == "model_not_found"
    assert span.name == "GET /models/{model_id:model}/info"


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("/models/tiny-text/v1/completions", {"prompt": PROMPT}, "text_completion tiny-text"),
        ("/models/tiny-text/generate", {"text": PROMPT}, "text_completion tiny-text"),
        ("/chat", {"message": PROMPT}, "chat tiny-chat"),
        ("/v1/responses", {"model": "tiny-chat", "input": PROMPT}, "chat tiny-chat"),
        ("/v1/embeddings", {"model": "embedder", "input": PROMPT}, "embeddings embedder"),
    ],
)
async def test_a_span_is_named_by_what_is_done_and_the_model(
    spans: Spans, path: str, body: dict[str, Any], name: str
) -> None:
    models = {**MODELS, "embedder": {"name": "acme/Embedder", "type": "embedding"}}
    async with serving(tracer=spans.tracer, models=models) as served:
        facts = msgspec.structs.replace(FACTS, pooling=PoolingFacts(num_values=4))
        served.launcher.model("embedder").facts = facts
        response = await served.client.post(path, json=body)
        assert response.status_code == 200, response.text
    assert (spans.named(name).attributes or {})["gen_ai.usage.input_tokens"] == 3


async def test_what_the_sampler_leaves_out_has_no_spans() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with serving(tracer=RequestTracer(provider)) as served:
        assert (await served.client.post("/v1/completions", json=COMPLETION)).status_code == 200
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "mine"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, False),
    ],
)
def test_the_sdks_variables_turn_it_on_and_off(environment: dict[str, str], expected: bool) -> None:
    assert is_asked_for(environment) is expected


def test_nothing_of_the_sdk_is_imported_where_it_is_off() -> None:
    code = (
        "import sys; import hostler.runtime; from hostler.telemetry.tracing import tracer_for;"
        "assert tracer_for({}) is None; print([name for name in sys.modules if "
        "name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_extra_it_stays_off_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert tracer_for({"OTEL_TRACES_EXPORTER": "otlp"}) is None
    assert "hostler[tracing]" in caplog.text


class Collector(BaseHTTPRequestHandler):
    """Takes spans as an OpenTelemetry collector does."""

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, CollectorServer)
        self.server.received.append((self.path, content))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class CollectorServer(HTTPServer):
    received: list[tuple[str, bytes]]


def test_spans_reach_the_collector_that_the_variables_name_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with CollectorServer(("127.0.0.1", 0), Collector) as collector:
        collector.received = []
        thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        endpoint = f"http://127.0.0.1:{collector.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "stable-of-mine")
        tracer = tracer_for({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
        assert tracer is not None
        span = tracer.start("GET", {})
        span.end(route="/", path="/", status=200, error_code=None, request_id="r", key="-", generated=())
        tracer.close()
        collector.shutdown()
        thread.join()
    ((path, content),) = collector.received
    assert path == "/v1/traces"
    assert b"stable-of-mine" in content
    assert b"GET /" in content
