"""Choices of victims, for every stable that hypothesis can think of."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from hostler.lifecycle.ledger import HOST, PLACES, Need, covers, minus, plus
from hostler.lifecycle.policy import Option, Resident, price, room_for, threads_for, yielding_for
from hostler.types import ModelState

NOW = 100.0
TURN_S = 5.0
GPU = "cuda:0"

amounts = st.integers(0, 60)
needs = st.builds(lambda host, gpu: {HOST: host, GPU: gpu, PLACES: 1}, amounts, amounts)
frees = st.builds(lambda host, gpu, places: {HOST: host, GPU: gpu, PLACES: places}, amounts, amounts, st.integers(0, 2))


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
        holds=draw(needs),
        load_s=draw(st.none() | st.floats(0, 30)),
        ready_since=draw(st.floats(0, NOW)) if is_ready else None,
        is_pinned=draw(st.booleans()),
        is_leaving=is_leaving,
        is_yielding=is_ready and not is_leaving and draw(st.booleans()),
    )


def ready(model_id: str, last_used: float = 1.0, **changes: object) -> Resident:
    """An idle one with 20 bytes of the host."""
    plain = Resident(model_id, ModelState.READY, 0, last_used, {HOST: 20, PLACES: 1}, load_s=1.0, ready_since=0.0)
    return replace(plain, **changes)  # type: ignore[arg-type]


def victims(need: Need, free: Need, stable: list[Resident]) -> tuple[str, ...] | None:
    room = room_for([Option("cpu", need)], free, stable, NOW, TURN_S)
    return None if room is None else room.victims


def may_leave(resident: Resident) -> bool:
    is_idle = resident.state is ModelState.READY and resident.num_leases == 0 and not resident.is_going()
    return is_idle and not resident.is_pinned and resident.dwells_until(TURN_S) <= NOW


@given(needs, frees, residents())
def test_a_leased_loading_or_pinned_model_is_never_a_victim(need: Need, free: Need, stable: list[Resident]) -> None:
    by_id = {resident.model_id: resident for resident in stable}
    assert all(may_leave(by_id[model_id]) for model_id in victims(need, free, stable) or ())


@given(needs, frees, residents())
def test_the_victims_free_enough_and_none_of_them_leaves_in_vain(
    need: Need, free: Need, stable: list[Resident]
) -> None:
    chosen = victims(need, free, stable) or ()
    holds: Mapping[str, Need] = {resident.model_id: resident.holds for resident in stable}
    if chosen:
        assert covers(plus(free, *(holds[model_id] for model_id in chosen)), need)
        for fewer in combinations(chosen, len(chosen) - 1):
            assert not covers(plus(free, *(holds[model_id] for model_id in fewer)), need)


@given(needs, frees, residents())
def test_room_is_found_whenever_the_idle_models_together_have_it(
    need: Need, free: Need, stable: list[Resident]
) -> None:
    all_idle = [resident.holds for resident in stable if may_leave(resident)]
    assert (victims(need, free, stable) is not None) == covers(plus(free, *all_idle), need)


@given(st.lists(st.integers(0, 99), min_size=2, max_size=6, unique=True))
def test_of_equal_models_the_least_recently_used_leaves(last_used: list[int]) -> None:
    stable = [ready(f"m{when}", when) for when in last_used]
    assert victims({HOST: 20, PLACES: 1}, {HOST: 0, PLACES: 0}, stable) == (f"m{min(last_used)}",)


def test_what_is_quick_to_bring_back_leaves_before_what_is_slow() -> None:
    slow, quick = ready("slow", 10.0, load_s=60.0), ready("quick", 50.0, load_s=1.0)
    assert victims({HOST: 20}, {HOST: 0}, [slow, quick]) == ("quick",)


def test_one_large_model_leaves_rather_than_many_small_ones() -> None:
    small = [ready(f"small{i}", 10.0) for i in range(3)]
    large = ready("large", 10.0, holds={HOST: 60, PLACES: 1})
    assert victims({HOST: 60}, {HOST: 0}, [*small, large]) == ("large",)


def test_whose_leaving_would_not_help_stays() -> None:
    on_gpu = ready("on_gpu", 1.0, holds={GPU: 50, HOST: 0, PLACES: 1})
    assert victims({HOST: 20}, {HOST: 0, PLACES: 1}, [on_gpu, ready("b", 90.0)]) == ("b",)


def test_the_price_of_a_model_falls_while_it_is_idle() -> None:
    prices = [price(ready("a", last_used), {HOST: 20}, NOW) for last_used in (99.0, 50.0, 1.0)]
    assert prices == sorted(prices, reverse=True)


def test_the_emptiest_accelerator_is_taken() -> None:
    options = [Option(device, {device: 20}) for device in ("cuda:0", "cuda:1")]
    room = room_for(options, {"cuda:0": 30, "cuda:1": 40}, [], NOW, TURN_S)
    assert room is not None
    assert room.option.device == "cuda:1"


def test_impossible_for_now_is_not_the_same_as_nobody() -> None:
    busy = ready("a", num_leases=1)
    assert victims({HOST: 20}, {HOST: 0}, [busy]) is None
    assert victims({HOST: 20}, {HOST: 20}, [busy]) == ()


@given(st.lists(needs, max_size=3), frees, residents())
def test_only_a_busy_model_that_had_its_turn_makes_way(wanted: list[Need], free: Need, stable: list[Resident]) -> None:
    by_id = {resident.model_id: resident for resident in stable}
    for model_id in yielding_for(wanted, free, stable, NOW, TURN_S):
        chosen = by_id[model_id]
        assert chosen.state is ModelState.READY
        assert chosen.num_leases > 0
        assert not chosen.is_leaving
        assert not chosen.is_pinned
        assert chosen.ready_since is not None
        assert chosen.ready_since + TURN_S <= NOW


@given(st.lists(needs, min_size=1, max_size=3), frees, residents())
def test_who_makes_way_is_not_exchanged_for_another(wanted: list[Need], free: Need, stable: list[Resident]) -> None:
    yielding = yielding_for(wanted, free, stable, NOW, TURN_S)
    used_since = [
        replace(resident, is_yielding=True, last_used=NOW)
        if resident.model_id in yielding
        else replace(resident, is_yielding=False)
        for resident in stable
    ]
    assert set(yielding_for(wanted, free, used_since, NOW, TURN_S)) <= set(yielding)


def test_nobody_makes_way_when_nothing_is_wanted_or_it_is_coming() -> None:
    busy, leaving = ready("a", num_leases=1), ready("b", num_leases=1, is_leaving=True)
    unloading = replace(ready("c"), state=ModelState.UNLOADING)
    wanted: Need = {HOST: 20, PLACES: 1}
    full: Need = {HOST: 0, PLACES: 0}
    assert yielding_for([], full, [busy], NOW, TURN_S) == ()
    assert yielding_for([wanted], full, [busy], NOW, TURN_S) == ("a",)
    assert yielding_for([wanted], full, [busy, leaving], NOW, TURN_S) == ()
    assert yielding_for([wanted], full, [busy, unloading], NOW, TURN_S) == ()
    assert yielding_for([wanted, wanted], full, [busy, unloading], NOW, TURN_S) == ("a",)


@given(num_busy=st.integers(0, 64), total_threads=st.integers(1, 128))
def test_busy_models_use_all_threads_but_no_more_unless_there_are_more_models(
    num_busy: int, total_threads: int
) -> None:
    share = threads_for(num_busy, total_threads)
    assert share >= 1
    if num_busy <= total_threads:
        assert share * num_busy <= total_threads < (share + 1) * max(1, num_busy)


def test_what_is_left_may_be_less_than_nothing() -> None:
    assert minus({HOST: 1}, {HOST: 3, GPU: 1}) == {HOST: -2, GPU: -1}
