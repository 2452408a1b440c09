"""What each accelerator gets of a model that none of them can hold."""

from hypothesis import given
from hypothesis import strategies as st

from hostler.lifecycle.spread import UNEVENNESS, even_need, spread_need
from hostler.memory import Footprint, FootprintBasis


def footprint(divisible: int, workspace: int = 10) -> Footprint:
    return Footprint(
        weights_bytes=divisible,
        kv_cache_bytes=0,
        workspace_bytes=workspace,
        process_bytes=0,
        basis=FootprintBasis.HEADERS,
    )


def test_equal_accelerators_get_equal_parts() -> None:
    assert spread_need(footprint(1000), {"cuda:0": 600, "cuda:1": 600}) == {"cuda:0": 585, "cuda:1": 585}


def test_a_small_accelerator_is_filled_and_the_largest_takes_the_rest() -> None:
    need = spread_need(footprint(1000), {"cuda:0": 2000, "cuda:1": 110})
    assert need == {"cuda:1": 110, "cuda:0": 1150 - 100 + 10}
    assert list(need) == ["cuda:1", "cuda:0"], "the model runs through the largest last"


@given(
    divisible=st.integers(1, 10_000),
    workspace=st.integers(0, 500),
    budgets=st.dictionaries(st.sampled_from([f"cuda:{index}" for index in range(8)]), st.integers(1, 5_000)),
)
def test_no_accelerator_gets_more_than_its_budget_and_nothing_is_lost(
    divisible: int, workspace: int, budgets: dict[str, int]
) -> None:
    need = spread_need(footprint(divisible, workspace), budgets)
    if need is None:
        return
    assert all(amount <= budgets[device] for device, amount in need.items())
    assert 0 <= sum(need.values()) - len(need) * workspace - int(divisible * UNEVENNESS) < len(need)


@given(divisible=st.integers(1, 10_000), num_devices=st.integers(2, 8))
def test_where_even_parts_fit_a_spread_is_found(divisible: int, num_devices: int) -> None:
    devices = [f"cuda:{index}" for index in range(num_devices)]
    even = even_need(footprint(divisible), devices)
    assert spread_need(footprint(divisible), even, least=num_devices) is not None
