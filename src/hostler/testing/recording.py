"""Between a client and a fake server: what was asked, and what fails before any model is asked."""

import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hostler.errors import HostlerError
from hostler.server.errors import error_response


@dataclass
class RecordedRequest:
    """One request that reached the server."""

    method: str
    path: str
    """Without the query; escapes are resolved."""
    query: str
    headers: dict[str, str]
    """Names in small letters."""
    content: bytes = b""
    """Of the body, as far as it has come."""

    @property
    def json(self) -> Any:
        """The body; `None` where there is none.

        Raises:
            msgspec.DecodeError: it is no JSON.
        """
        return msgspec.json.decode(self.content) if self.content else None


class Record:
    """What was asked of a server, and which of the next requests are to fail."""

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self._failures: list[HostlerError] = []
        self._turn = threading.Lock()

    def fail(self, failure: HostlerError, num_requests: int) -> None:
        """Let the next requests be answered so."""
        with self._turn:
            self._failures += [failure] * num_requests

    def forget(self) -> None:
        """What was asked, and what is still to fail."""
        with self._turn:
            self.requests.clear()
            self._failures.clear()

    def add(self, request: RecordedRequest) -> HostlerError | None:
        """Note a request; returns what it is to fail with."""
        with self._turn:
            self.requests.append(request)
            return self._failures.pop(0) if self._failures else None


class Recorder:
    """The innermost middleware of an application, so that what fails here looks like any other answer."""

    def __init__(self, app: ASGIApp, record: Record) -> None:
        self._app = app
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _request_of(scope)
        failure = self._record.add(request)

        async def receive_and_note() -> Message:
            message = await receive()
            request.content += message.get("body", b"")
            return message

        if failure is None:
            await self._app(scope, receive_and_note, send)
            return
        while (await receive_and_note()).get("more_body"):
            pass
        await error_response(failure, scope)(scope, receive, send)


def _request_of(scope: Scope) -> RecordedRequest:
    return RecordedRequest(
        method=scope["method"],
        path=unquote(scope["path"]),
        query=scope["query_string"].decode("latin-1"),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
    )
