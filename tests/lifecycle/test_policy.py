"""Choices of victims, for every stable that hypothesis can think of."""

from hypothesis import given
from hypothesis import strategies as st

from hostler.lifecycle.policy import Resident, threads_for, victims_for, yielding_for
from hostler.types import ModelState

NOW = 100.0
TURN_S = 5.0


@st.composite
def residents(draw: st.DrawFn) -> list[Resident]:
    model_ids = draw(st.lists(st.sampled_from("abcdefgh"), unique=True))
    return [draw(resident(model_id)) for model_id in model_ids]


@st.composite
def resident(draw: st.DrawFn, model_id: str) -> Resident:
    state = draw(st.sampled_from([ModelState.LOADING, ModelState.READY, ModelState.UNLOADING]))
    is_ready = state is ModelState.READY
    is_leaving = is_ready and draw(st.booleans())
    return Resident(
        model_id=model_id,
        state=state,
        num_leases=0 if state is ModelState.LOADING else draw(st.integers(0, 3)),
        last_used=draw(st.floats(0, NOW)),
        ready_since=draw(st.floats(0, NOW)) if is_ready else None,
        is_leaving=is_leaving,
        is_yielding=is_ready and not is_leaving and draw(st.booleans()),
    )


@given(residents(), st.integers(1, 4), st.integers(1, 8))
def test_a_leased_or_loading_model_is_never_a_victim(stable: list[Resident], num_wanted: int, limit: int) -> None:
    by_id = {resident.model_id: resident for resident in stable}
    for model_id in victims_for(num_wanted, stable, limit) or ():
        assert by_id[model_id].state is ModelState.READY
        assert by_id[model_id].num_leases == 0


@given(residents(), st.integers(1, 4), st.integers(1, 8))
def test_as_many_leave_as_have_to_and_no_more(stable: list[Resident], num_wanted: int, limit: int) -> None:
    num_staying = sum(resident.state is not ModelState.UNLOADING for resident in stable)
    num_idle = sum(resident.state is ModelState.READY and resident.num_leases == 0 for resident in stable)
    num_needed = max(0, num_staying + num_wanted - limit)
    victims = victims_for(num_wanted, stable, limit)
    if victims is None:
        assert num_idle < num_needed
    else:
        assert len(victims) == len(set(victims)) == num_needed


@given(residents(), st.integers(1, 4), st.integers(1, 8))
def test_who_stays_was_used_later_than_who_leaves(stable: list[Resident], num_wanted: int, limit: int) -> None:
    victims = victims_for(num_wanted, stable, limit) or ()
    idle = [resident for resident in stable if resident.state is ModelState.READY and resident.num_leases == 0]
    leaving = [resident.last_used for resident in idle if resident.model_id in victims]
    staying = [resident.last_used for resident in idle if resident.model_id not in victims]
    assert max(leaving, default=0.0) <= min(staying, default=NOW)


def test_nobody_has_to_leave_while_there_is_room_or_some_is_coming() -> None:
    unloading = Resident("a", ModelState.UNLOADING, num_leases=0, last_used=1.0)
    assert victims_for(1, [], 1) == ()
    assert victims_for(1, [unloading], 1) == ()


def test_impossible_for_now_is_not_the_same_as_nobody() -> None:
    busy = Resident("a", ModelState.READY, num_leases=1, last_used=1.0, ready_since=0.0)
    assert victims_for(1, [busy], 1) is None


@given(residents(), st.lists(st.floats(0, NOW)))
def test_only_a_busy_model_that_had_its_turn_makes_way(stable: list[Resident], waiting_since: list[float]) -> None:
    by_id = {resident.model_id: resident for resident in stable}
    yielding = yielding_for(waiting_since, stable, NOW, TURN_S)
    assert len(yielding) <= sum(since + TURN_S <= NOW for since in waiting_since)
    for model_id in yielding:
        chosen = by_id[model_id]
        assert chosen.state is ModelState.READY
        assert chosen.num_leases > 0
        assert not chosen.is_leaving
        assert chosen.ready_since is not None
        assert chosen.ready_since + TURN_S <= NOW


@given(residents(), st.lists(st.floats(0, NOW), min_size=1))
def test_who_makes_way_is_not_exchanged_for_another(stable: list[Resident], waiting_since: list[float]) -> None:
    yielding = yielding_for(waiting_since, stable, NOW, TURN_S)
    chosen = [
        Resident(
            model_id=resident.model_id,
            state=resident.state,
            num_leases=resident.num_leases,
            last_used=NOW if resident.model_id in yielding else resident.last_used,
            ready_since=resident.ready_since,
            is_leaving=resident.is_leaving,
            is_yielding=resident.model_id in yielding,
        )
        for resident in stable
    ]
    assert set(yielding_for(waiting_since, chosen, NOW, TURN_S)) == set(yielding)


def test_nobody_makes_way_for_one_who_just_came() -> None:
    busy = Resident("a", ModelState.READY, num_leases=1, last_used=1.0, ready_since=0.0)
    assert yielding_for([NOW - TURN_S / 2], [busy], NOW, TURN_S) == ()
    assert yielding_for([NOW - TURN_S], [busy], NOW, TURN_S) == ("a",)


def test_nobody_makes_way_while_another_is_leaving() -> None:
    busy = Resident("a", ModelState.READY, num_leases=1, last_used=1.0, ready_since=0.0)
    leaving = Resident("b", ModelState.READY, num_leases=1, last_used=2.0, ready_since=0.0, is_leaving=True)
    unloading = Resident("c", ModelState.UNLOADING, num_leases=0, last_used=2.0)
    assert yielding_for([0.0], [busy, leaving], NOW, TURN_S) == ()
    assert yielding_for([0.0], [busy, unloading], NOW, TURN_S) == ()
    assert yielding_for([0.0, 0.0], [busy, unloading], NOW, TURN_S) == ("a",)


@given(num_busy=st.integers(0, 64), total_threads=st.integers(1, 128))
def test_busy_models_use_all_threads_but_no_more_unless_there_are_more_models(
    num_busy: int, total_threads: int
) -> None:
    share = threads_for(num_busy, total_threads)
    assert share >= 1
    if num_busy <= total_threads:
        assert share * num_busy <= total_threads < (share + 1) * max(1, num_busy)
