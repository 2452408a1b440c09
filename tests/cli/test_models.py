"""`hostler plan`, `events`, `load` and `unload`, against a server that answers from memory."""

import json
from collections.abc import Callable

import httpx2
import pytest
from typer.testing import CliRunner, Result

import hostler.client
from hostler.cli.commands import app
from hostler.client import Hostler

Run = Callable[..., Result]

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
def run(monkeypatch: pytest.MonkeyPatch, seen: list[httpx2.Request]) -> Run:
    for name in ("API_KEY", "HOSTLER_URL", "HOSTLER_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        action = request.url.path.rpartition("/")[2]
        if action == "plan":
            return httpx2.Response(200, json=PLAN)
        if action == "events":
            return httpx2.Response(200, text=f": connected\n\nid: 1\nevent: loaded\ndata: {json.dumps(EVENT)}\n\n")
        if action == "load":
            return httpx2.Response(200, json={"message": "loaded", "model_id": "a", "force_reload": False})
        if action == "unload":
            return httpx2.Response(200, json={"message": "unloaded"})
        return httpx2.Response(404, json={"detail": "nothing", "code": "not_found"})

    def connect(url: str, api_key: str | None = None) -> Hostler:
        return Hostler(url, api_key=api_key, transport=httpx2.MockTransport(answer))

    monkeypatch.setattr(hostler.client, "Hostler", connect)

    def run_command(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return run_command


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


def test_events_are_a_line_each(run: Run, seen: list[httpx2.Request]) -> None:
    (line,) = run("events").stdout.splitlines()

    assert line.endswith("  loaded      a was loaded in 2 s")
    assert seen[0].url.path == "/events"


def test_events_of_one_model_are_json_for_programs(run: Run, seen: list[httpx2.Request]) -> None:
    assert json.loads(run("events", "a/b", "--json").stdout) == EVENT
    assert seen[0].url.raw_path.startswith(b"/models/a%2Fb/events?")


def test_load_and_unload_pass_on_what_was_asked(run: Run, seen: list[httpx2.Request]) -> None:
    assert run("load", "a", "--keep-alive", "-1", "--url", "http://elsewhere").stdout == "loaded\n"
    assert run("unload", "a", "--force", "--api-key", "secret").stdout == "unloaded\n"

    assert [json.loads(request.content) for request in seen] == [
        {"force_reload": False, "keep_alive": "-1"},
        {"force": True},
    ]
    assert seen[0].url.host == "elsewhere"
    assert seen[1].headers["Authorization"] == "Bearer secret"
