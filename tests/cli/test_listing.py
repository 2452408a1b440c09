"""The table of models: which rows and columns it has, and what stands in them."""

import itertools
import json
from typing import Any, cast

import httpx2
import pytest
from rich.console import Console

from hostler.cli import listing, watching
from hostler.cli.consoles import plain_console
from hostler.cli.engine_readings import EngineReading, EngineReadings
from hostler.client import Hostler
from hostler.protocol.native_answers import ModelRow
from tests.cli.conftest import ROW, Answer, Run

NOW = 1_700_000_000.0
METRICS = """\
# HELP hostler_engine_waiting_sequences Sequences that have not
hostler_engine_waiting_sequences{{model="a"}} 3.0
hostler_engine_step_sequences_total{{model="a"}} {stepped}
hostler_engine_step_sequences_total{{model="b"}} 5.0
hostler_models{{state="ready"}} 1.0
"""


def row(**changes: Any) -> ModelRow:
    return cast(ModelRow, {**ROW, **changes})


ROWS = {
    "a": row(num_leases=2, num_waiting=1, last_used="2023-11-14T22:10:20+00:00", type="text"),
    "b": row(state="failed", loaded=False, gated=True, memory_bytes=0, keep_alive=-1.0, name="acme/Bee"),
    "c": row(state="unloaded", loaded=False, memory_bytes=0, pinned=True, description="Writes code"),
}


def shown(width: int, readings: dict[str, EngineReading] | None = None) -> list[list[str]]:
    """Cells of the table by line."""
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(listing.table(ROWS, width, NOW, readings))
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in captured.get().splitlines()]


def test_a_wide_terminal_shows_all_there_is() -> None:
    heading, first, second, third = shown(200, {"a": EngineReading(10.0, 4, 31.26)})
    assert heading == [
        *("id", "state", "type", "size", "device", "memory", "in flight", "queued", "tokens/s", "last used"),
        "keep alive",
    ]
    assert first == [
        *("a", "ready", "text", "1M", "cpu", "3 MiB", "2", "5", "31.3", "3m ago", "5m"),
    ]
    assert second[:3] == ["b", "failed (gated)", "conversational"]
    assert (second[-1], third[-1]) == ("for ever", "pinned")


def test_without_readings_there_is_no_pace() -> None:
    assert "tokens/s" not in shown(200)[0]


def test_a_terminal_that_gets_narrower_loses_the_least_important_columns_first() -> None:
    """And none ever comes back."""
    headings = [set(shown(width, {})[0]) for width in range(120, 8, -4)]
    assert all(narrower <= wider for wider, narrower in itertools.pairwise(headings))
    all_of_them, less = next(pair for pair in itertools.pairwise(headings) if pair[0] != pair[1])
    assert "size" in all_of_them - less
    assert {"id", "state"} in headings
    assert headings[-1] == {"id"}


@pytest.mark.parametrize(
    ("words", "states", "expected"),
    [
        ([], [], "abc"),
        (["CODE"], [], "c"),
        (["acme", "conversational"], [], "b"),
        ([], ["ready", "failed"], "ab"),
        (["acme"], ["ready"], ""),
    ],
)
def test_models_are_chosen_by_all_words_and_any_state(words: list[str], states: list[str], expected: str) -> None:
    assert "".join(listing.chosen(ROWS, words, states)) == expected


def test_a_pace_is_what_came_between_two_readings() -> None:
    readings = EngineReadings()
    assert readings.read(METRICS.format(stepped="100.0"), 10.0)["a"] == EngineReading(100.0, 3, None)
    assert readings.read(METRICS.format(stepped="160.0"), 12.0)["a"].tokens_per_s == 30.0
    assert readings.read(METRICS.format(stepped="7.0"), 13.0)["a"].tokens_per_s is None  # it was loaded anew


def memory_server(metrics_status: int) -> Answer:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/metrics":
            if metrics_status == 200:
                return httpx2.Response(200, text=METRICS.format(stepped="1.0"))
            code = {403: "permission_denied", 404: "not_found"}[metrics_status]
            return httpx2.Response(metrics_status, json={"detail": "no metrics", "code": code})
        if request.url.path == "/health":
            return httpx2.Response(
                200, json={"status": "healthy", "memory": {"budget": {"host": 2**31}, "free": {"host": 2**30}}}
            )
        return httpx2.Response(200, json={"idle": ROWS["c"], **ROWS})

    return answer


@pytest.mark.parametrize(("metrics_status", "has_engines"), [(200, True), (404, False), (403, False)])
def test_a_look_has_what_the_server_tells_with_models_in_memory_first(metrics_status: int, has_engines: bool) -> None:
    with Hostler(
        "http://server", transport=httpx2.MockTransport(memory_server(metrics_status)), max_retries=0
    ) as server:
        look = watching.StableView(server, lambda rows: rows).look()
    assert list(look.rows) == ["a", "idle", "b", "c"]
    assert (look.engines is not None) == has_engines
    assert look.memory == {"budget": {"host": 2**31}, "free": {"host": 2**30}}


def test_a_watched_table_that_is_piped_is_a_line_of_json_for_each_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop_at_second(_: float) -> None:
        if len(capsys_lines) == 1:
            raise KeyboardInterrupt
        capsys_lines.append("")

    capsys_lines: list[str] = []
    monkeypatch.setattr(watching, "sleep", stop_at_second)
    with (
        Hostler("http://server", transport=httpx2.MockTransport(memory_server(200)), max_retries=0) as server,
        pytest.raises(KeyboardInterrupt),
    ):
        watching.watch(watching.StableView(server, lambda rows: rows), plain_console(), interval_s=1, as_json=True)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["a"]["tokens_per_second"] is None
    assert second["a"]["tokens_per_second"] == 0.0


def test_a_server_that_is_away_for_a_while_is_looked_at_again_where_it_was_there_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([memory_server(200), None, httpx2.Response(502), memory_server(200)])
    answer = next(answers)

    def another(_: float) -> None:
        nonlocal answer
        try:
            answer = next(answers)
        except StopIteration as exc:
            raise KeyboardInterrupt from exc

    def ask(request: httpx2.Request) -> httpx2.Response:
        if answer is None:
            raise httpx2.ConnectError("refused")
        return answer if isinstance(answer, httpx2.Response) else answer(request)

    monkeypatch.setattr(watching, "sleep", another)
    with (
        Hostler("http://server", transport=httpx2.MockTransport(ask), max_retries=0) as server,
        pytest.raises(KeyboardInterrupt),
    ):
        watching.watch(watching.StableView(server, lambda rows: rows), plain_console(), interval_s=1, as_json=True)
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2
    assert [line.endswith("; trying again") for line in told.err.splitlines()] == [True, True]
    answers = iter([])
    answer = None
    with (
        Hostler("http://server", transport=httpx2.MockTransport(ask), max_retries=0) as server,
        pytest.raises(ConnectionError),
    ):
        watching.watch(watching.StableView(server, lambda rows: rows), plain_console(), interval_s=1, as_json=True)


def test_the_models_of_a_server_are_filtered_and_json_for_programs(run: Run, answer_with: Any) -> None:
    answer_with(memory_server(200))
    assert list(json.loads(run("models", "acme", "--json").stdout)) == ["b"]
    assert run("models", "--state", "ready").stdout.splitlines()[1].split()[0] == "a"
