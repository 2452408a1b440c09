"""Who gets room and who makes it, for every stable and every queue that hypothesis can think of."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hostler.lifecycle.ledger import HOST, PLACES, Need, covers, minus, plus
from hostler.lifecycle.policy import Option, Resident
from hostler.lifecycle.rooms import Claimant, Settlement, next_change, settle
from hostler.types import ModelState
from tests.lifecycle.test_policy import NOW, TURN_S, may_leave, ready, residents

BUDGET: Need = {HOST: 100, "cuda:0": 100, PLACES: 3}


@st.composite
def stables(draw: st.DrawFn) -> list[Resident]:
    """Residents that together hold no more than there is."""
    stable: list[Resident] = []
    for resident in draw(residents()):
        if covers(BUDGET, plus(*(other.holds for other in stable), resident.holds)):
            stable.append(resident)
    return stable


@st.composite
def queues(draw: st.DrawFn) -> list[Claimant]:
    since = sorted(draw(st.lists(st.floats(NOW - 2 * TURN_S, NOW), max_size=4)))
    need = st.builds(lambda host, places: {HOST: host, PLACES: places}, st.integers(0, 120), st.just(1))
    return [Claimant(f"w{number}", [Option("cpu", draw(need))], oldest) for number, oldest in enumerate(since)]


def settled(claimants: Sequence[Claimant], stable: Sequence[Resident]) -> Settlement:
    return settle(claimants, BUDGET, stable, NOW, TURN_S)


def wait(model_id: str, num_bytes: int, waited_s: float = 0.0) -> Claimant:
    return Claimant(model_id, [Option("cpu", {HOST: num_bytes, PLACES: 1})], NOW - waited_s)


@given(queues(), stables())
def test_what_starts_together_fits_together(claimants: list[Claimant], stable: list[Resident]) -> None:
    started = [option.need for _, option in settled(claimants, stable).starts]
    assert covers(minus(BUDGET, *(resident.holds for resident in stable)), plus(*started))


@given(queues(), stables())
def test_only_idle_models_are_evicted_and_each_once(claimants: list[Claimant], stable: list[Resident]) -> None:
    victims = [victim for victim, _ in settled(claimants, stable).evictions]
    assert len(victims) == len(set(victims))
    assert set(victims) <= {resident.model_id for resident in stable if may_leave(resident)}


@given(queues(), stables())
def test_every_model_that_waits_is_told_one_thing(claimants: list[Claimant], stable: list[Resident]) -> None:
    settlement = settled(claimants, stable)
    told = [model_id for model_id, _ in settlement.starts] + [*settlement.lacking, *settlement.impossible]
    assert sorted(told) == sorted(claimant.model_id for claimant in claimants)


@given(queues(), stables())
def test_whoever_waited_longest_gets_room_whenever_it_is_free(
    claimants: list[Claimant], stable: list[Resident]
) -> None:
    settlement = settled(claimants, stable)
    possible = [claimant for claimant in claimants if claimant.model_id not in settlement.impossible]
    if possible:
        is_free = covers(minus(BUDGET, *(resident.holds for resident in stable)), possible[0].options[0].need)
        assert (possible[0].model_id in dict(settlement.starts)) == is_free


@given(queues(), stables())
def test_a_settlement_that_is_carried_out_starts_nobody_else(claimants: list[Claimant], stable: list[Resident]) -> None:
    """Asked again at once, it neither evicts nor starts more: nothing oscillates."""
    first = settled(claimants, stable)
    evicted = {victim for victim, _ in first.evictions}
    started = dict(first.starts)
    after = [
        replace(resident, state=ModelState.UNLOADING) if resident.model_id in evicted else resident
        for resident in stable
    ]
    after += [Resident(model_id, ModelState.LOADING, 0, NOW, holds=option.need) for model_id, option in started.items()]
    second = settled([claimant for claimant in claimants if claimant.model_id not in started], after)
    assert (second.starts, second.evictions) == ([], [])


def test_a_small_model_passes_a_large_one_that_has_not_waited_long() -> None:
    busy = ready("busy", num_leases=1, holds={HOST: 60, PLACES: 1})
    settlement = settled([wait("large", 60, 1.0), wait("small", 30)], [busy])
    assert [model_id for model_id, _ in settlement.starts] == ["small"]
    assert settlement.lacking == {"large": {HOST: 50}}


def test_what_is_free_is_held_for_a_model_whose_turn_is_overdue() -> None:
    busy = ready("busy", num_leases=1, holds={HOST: 60, PLACES: 1})
    settlement = settled([wait("large", 60, TURN_S), wait("small", 30)], [busy])
    assert settlement.starts == []
    assert settlement.yields == {"busy": "large"}


def test_room_that_is_being_made_for_one_is_not_given_to_another() -> None:
    idle = ready("idle", holds={HOST: 60, PLACES: 1})
    settlement = settled([wait("large", 60, 1.0), wait("small", 40)], [idle])
    assert settlement.evictions == [("idle", "large")]
    assert settlement.starts == []
    assert settlement.lacking == {"large": {}, "small": {}}


def test_a_model_on_its_way_out_is_waited_for_rather_than_another_evicted() -> None:
    leaving = ready("leaving", num_leases=1, is_leaving=True, holds={HOST: 60, PLACES: 1})
    idle = ready("idle", holds={HOST: 40, PLACES: 1})
    settlement = settled([wait("a", 60, 1.0)], [leaving, idle])
    assert settlement.evictions == []
    assert settlement.lacking == {"a": {}}


def test_beside_pinned_models_some_never_fit() -> None:
    pinned = ready("pinned", is_pinned=True, holds={HOST: 60, PLACES: 1})
    assert settled([wait("a", 60)], [pinned]).impossible == ["a"]
    assert settled([wait("a", 40)], [pinned]).impossible == []


def test_time_changes_a_settlement_when_turns_and_stays_end() -> None:
    fresh = ready("fresh", ready_since=NOW - 1.0, load_s=3.0)
    assert sorted(next_change([wait("a", 100, 2.0)], [fresh], NOW, TURN_S)) == [NOW + 2.0, NOW + 3.0, NOW + 4.0]
