"""`hostler plan`, `events`, `load` and `unload`, against a server that answers from memory."""

import json
from collections.abc import Callable

import httpx2
import pytest
from typer.testing import CliRunner

from hostler.cli import following
from hostler.cli.commands import app
from tests.cli.conftest import Answer, Run

PLAN = {
    "model_id": "a",
    "verdict": "fits_after_eviction",
    "text": "a needs 1.0 GiB of host memory; b would leave",
    "device": "cpu",
    "needs": {"host": 2**30, "places": 1},
    "footprint": {
        "weights_bytes": 2**29,
        "kv_cache_bytes": 2**28,
        "workspace_bytes": 2**27,
        "process_bytes": 2**27,
        "basis": "measured",
    },
    "budget": {"host": 2**31, "places": 2},
    "free": {"host": 0, "places": 1},
    "available": {"host": 20},
    "lacking": {},
    "victims": [
        {"model_id": "b", "reason": "idle for 5 s", "frees": {"host": 2**30}, "idle_seconds": 5.0, "load_seconds": 1.0}
    ],
    "in_flight": {"b": 0, "c": 2},
    "expected_seconds": 2.54,
}
EVENT = {"number": 1, "time": 0.0, "kind": "loaded", "model_id": "a", "text": "a was loaded in 2 s", "facts": {}}


@pytest.fixture
def seen() -> list[httpx2.Request]:
    return []


@pytest.fixture
def run(run: Run, answer_with: Callable[[Answer], None], seen: list[httpx2.Request]) -> Run:
    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        action = request.url.path.rpartition("/")[2]
        if action == "plan":
            return httpx2.Response(200, json=PLAN)
        if action == "events" and "stream=1" in str(request.url):
            lines = f": connected\n\nid: 1\nevent: loaded\ndata: {json.dumps(EVENT)}\n\n"
            return httpx2.Response(200, text=lines)
        if action == "events":
            return httpx2.Response(200, json={"events": [], "last": 7})
        if action == "load":
            return httpx2.Response(200, json={"message": "loaded", "model_id": "a", "force_reload": False})
        if action == "unload":
            return httpx2.Response(200, json={"message": "unloaded"})
        return httpx2.Response(404, json={"detail": "nothing", "code": "not_found"})

    answer_with(answer)
    return run


def test_a_plan_says_who_leaves_and_how_long_it_takes(run: Run) -> None:
    result = run("plan", "a")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "fits after eviction: a needs 1.0 GiB of host memory; b would leave",
        "  device    cpu",
        "  takes     weights 512 MiB, keys and values 256 MiB, workspace 128 MiB, process 128 MiB (measured)",
        "  leaves    b: idle for 5 s",
        "  in flight c: 2",
        "  expected  2.5 s",
    ]


def test_a_plan_is_json_for_programs(run: Run) -> None:
    assert json.loads(run("plan", "a", "--json").stdout) == PLAN


@pytest.fixture
def ends_with_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of trying again."""

    def leave(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(following, "sleep", leave)


@pytest.mark.usefixtures("ends_with_the_stream")
def test_events_are_a_line_each(run: Run, seen: list[httpx2.Request]) -> None:
    result = run("events")
    (line,) = result.stdout.splitlines()

    assert result.exit_code == 0
    assert line.endswith("  loaded      a was loaded in 2 s")
    assert seen[0].url.path == "/events"
    assert "trying again" in result.stderr


@pytest.mark.usefixtures("ends_with_the_stream")
def test_events_of_one_model_are_json_for_programs(run: Run, seen: list[httpx2.Request]) -> None:
    assert json.loads(run("events", "a/b", "--json").stdout) == EVENT
    assert seen[0].url.raw_path.startswith(b"/models/a%2Fb/events?")


def test_load_and_unload_pass_on_what_was_asked(run: Run, seen: list[httpx2.Request]) -> None:
    assert run("load", "a", "--keep-alive", "-1", "--url", "http://elsewhere").stdout == "loaded\n"
    assert run("unload", "a", "--force", "--api-key", "secret").stdout == "unloaded\n"

    loaded, unloaded = (request for request in seen if request.method == "POST")
    assert json.loads(loaded.content) == {"force_reload": False, "keep_alive": "-1"}
    assert json.loads(unloaded.content) == {"force": True}
    assert loaded.url.host == "elsewhere"
    assert unloaded.headers["Authorization"] == "Bearer secret"


def test_load_and_unload_are_json_for_programs(run: Run) -> None:
    assert json.loads(run("load", "a", "--json").stdout)["model_id"] == "a"
    assert json.loads(run("unload", "a", "--json").stdout) == {"message": "unloaded"}


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://127.0.0.1:port"])
def test_what_is_no_address_is_the_command_lines_mistake(url: str) -> None:
    result = CliRunner().invoke(app, ["models", "--url", url])

    assert result.exit_code == 2
    assert result.stderr == f"hostler: {url} is no address of a server: use http://host:port\n"


@pytest.mark.parametrize("key", ["ключ", "two\nlines"])
def test_what_cannot_be_a_key_is_refused_before_it_is_sent(key: str, closed_url: str) -> None:
    result = CliRunner().invoke(app, ["models", "--url", closed_url, "--api-key", key])

    assert result.exit_code == 2
    assert result.stderr.startswith("hostler: the API key has characters that no key has")
