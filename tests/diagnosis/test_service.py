"""What is said of the registry file, the port and who may come in."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hostler.config import Settings
from hostler.diagnosis.findings import Level
from hostler.diagnosis.service import check_access, check_configuration, check_port

ENTRY = "models: {a: {name: x/y, type: text, size: 1M, description: d, max_length: 9}}\n"


@pytest.fixture
def registry_file(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(ENTRY)
    return path


def test_a_registry_that_can_be_read_is_counted(registry_file: Path) -> None:
    findings, configuration = check_configuration(registry_file)
    assert [finding.level for finding in findings] == [Level.OK]
    assert findings[0].text.endswith("models.yaml, 1 models")
    assert configuration is not None


def test_a_mistake_in_the_file_is_a_problem_with_its_line(registry_file: Path) -> None:
    registry_file.write_text("models:\n  a: {name: x/y, typ: text}\n")
    findings, configuration = check_configuration(registry_file)
    assert configuration is None
    assert [finding.level for finding in findings] == [Level.PROBLEM]
    assert "line 2" in findings[0].text


def test_an_open_door_is_a_problem_beside_which_the_rest_is_looked_at(
    registry_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")
    findings, configuration = check_configuration(registry_file)
    assert [finding.level for finding in findings] == [Level.PROBLEM, Level.OK]
    assert (findings[0].remedy or "").startswith("Set API_KEY")
    assert configuration is not None


@pytest.mark.parametrize(
    ("settings", "num_warnings"),
    [
        (Settings(), 0),
        (Settings(host="0.0.0.0", api_key="a-long-enough-key-for-anybody"), 0),
        (Settings(host="0.0.0.0", insecure_no_auth=True), 1),
        (Settings(api_key="short", trust_remote_code=True, cors_origins=["*"]), 3),
    ],
)
def test_what_lets_strangers_in_is_a_warning(settings: Settings, num_warnings: int) -> None:
    fact, *warnings = check_access(settings)
    assert fact.level is Level.OK
    assert [finding.level for finding in warnings] == [Level.WARNING] * num_warnings
    assert all(finding.remedy for finding in warnings)
    assert "short" not in " ".join(finding.text for finding in warnings)


def test_a_free_port_is_free_afterwards() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for _ in range(2):
        assert [finding.level for finding in check_port("127.0.0.1", port)] == [Level.OK]


class Other(BaseHTTPRequestHandler):
    body = b"hello"

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Alive(Other):
    body = b'{"status": "alive"}'


@pytest.fixture(params=[Other, Alive])
def server(request: pytest.FixtureRequest) -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_port_in_use_is_a_problem_unless_a_server_of_ours_has_it(server: HTTPServer) -> None:
    (finding,) = check_port("127.0.0.1", server.server_port)
    if server.RequestHandlerClass is Alive:
        assert (finding.level, finding.text) == (
            Level.OK,
            f"a Hostler answers at 127.0.0.1 port {server.server_port}",
        )
    else:
        assert finding.level is Level.PROBLEM
        assert "is in use" in finding.text
        assert "--port" in (finding.remedy or "")
