from typing import Any

import pytest

from hostler.lifecycle.events import NoteKind
from hostler.lifecycle.journal import JournalEntry
from hostler.lifecycle.status import ModelStatus
from hostler.server.wait_comments import load_view, wait_comment
from hostler.types import LoadProgress, ModelState

STARTED = 1000.0


def status(state: ModelState = ModelState.LOADING, **known: Any) -> ModelStatus:
    fields: dict[str, Any] = dict.fromkeys(("facts", "last_used_at", "progress", "last_error", "pid"))
    fields |= {"num_leases": 0, "load_started_at": STARTED if state is ModelState.LOADING else None}
    return ModelStatus(state=state, num_waiting=1, **(fields | known))


def entry(kind: NoteKind, text: str = "") -> JournalEntry:
    return JournalEntry(1, STARTED, kind, "a", text, {})


@pytest.mark.parametrize(
    ("progress", "load_s", "elapsed_s", "expected"),
    [
        (None, None, 3, "loading"),
        (None, 10.0, 4, "loading 40% eta=6s"),
        (None, 10.0, 12, "loading 99%"),
        (LoadProgress(stage="starting"), None, 1, "starting"),
        (LoadProgress(stage="loading", done_bytes=43, total_bytes=100), 10.0, 4, "loading 43% eta=6s"),
        (LoadProgress(stage="loading", done_bytes=43, total_bytes=100), None, 4, "loading 43%"),
        (LoadProgress(stage="loading", done_bytes=43), None, 4, "loading"),
        (LoadProgress(stage="downloading", done_bytes=25, total_bytes=100), None, 10, "downloading 25% eta=30s"),
        (LoadProgress(stage="downloading", done_bytes=25, total_bytes=100), 2.0, 10, "downloading 25% eta=30s"),
        (LoadProgress(stage="downloading", done_bytes=0, total_bytes=100), None, 10, "downloading 0%"),
        (LoadProgress(stage="downloading", done_bytes=25), None, 10, "downloading"),
        (LoadProgress(stage="converting", done_bytes=50, total_bytes=100), 2.0, 10, "converting 50%"),
        (LoadProgress(stage="warming", done_bytes=101, total_bytes=100), None, 1, "warming 100%"),
    ],
)
def test_a_load_is_told_as_far_as_it_is_known(
    progress: LoadProgress | None, load_s: float | None, elapsed_s: float, expected: str
) -> None:
    found = status(progress=progress, load_s=load_s)
    assert wait_comment(found, [], STARTED + elapsed_s) == expected


def test_a_clock_that_was_set_back_makes_no_negative_time() -> None:
    view = load_view(status(load_s=10.0), STARTED - 50)
    assert view is not None
    assert (view.percent, view.eta_s) == (0, 10.0)


@pytest.mark.parametrize("state", [state for state in ModelState if state is not ModelState.LOADING])
def test_what_is_not_loading_has_no_progress(state: ModelState) -> None:
    assert load_view(status(state), STARTED) is None


def test_a_request_without_room_is_told_what_its_model_waits_for() -> None:
    entries = [entry(NoteKind.WAITING, "a waits for 1.2 GiB\nof host memory"), entry(NoteKind.QUEUED, "one more")]
    assert wait_comment(status(ModelState.UNLOADED), entries, STARTED) == "a waits for 1.2 GiB of host memory"


@pytest.mark.parametrize(
    ("state", "entries"),
    [
        (ModelState.UNLOADED, []),
        (ModelState.UNLOADED, [entry(NoteKind.WAITING, "long ago"), entry(NoteKind.UNLOADED)]),
        (ModelState.READY, [entry(NoteKind.WAITING, "long ago")]),
    ],
)
def test_any_other_request_is_queued(state: ModelState, entries: list[JournalEntry]) -> None:
    assert wait_comment(status(state), entries, STARTED) == "queued"


def test_a_request_for_a_model_that_is_leaving_is_told_so() -> None:
    found = status(ModelState.UNLOADING, num_leases=2)
    assert wait_comment(found, [entry(NoteKind.LEAVING, "leaves")], STARTED) == (
        "queued until the model, with 2 requests in flight, has left and is loaded again"
    )
