"""Where models can go on machines of several kinds."""

import asyncio

import msgspec
import pytest

from hostler.accelerators import Gpu, Gpus
from hostler.lifecycle import placement
from hostler.lifecycle.ledger import HOST, PLACES
from hostler.lifecycle.placement import Placer, measured_need, placed
from hostler.lifecycle.policy import Option
from hostler.memory import Estimate, Footprint, FootprintBasis
from hostler.quantities import MemoryBudget
from hostler.registry import ModelSpec
from hostler.testing.estimator import FakeEstimator
from hostler.testing.model import FACTS
from tests.fake_clock import settle
from tests.lifecycle.specs import make_spec

GIB = 2**30
AUTO = msgspec.structs.replace(make_spec("a"), device="auto")


def footprint(device_bytes: int, basis: FootprintBasis = FootprintBasis.HEADERS) -> Footprint:
    return Footprint(
        weights_bytes=device_bytes - 20, kv_cache_bytes=15, workspace_bytes=5, process_bytes=100, basis=basis
    )


@pytest.fixture(autouse=True)
def torch_with_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "_torch_may_use_gpus", lambda: True)


class FoundGpus(Gpus):
    """Accelerators of these sizes, once they are looked for."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self._sizes = sizes
        self.free = list(sizes)

    async def probe(self) -> None:
        self.visible = [Gpu(f"gpu{index}", f"GPU-{index}", size, size) for index, size in enumerate(self._sizes)]

    async def free_bytes(self) -> list[int]:
        return self.free


async def placer(
    device_bytes: int,
    gpus: tuple[int, ...] = (),
    basis: FootprintBasis = FootprintBasis.HEADERS,
    free: tuple[int, ...] | None = None,
) -> Placer:
    """`free`: of the accelerators; all of them where nothing is said."""
    estimator = FakeEstimator({"a": Estimate(footprint=footprint(device_bytes, basis), load_s=2.5)})
    found = FoundGpus(gpus)
    found.free = list(free or gpus)
    placer = Placer(estimator, MemoryBudget(share=0.5), 3, found)
    await placer.probe()
    return placer


async def devices(placer: Placer, spec: ModelSpec = AUTO) -> list[str]:
    return [option.device for option in (await placer.place(spec, {})).options]


async def test_without_accelerators_a_model_goes_to_the_host() -> None:
    placing = await (await placer(1000)).place(AUTO, {})
    (option,) = placing.options
    assert (option.device, option.need) == ("cpu", {HOST: 1100, PLACES: 1})
    assert placing.load_s == 2.5


async def test_an_accelerator_takes_the_model_and_the_host_its_process() -> None:
    (option,) = (await (await placer(1000, (4 * GIB,))).place(AUTO, {})).options
    assert (option.device, option.need) == ("cuda:0", {"cuda:0": 1000, HOST: 100, PLACES: 1})


async def test_only_accelerators_that_are_large_enough_are_options() -> None:
    assert await devices(await placer(3 * GIB, (4 * GIB, 16 * GIB, 24 * GIB))) == ["cuda:1", "cuda:2"]


async def test_a_model_too_large_for_one_accelerator_is_spread_over_as_few_as_can_hold_it() -> None:
    (option,) = (await (await placer(3 * GIB, (4 * GIB, 4 * GIB, 4 * GIB))).place(AUTO, {})).options
    assert option.device == "cuda:1,cuda:2"
    assert set(option.need) == {"cuda:1", "cuda:2", HOST, PLACES}
    assert option.need[HOST] == 100
    assert 1.5 * GIB < option.need["cuda:1"] < 2 * GIB


async def test_a_model_is_spread_over_the_accelerators_that_it_is_told_to_use() -> None:
    told = msgspec.structs.replace(AUTO, device="cuda:2,cuda:0")
    (option,) = (await (await placer(1000, (4 * GIB,) * 3)).place(told, {})).options
    assert set(option.need) == {"cuda:0", "cuda:2", HOST, PLACES}
    (too_large,) = (await (await placer(9 * GIB, (4 * GIB,) * 3)).place(told, {})).options
    assert too_large.need["cuda:0"] > 2 * GIB


async def test_a_model_too_large_for_every_accelerator_goes_to_the_host() -> None:
    assert await devices(await placer(3 * GIB, (4 * GIB,))) == ["cpu"]
    on_gpu = msgspec.structs.replace(AUTO, device="cuda")
    assert await devices(await placer(3 * GIB, (4 * GIB,)), on_gpu) == ["cuda:0"], "unless it was told to go there"


async def test_an_accelerator_that_other_programs_have_filled_is_passed_over_while_there_is_another() -> None:
    sizes = (4 * GIB,) * 3
    assert await devices(await placer(GIB, sizes, free=(10, 4 * GIB, 2 * GIB))) == ["cuda:1", "cuda:2"]
    assert await devices(await placer(3 * GIB, sizes, free=(4 * GIB, 10, 4 * GIB))) == ["cuda:0,cuda:2"]
    assert await devices(await placer(GIB, sizes, free=(10, 10, 10))) == ["cuda:0", "cuda:1", "cuda:2"], "they may end"
    alone = (GIB // 2 * 3, 10, 10)
    assert await devices(await placer(GIB, sizes, free=alone)) == ["cuda:0"]


async def test_what_models_have_filled_is_not_taken_for_other_programs() -> None:
    filled = await placer(GIB, (4 * GIB, 4 * GIB), free=(10, 10))
    placing = await filled.place(AUTO, {"cuda:1": GIB})
    assert [option.device for option in placing.options] == ["cuda:1"]


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
async def test_a_model_goes_where_it_is_told_to(device: str) -> None:
    told = msgspec.structs.replace(AUTO, device=device)
    assert await devices(await placer(1000, (4 * GIB, 4 * GIB)), told) == [device]


async def test_a_device_that_is_not_there_is_left_to_the_worker_to_refuse() -> None:
    (option,) = (await (await placer(1000)).place(msgspec.structs.replace(AUTO, device="cuda:7"), {})).options
    assert option.need == {PLACES: 1}


async def test_a_guess_never_says_that_a_model_cannot_fit() -> None:
    huge = 10**18
    (guessed,) = (await (await placer(huge, basis=FootprintBasis.SIZE)).place(AUTO, {})).options
    (known,) = (await (await placer(huge)).place(AUTO, {})).options
    budget = (await placer(huge)).budget
    assert guessed.need[HOST] == budget[HOST] < known.need[HOST]


def test_a_worker_is_told_its_device_and_its_bound() -> None:
    spec = placed(AUTO, Option("cuda:1", {}), footprint(1000))
    assert (spec.device, spec.kv_cache_bytes) == ("cuda:1", 15)


def test_what_was_measured_counts_with_what_is_still_to_come() -> None:
    on_host = msgspec.structs.replace(FACTS, host_bytes=500)
    on_gpu = msgspec.structs.replace(FACTS, device="cuda:0", host_bytes=500, bytes_by_device={"cuda:0": 300})
    assert measured_need(footprint(1000), FACTS) is None
    assert measured_need(footprint(1000), on_host) == {HOST: 520, PLACES: 1}
    assert measured_need(footprint(1000), on_gpu) == {"cuda:0": 320, HOST: 500, PLACES: 1}


def test_what_was_measured_on_several_accelerators_counts_for_each() -> None:
    spread = msgspec.structs.replace(
        FACTS, device="cuda:0,cuda:1", host_bytes=500, bytes_by_device={"cuda:0": 300, "cuda:1": 200}
    )
    need = measured_need(footprint(1000), spread)
    assert need == {"cuda:0": 300 + 8 + 5, "cuda:1": 200 + 8 + 5, HOST: 500, PLACES: 1}


async def test_a_model_is_placed_only_when_the_accelerators_are_known() -> None:
    estimator = FakeEstimator({"a": Estimate(footprint=footprint(1000))})
    early = Placer(estimator, MemoryBudget(share=0.5), 3, FoundGpus((4 * GIB,)))
    placing = asyncio.create_task(early.place(AUTO, {}))
    await settle()
    assert not placing.done()
    await early.probe()
    assert [option.device for option in (await placing).options] == ["cuda:0"]


async def test_accelerators_that_cannot_be_looked_for_hold_nobody_up() -> None:
    class Broken(Gpus):
        async def probe(self) -> None:
            raise OSError("no driver")

    estimator = FakeEstimator({"a": Estimate(footprint=footprint(1000))})
    blind = Placer(estimator, MemoryBudget(share=0.5), 3, Broken())
    with pytest.raises(OSError, match="no driver"):
        await blind.probe()
    assert await devices(blind) == ["cpu"]
