"""A long prompt beside running streams, and one that is given up half-way: counted in steps."""

import gc
from collections.abc import Callable

from transformers import DynamicCache

from hostler.engine.request import Request
from hostler.types import SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel
from tests.engine.test_core import make_core, sequences

Tiny = Callable[[str], TinyModel]


def long_request(request_id: int) -> Request:
    return Request(request_id, 0, SamplingParams(), [1] * 4000, max_tokens=1, stop_token_ids=frozenset([0]))


def test_a_running_stream_gets_a_token_in_every_step_of_a_long_prompt() -> None:
    core, _ = make_core()
    core._scheduler.kv_cache.capacity_tokens = 1 << 20
    core.add_request(sequences(1, max_tokens=200))
    core.step()
    core.add_request([long_request(2)])
    num_steps = 0
    while True:
        output = core.step()
        num_steps += 1
        assert 1 in {request_id for request_id, _ in output.deltas}
        if 2 in {request_id for request_id, _ in output.deltas}:
            break
    # A budget of 64, less the one token of the stream.
    assert num_steps == -(-4000 // 63)


def test_a_prompt_that_is_aborted_half_way_is_in_no_later_step_and_frees_its_cache() -> None:
    core, runner = make_core()
    prompt = long_request(1)
    core.add_request([prompt])
    for _ in range(5):
        core.step()
    assert core._scheduler.kv_cache.num_used_tokens >= 5 * 64
    core.abort(1)
    assert runner.freed == [prompt]
    assert core._scheduler.kv_cache.num_used_tokens == 0
    core.add_request(sequences(2))
    assert core.step().request_ids == {2}


def test_the_tensors_of_a_prompt_that_is_aborted_half_way_are_gone_at_once(tiny: Tiny) -> None:
    def caches() -> list[DynamicCache]:
        gc.collect()
        return [item for item in gc.get_objects() if type(item) is DynamicCache]

    engine = TinyEngine(tiny("bloom"), max_num_batched_tokens=16)
    # Held, so that none of an earlier test goes meanwhile.
    before = caches()
    engine.add(0, TokenPrompt(token_ids=[40] * 120), SamplingParams())
    for _ in range(3):
        engine.step()
    assert len(caches()) == len(before) + 1
    engine.core.abort(0)
    assert len(caches()) == len(before)
