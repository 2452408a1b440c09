"""Around every request: its id, its headers of ours, its line in the log, and the net under unexpected errors."""

import logging
import re
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hostler.server.errors import error_response

access_logger = logging.getLogger("hostler.server.access")

CLIENT_CLOSED_REQUEST = 499
"""In the log only: the client left before an answer began. The number is nginx's."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestRecorder:
    """ASGI middleware, the outermost one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

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

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["openai-processing-ms"] = str(round((time.perf_counter() - started_at) * 1000))
                headers["x-content-type-options"] = "nosniff"
                headers.update(answer_headers)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass  # in the middle of its own request: there is nobody to answer
        except Exception as exc:
            if status != CLIENT_CLOSED_REQUEST:
                raise
            await error_response(exc, scope)(scope, receive, send_with_headers)
        finally:
            _log(scope, status, time.perf_counter() - started_at)


def _log(scope: Scope, status: int, seconds: float) -> None:
    state = scope["state"]
    route = getattr(scope.get("route"), "path", "-")
    access_logger.info(
        "request_id=%s method=%s route=%s status=%d seconds=%.4f model=%s error=%s",
        state["request_id"],
        scope["method"][:20],
        route,
        status,
        seconds,
        state.get("model_id", "-"),
        state.get("error_code", "-"),
    )
