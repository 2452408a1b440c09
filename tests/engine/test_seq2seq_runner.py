"""Encoder–decoder models: token for token what `model.generate()` gives, and how many forward passes it takes."""

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from transformers import DynamicCache, EncoderDecoderCache

from hostler.engine.request import Request
from hostler.engine.row_cache import RowCache
from hostler.engine.seq2seq.decoder_rows import (
    EMBEDDED_MODEL_TYPES,
    RELATIVE_MODEL_TYPES,
    DecoderPositions,
    DecoderRows,
    decoder_positions,
)
from hostler.engine.seq2seq.runner import Seq2SeqRunner, arrival_groups
from hostler.types import SamplingParams, TokenPrompt
from tests.engine.harness import FEW, TinyEngine, TinyModel, few_at_once
from tests.engine.test_generation import random_prompts
from tests.tiny_models import ALONE_SEQ2SEQ_FAMILIES, SEQ2SEQ_FAMILIES

Tiny = Callable[[str], TinyModel]
EVERY_FAMILY = (*SEQ2SEQ_FAMILIES, *ALONE_SEQ2SEQ_FAMILIES)
GREEDY = SamplingParams(temperature=0, max_tokens=24)


def add_all(engine: TinyEngine, prompts: list[list[int]], params: SamplingParams) -> None:
    for request_id, prompt in enumerate(prompts):
        engine.add(request_id, TokenPrompt(token_ids=prompt), params)


@dataclass
class Passes:
    """Batch sizes of the forward passes, in order."""

    encoder: list[int]
    decoder: list[int]


@contextmanager
def counted_passes(model: torch.nn.Module) -> Iterator[Passes]:
    passes = Passes([], [])

    def note(batches: list[int]) -> Callable[..., None]:
        def hook(_module: torch.nn.Module, _args: object, kwargs: dict[str, Any]) -> None:
            batches.append(len(kwargs["input_ids"]))

        return hook

    sides: Any = model
    handles = [
        sides.get_encoder().register_forward_pre_hook(note(passes.encoder), with_kwargs=True),
        sides.get_decoder().register_forward_pre_hook(note(passes.decoder), with_kwargs=True),
    ]
    try:
        yield passes
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_a_request_alone_equals_generate(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    for prompt in random_prompts(model, 4):
        answer = TinyEngine(model).answer(TokenPrompt(token_ids=prompt), GREEDY)
        assert answer.token_ids == model.reference(prompt, 24)


@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_requests_that_join_and_leave_at_random_equal_generate(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    rng = random.Random(7)
    prompts = random_prompts(model, 14, seed=1)
    lengths = [rng.randint(6, 40) for _ in prompts]
    engine = TinyEngine(model, max_num_seqs=5, max_num_batched_tokens=96)
    for request_id, (prompt, length) in enumerate(zip(prompts, lengths, strict=True)):
        engine.add(request_id, TokenPrompt(token_ids=prompt), SamplingParams(temperature=0, max_tokens=length))
        for _ in range(rng.randint(0, 6)):
            if engine.core.has_unfinished_requests():
                engine.step()
    engine.run()
    expected = [model.reference(prompt, length) for prompt, length in zip(prompts, lengths, strict=True)]
    assert engine.tokens(range(len(prompts))) == expected


@pytest.mark.parametrize(
    ("family", "budget"),
    [
        *((family, 16) for family in ("t5", "bart", "led")),
        *(pytest.param(family, 512, marks=[] if family in FEW else pytest.mark.long) for family in SEQ2SEQ_FAMILIES),
    ],
)
def test_preempted_requests_go_on_without_a_wrong_token(family: str, budget: int, tiny: Tiny) -> None:
    model = tiny(family)
    prompts = [prompt[:14] for prompt in random_prompts(model, 6, seed=2)]
    engine = TinyEngine(model, max_num_seqs=6, max_num_batched_tokens=budget, cache_tokens=128)
    preempted = 0
    # Without an end all of them grow until there is no room for so many; the small budget starts them again in chunks.
    params = SamplingParams(temperature=0, max_tokens=40, ignore_eos=True)
    add_all(engine, prompts, params)
    while engine.core.has_unfinished_requests():
        running_before = list(engine.scheduler.running)
        engine.step()
        preempted += sum(request in engine.scheduler.waiting for request in running_before)
    assert preempted
    alone = [TinyEngine(model).answer(TokenPrompt(token_ids=prompt), params).token_ids for prompt in prompts]
    assert engine.tokens(range(len(prompts))) == alone


@pytest.mark.parametrize("family", ["t5", "bart", "m2m_100", "longt5"])
def test_an_aborted_request_takes_nothing_from_its_neighbours(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    prompts = random_prompts(model, 5, seed=4)
    engine = TinyEngine(model)
    add_all(engine, prompts, SamplingParams(temperature=0, max_tokens=20))
    for _ in range(5):
        engine.step()
    engine.core.abort(1)
    engine.run()
    kept = [0, 2, 3, 4]
    assert engine.tokens(kept) == [model.reference(prompts[request_id], 20) for request_id in kept]
    assert engine.scheduler.kv_cache.num_used_tokens == 0


@pytest.mark.parametrize("family", ["mt5", "bart", "marian"])
def test_a_seeded_request_is_the_same_alone_and_beside_others(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    prompts = random_prompts(model, 9, seed=10)
    params = SamplingParams(temperature=1.2, top_k=40, top_p=0.95, seed=42, max_tokens=25)
    alone = [TinyEngine(model).answer(TokenPrompt(token_ids=prompt), params).token_ids for prompt in prompts]
    engine = TinyEngine(model, max_num_seqs=4)
    add_all(engine, prompts, params)
    engine.run()
    assert engine.tokens(range(len(prompts))) == alone


@pytest.mark.parametrize("family", few_at_once(["t5", *SEQ2SEQ_FAMILIES]))
def test_running_requests_of_any_age_take_one_decoder_pass_a_step(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    engine = TinyEngine(model)
    for request_id, prompt in enumerate(random_prompts(model, 8, seed=3)):
        engine.add(request_id, TokenPrompt(token_ids=prompt), SamplingParams(max_tokens=30, ignore_eos=True, seed=1))
        engine.step()
    with counted_passes(model.model) as passes:
        for _ in range(5):
            engine.step()
    assert passes == Passes(encoder=[], decoder=[8] * 5)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_requests_that_arrive_together_are_encoded_together(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    prompt = random_prompts(model, 1, seed=3)[0]
    engine = TinyEngine(model)
    add_all(engine, [prompt[:length] for length in (3, 9, 20, 14, 6)], GREEDY)
    with counted_passes(model.model) as passes:
        engine.step()
    assert passes == Passes(encoder=[5], decoder=[5])


def test_a_decoder_of_unknown_positions_is_run_for_one_sequence_at_a_time(tiny: Tiny) -> None:
    model = tiny("led")
    engine = TinyEngine(model)
    add_all(engine, random_prompts(model, 3, seed=3), GREEDY)
    with counted_passes(model.model) as passes:
        engine.step()
        engine.step()
    assert passes == Passes(encoder=[1] * 3, decoder=[1] * 6)


def test_every_model_type_that_is_batched_is_held_against_generate(tiny: Tiny) -> None:
    tested = {tiny(family).model.config.model_type for family in ("t5", *SEQ2SEQ_FAMILIES)}
    assert tested == RELATIVE_MODEL_TYPES | EMBEDDED_MODEL_TYPES
    alone = {decoder_positions(tiny(family).model) for family in ALONE_SEQ2SEQ_FAMILIES}
    assert alone == {DecoderPositions.UNKNOWN}


def test_a_known_name_over_a_foreign_decoder_is_not_trusted(tiny: Tiny) -> None:
    model = copy.deepcopy(tiny("bart").model)
    assert decoder_positions(model) is DecoderPositions.EMBEDDED
    model.get_decoder().embed_positions = torch.nn.Embedding(4, 32)
    assert decoder_positions(model) is DecoderPositions.UNKNOWN


def test_two_runners_of_one_model_do_not_disturb_each_other(tiny: Tiny) -> None:
    model = tiny("bart")
    prompts = random_prompts(model, 4, seed=6)
    engines = [TinyEngine(model, runner=Seq2SeqRunner(model.model)) for _ in range(2)]
    for engine in engines:
        add_all(engine, prompts, GREEDY)
    for _ in range(24):
        for engine in engines:
            engine.step()
    expected = [model.reference(prompt, 24) for prompt in prompts]
    assert [engine.tokens(range(4)) for engine in engines] == [expected, expected]


def test_the_memory_of_sequences_that_have_left_is_given_back(tiny: Tiny) -> None:
    model = tiny("t5")
    rows = DecoderRows(model.model)
    for _ in range(2):
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        model.model(input_ids=torch.tensor([[5, 6, 7]]), decoder_input_ids=torch.tensor([[0]]), past_key_values=cache)
        rows.join(cache, 0, 3)
    assert rows.num_bytes > 0
    rows.leave(0)
    rows.leave(0)
    assert rows.num_bytes == 0


def test_a_step_that_fails_half_way_spoils_no_later_answer(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("bart")
    prompts = random_prompts(model, 3, seed=6)
    engine = TinyEngine(model)
    engine.add(0, TokenPrompt(token_ids=prompts[0]), GREEDY)
    engine.step()
    calls = 0
    real_join = RowCache.join

    def join_own_alone(cache: RowCache, states: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise MemoryError
        real_join(cache, states)

    with monkeypatch.context() as patched:
        patched.setattr(RowCache, "join", join_own_alone)
        engine.add(1, TokenPrompt(token_ids=prompts[1]), GREEDY)
        engine.step()
    assert engine.failures.keys() == {0, 1}
    engine.add(2, TokenPrompt(token_ids=prompts[2]), GREEDY)
    engine.run()
    assert engine.tokens([2]) == [model.reference(prompts[2], 24)]


def make_request(num_encoder_tokens: int, num_decoder_tokens: int = 1) -> Request:
    return Request(
        request_id=0,
        index=0,
        params=SamplingParams(),
        prompt_token_ids=[0] * num_decoder_tokens,
        encoder_token_ids=[5] * num_encoder_tokens,
        max_tokens=8,
        stop_token_ids=frozenset(),
    )


def test_padding_never_more_than_doubles_the_work_of_long_inputs() -> None:
    requests = [make_request(length) for length in (500, 3, 40, 30, 90, 70, 501)]
    lengths = [[request.num_encoder_tokens for request in group] for group in arrival_groups(requests)]
    assert lengths == [[3, 30], [40, 70], [90], [500, 501]]


def test_only_sequences_with_as_many_decoder_tokens_are_started_together() -> None:
    requests = [make_request(5), make_request(5, 7), make_request(6)]
    assert [len(group) for group in arrival_groups(requests)] == [2, 1]
