"""What the manager estimates, reserves, plans and tells."""

import msgspec
import pytest

from hostler import host_memory
from hostler.lifecycle.events import NoteKind
from hostler.lifecycle.ledger import HOST, PLACES
from hostler.memory import Estimate, FootprintBasis
from hostler.testing.estimator import footprint
from hostler.testing.model import FACTS
from hostler.types import LoadProgress, ModelState
from tests.fake_clock import settle
from tests.lifecycle.managed import A, B, C, Stable, takes, waiting


async def test_a_model_is_placed_by_what_it_will_take(stable: Stable) -> None:
    takes(stable, "a", 0.6)
    takes(stable, "b", 0.6)
    lease = await stable.manager.acquire(A)
    assert stable.manager.reserved("a")[HOST] == int(stable.manager.budget[HOST] * 0.6)
    for_b = await waiting(stable, "b")
    assert stable.manager.status("b").state is ModelState.UNLOADED
    lease.release()
    (await for_b).release()
    assert stable.manager.loaded_ids() == ["b"]
    assert stable.manager.reserved("a") == {}


async def test_what_a_load_has_shown_is_recorded_and_corrects_the_reservation(stable: Stable) -> None:
    takes(stable, "a", 0.5)
    facts = stable.launcher.model("a").facts = msgspec.structs.replace(FACTS, host_bytes=1000)
    gate = stable.hold_loads("a")
    loading = await waiting(stable, "a")
    await stable.clock.advance(4)
    gate.set()
    (await loading).release()
    await settle()
    assert stable.manager.reserved("a") == {HOST: 1000, PLACES: 1}
    shown = msgspec.structs.replace(facts, load_s=4.0)
    assert stable.estimator.recorded == [("a", stable.estimator.estimates["a"].footprint, shown)]


async def test_the_seconds_of_a_download_are_not_expected_of_the_next_load(stable: Stable) -> None:
    gate = stable.hold_loads("a")
    loading = await waiting(stable, "a")
    for progress, seconds in (
        (LoadProgress(stage="starting"), 1),
        (LoadProgress(stage="downloading"), 20),
        (LoadProgress(stage="converting"), 10),
        (LoadProgress(stage="loading"), 3),
    ):
        stable.launcher.worker("a").report(progress)
        await stable.clock.advance(seconds)
    gate.set()
    (await loading).release()
    assert stable.manager.status("a").load_s == 4.0


async def test_a_worker_is_told_where_to_go_and_how_much_to_take(stable: Stable) -> None:
    stable.estimator.estimates["a"] = Estimate(
        footprint=msgspec.structs.replace(footprint(10), kv_cache_bytes=77), load_s=None
    )
    with await stable.manager.acquire(msgspec.structs.replace(A, device="auto")) as lease:
        assert (lease.spec.device, lease.spec.kv_cache_bytes) == ("cpu", 77)


async def test_an_estimate_that_fails_is_logged_and_stops_nobody(
    stable: Stable, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> Estimate:
        raise ValueError("unforeseen")

    monkeypatch.setattr(stable.estimator, "estimate", broken)
    (await stable.manager.acquire(A)).release()
    assert "estimate_broken model=a" in caplog.text


async def test_a_plan_changes_nothing_and_names_who_would_leave_and_why(stable: Stable) -> None:
    takes(stable, "a", 0.6)
    takes(stable, "b", 0.6, load_s=3.0)
    assert (await stable.manager.plan(B)).verdict == "fits"
    lease = await stable.manager.acquire(A)
    plan = await stable.manager.plan(B)
    assert (plan.verdict, plan.expected_s, plan.in_flight) == ("waits", None, {"a": 1})
    assert plan.lacking[HOST] > 0
    lease.release()
    await stable.clock.advance(9)
    plan = await stable.manager.plan(B)
    assert (plan.verdict, plan.expected_s) == ("fits_after_eviction", 3.0)
    (victim,) = plan.victims
    assert (victim.model_id, victim.idle_s) == ("a", 9.0)
    assert victim.reason.startswith("idle for 9 s")
    takes(stable, "c", 1.5)
    assert (await stable.manager.plan(C)).verdict == "never_fits"
    assert (await stable.manager.plan(A)).verdict == "loaded"
    assert stable.manager.loaded_ids() == ["a"]
    assert stable.num_loads("b") == 0


async def test_what_leaves_gives_a_plan_its_memory(stable: Stable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "available_bytes", lambda: 0)
    for model_id in ("a", "b"):
        takes(stable, model_id, 0.6)
    (await stable.manager.acquire(A)).release()
    await stable.clock.advance(9)
    plan = await stable.manager.plan(B)
    assert plan.verdict == "fits_after_eviction"
    assert "left on this machine" not in plan.text


async def test_a_load_that_the_machine_has_no_memory_for_is_told_and_tried(
    stable: Stable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_memory, "available_bytes", lambda: 1)
    takes(stable, "a", 0.6)
    (await stable.manager.acquire(A)).release()
    await settle()
    (entry,) = [entry for entry in stable.manager.journal.last() if entry.kind is NoteKind.SHORT]
    assert entry.text.startswith("a is being loaded and needs ")
    assert entry.facts == {"available_host": 1}


async def test_a_guess_is_no_reason_to_warn(stable: Stable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "available_bytes", lambda: 1)
    guess = footprint(2**30, basis=FootprintBasis.SIZE)
    stable.estimator.estimates["a"] = Estimate(footprint=guess)
    (await stable.manager.acquire(A)).release()
    await settle()
    assert NoteKind.SHORT not in {entry.kind for entry in stable.manager.journal.last()}


async def test_the_journal_tells_the_story_of_an_eviction(stable: Stable) -> None:
    takes(stable, "a", 0.6)
    takes(stable, "b", 0.6)
    (await stable.manager.acquire(A)).release()
    await stable.clock.advance(2)
    (await stable.manager.acquire(B)).release()
    story = [(entry.model_id, entry.kind.value) for entry in stable.manager.journal.last()]
    assert story == [
        ("a", "queued"),
        ("a", "loading"),
        ("a", "loaded"),
        ("b", "queued"),
        ("a", "leaving"),
        ("b", "waiting"),
        ("a", "unloaded"),
        ("b", "loading"),
        ("b", "loaded"),
    ]
