"""As much of a server as a command in a terminal needs to have somebody to talk to."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.cli.conftest import ROW

KEY = "the right key"


class StubServer:
    """Context manager. It has the models `rows`, and begins every answer with `Once ` and never ends it."""

    def __init__(self, rows: dict[str, dict[str, Any]] | None = None, *, needs_key: bool = False) -> None:
        self.rows = rows or {"tiny": ROW}
        self.needs_key = needs_key
        self.hung_up = threading.Event()
        """Set when a client has left before its answer's end."""
        self.is_over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, object]:
        """Status and body of a GET."""
        parts = path.strip("/").split("/")
        if parts == ["health"]:
            return 200, {"status": "healthy"}
        if parts == ["models"]:
            return 200, self.rows
        if parts[0] == "models" and parts[1] in self.rows:
            return 200, {**self.rows[parts[1]], "model_id": parts[1]}
        return 404, {
            "detail": "no model of that name is registered; the nearest is tiny (GET /models lists all)",
            "code": "model_not_found",
        }


def _handler_for(stub: StubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            if stub.needs_key and self.headers.get("Authorization") != f"Bearer {KEY}":
                detail = "the API key is not the right one; send it as 'Authorization: Bearer <key>'"
                self._send(401, {"detail": detail, "code": "invalid_api_key"})
                return
            self._send(*stub.answer(self.path.partition("?")[0]))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            piece = json.dumps({"index": 0, "text": "Once ", "finish_reason": None})
            self.wfile.write(f"data: {piece}\n\n".encode())
            self.wfile.flush()
            self.connection.settimeout(0.05)
            while not stub.is_over.is_set():
                try:
                    if not self.connection.recv(1):
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            stub.hung_up.set()

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _send(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
