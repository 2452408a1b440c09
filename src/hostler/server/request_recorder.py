"""Around every request: its id, its headers of ours, its line in the log and its metrics, and the net under unexpected
errors."""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hostler.server.access_log import log_request
from hostler.server.errors import error_response
from hostler.telemetry.request_metrics import Generated, RequestMetrics
from hostler.telemetry.tracing import RequestSpan, RequestTracer

CLIENT_CLOSED_REQUEST = 499
"""In the log only: the client left before an answer began. The number is nginx's."""

NO_ROUTE = "-"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MAX_PATH_CHARS = 200
_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Of every answer; a page of ours has a policy of its own."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestRecorder:
    """ASGI middleware, the outermost one."""

    def __init__(
        self, app: ASGIApp, metrics: RequestMetrics | None = None, tracer: RequestTracer | None = None
    ) -> None:
        """`metrics`: `None`: nothing is measured. `tracer`: `None`: nothing is traced."""
        self._app = app
        self._metrics = metrics
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        asked_id = Headers(scope=scope).get("x-request-id", "")
        request_id = asked_id if _REQUEST_ID.fullmatch(asked_id) else uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        answer_headers: dict[str, str] = {}
        state["answer_headers"] = answer_headers
        status = CLIENT_CLOSED_REQUEST
        span = None if self._tracer is None else self._tracer.start(_method(scope), Headers(scope=scope))
        if span is not None:
            state["trace_id"] = span.trace_id

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                passed_ms = round((time.perf_counter() - started_at) * 1000)
                own = {"x-request-id": request_id, "openai-processing-ms": str(passed_ms), **answer_headers}
                if "key_name" in state:
                    own["cache-control"] = "no-store"
                message["headers"] = _with_headers(message.get("headers", ()), own)
            await send(message)

        if self._metrics is not None:
            self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass  # in the middle of its own request: there is nobody to answer
        except Exception as exc:
            if status != CLIENT_CLOSED_REQUEST:
                raise
            await error_response(exc, scope)(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started_at
            generated = [run.generated() for run in state.get("generations", ())]
            log_request(scope, _route(scope), status, seconds, generated)
            if self._metrics is not None:
                _measure(self._metrics, scope, status, seconds, generated)
            if span is not None:
                _end_span(span, scope, status, generated)


def _with_headers(sent: Iterable[tuple[bytes, bytes]], own: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Ours in place of those of the same name, and those of every answer where it has none."""
    headers = {name.encode(): value.encode() for name, value in own.items()}
    others = [header for header in sent if header[0] not in headers]
    names = {name for name, _ in others}
    return [*others, *headers.items(), *(header for header in _SECURITY_HEADERS if header[0] not in names)]


def _measure(
    metrics: RequestMetrics, scope: Scope, status: int, seconds: float, generated: Sequence[Generated]
) -> None:
    metrics.in_flight.dec()
    state = scope["state"]
    key = state.get("key_name", "-")
    metrics.note_request(
        route=_route(scope),
        method=_method(scope),
        status=status,
        model_id=state.get("model_id", "-"),
        key=key,
        seconds=seconds,
    )
    for one in generated:
        metrics.note_generation(one, key)


def _end_span(span: RequestSpan, scope: Scope, status: int, generated: Sequence[Generated]) -> None:
    state = scope["state"]
    span.end(
        route=_route(scope),
        path=scope["path"][:_MAX_PATH_CHARS],
        status=status,
        error_code=state.get("error_code"),
        request_id=state["request_id"],
        key=state.get("key_name", "-"),
        generated=generated,
    )


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


def _route(scope: Scope) -> str:
    """As it is registered, without what a request put into it."""
    path: str = getattr(scope.get("route"), "path", NO_ROUTE)
    return path
