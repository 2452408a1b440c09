"""What a sequence begins with, because another had it computed, changes nothing of its answer."""

import random
from collections.abc import Callable

import pytest

from hostler.engine import scheduler
from hostler.engine.causal.runner import CausalRunner
from hostler.engine.prefix_cache import LEAST_REUSED_TOKENS
from hostler.types import FinishReason, SamplingParams, TokenPrompt
from tests.engine.harness import Collected, TinyEngine, TinyModel, few_at_once
from tests.engine.test_neighbours import random_params
from tests.tiny_models import ALONE_FAMILIES, CAUSAL_FAMILIES, FAMILIES

Tiny = Callable[[str], TinyModel]

REUSING_FAMILIES = sorted({*FAMILIES, *CAUSAL_FAMILIES} - {"t5"})
NUM_REQUESTS = 16
LEAST_AWAITED_TOKENS = 40
"""Prompts of tiny models are too short for the real one."""


def ordinary_tokens(model: TinyModel) -> list[int]:
    return sorted(set(range(model.limits.vocab_size)) - set(model.tokenizer.all_special_ids))


def greedy(num_tokens: int) -> SamplingParams:
    return SamplingParams(temperature=0, max_tokens=num_tokens, ignore_eos=True)


def alone(model: TinyModel, prompt: list[int], params: SamplingParams) -> list[Collected]:
    engine = TinyEngine(model, reuses_prefixes=False)
    engine.add(0, TokenPrompt(token_ids=prompt), params)
    engine.run()
    return [engine.sequences[0, index] for index in range(params.n)]


@pytest.mark.parametrize("chunk", [512, 16])
@pytest.mark.parametrize("family", few_at_once(REUSING_FAMILIES))
def test_a_growing_chat_goes_on_where_it_was_and_equals_generate(family: str, chunk: int, tiny: Tiny) -> None:
    model = tiny(family)
    rng = random.Random(5)
    engine = TinyEngine(model, max_num_batched_tokens=chunk)
    conversation = rng.choices(ordinary_tokens(model), k=37)
    for turn in range(4):
        given = engine.answer(TokenPrompt(token_ids=conversation), greedy(7))
        assert given.token_ids == model.reference(conversation, 7, eos_token_id=-1)
        # The last token of an answer was never computed, and blocks are shared whole.
        assert given.num_cached_tokens == (len(conversation) - 12 - 1) // 16 * 16 * bool(turn)
        conversation = [*conversation, *given.token_ids, *rng.choices(ordinary_tokens(model), k=12)]


def test_a_model_that_is_served_alone_reuses_nothing(tiny: Tiny) -> None:
    model = tiny(ALONE_FAMILIES[0])
    prompt = TokenPrompt(token_ids=ordinary_tokens(model)[:60])
    engine = TinyEngine(model)
    assert [engine.answer(prompt, greedy(2)).num_cached_tokens for _ in range(2)] == [0, 0]


def test_the_sequences_of_one_request_share_its_prompt(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "LEAST_AWAITED_TOKENS", LEAST_AWAITED_TOKENS)
    model = tiny("gpt2")
    prompt = ordinary_tokens(model)[:70]
    params = SamplingParams(n=4, seed=3, max_tokens=12, ignore_eos=True)
    engine = TinyEngine(model)
    engine.answer(TokenPrompt(token_ids=prompt), params)
    assert [engine.sequences[0, index].num_cached_tokens for index in range(4)] == [0, 64, 64, 64]
    assert [engine.sequences[0, index] for index in range(4)] == alone(model, prompt, params)


def test_a_prompt_that_is_to_be_scored_is_computed_again(tiny: Tiny) -> None:
    model = tiny("gpt2")
    prompt = TokenPrompt(token_ids=ordinary_tokens(model)[:50])
    params = SamplingParams(temperature=0, max_tokens=3, prompt_logprobs=0, logprobs=0)
    engine = TinyEngine(model)
    engine.answer(prompt, greedy(3))
    scored = engine.answer(prompt, params)
    assert scored.num_cached_tokens == 0
    assert len(scored.prompt_logprobs) == 50


@pytest.mark.parametrize("family", few_at_once(REUSING_FAMILIES))
def test_a_prefix_comes_from_a_sequence_that_still_runs(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    tokens = ordinary_tokens(model)
    prompts = [tokens[:60], [*tokens[:50], *tokens[90:100]], [*tokens[:40], *tokens[70:75]]]
    engine = TinyEngine(model)
    for request_id, prompt in enumerate(prompts):
        engine.add(request_id, TokenPrompt(token_ids=prompt), greedy(20))
        engine.step()
        engine.step()
    engine.run()
    for request_id, prompt in enumerate(prompts):
        assert engine.sequences[request_id, 0].token_ids == model.reference(prompt, 20, eos_token_id=-1)
    assert [engine.sequences[request_id, 0].num_cached_tokens for request_id in range(3)] == [0, 48, 32]


def prompts_that_begin_alike(model: TinyModel, rng: random.Random) -> list[list[int]]:
    """Most of them go on where another one branched off."""
    tokens = ordinary_tokens(model)
    stems = [rng.choices(tokens, k=90) for _ in range(2)]
    prompts: list[list[int]] = []
    while len(prompts) < NUM_REQUESTS:
        stem = rng.choice([*stems, *prompts])
        prompts.append([*stem[: rng.randint(0, 90)], *rng.choices(tokens, k=rng.randint(1, 10))])
    return prompts


@pytest.mark.parametrize(
    ("family", "seed"),
    [
        *((family, seed) for family in ("llama", "gemma3", "bloom", "gpt_neo") for seed in range(2)),
        *(
            pytest.param(family, seed, marks=pytest.mark.long)
            for family in ("gpt2", "mistral", "mpt", "codegen")
            for seed in range(20, 30)
        ),
    ],
)
def test_every_request_is_answered_as_if_there_were_nothing_to_reuse(
    family: str, seed: int, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "LEAST_AWAITED_TOKENS", LEAST_AWAITED_TOKENS)
    model = tiny(family)
    rng = random.Random(seed)
    prompts = prompts_that_begin_alike(model, rng)
    params = [random_params(rng) for _ in prompts]
    engine = TinyEngine(
        model,
        max_num_seqs=rng.randint(2, 8),
        max_num_batched_tokens=rng.choice([16, 48, 512]),
        cache_tokens=rng.choice([384, 768, 4096]),
    )
    aborted: set[int] = set()
    for request_id, prompt in enumerate(prompts):
        engine.add(request_id, TokenPrompt(token_ids=prompt), params[request_id])
        for _ in range(rng.randint(0, 4)):
            if engine.core.has_unfinished_requests():
                engine.step()
        if rng.random() < 0.2:
            victim = rng.randint(0, request_id)
            engine.core.abort(victim)
            aborted.add(victim)
    engine.run()
    assert not engine.failures
    num_cached_tokens = 0
    for request_id, prompt in enumerate(prompts):
        for index, expected in enumerate(alone(model, prompt, params[request_id])):
            given = engine.sequences[request_id, index]
            num_cached_tokens += given.num_cached_tokens
            if request_id in aborted and given.finish_reason is None:
                assert expected.token_ids[: len(given.token_ids)] == given.token_ids
            else:
                assert given == expected
                assert given.finish_reason in (FinishReason.STOP, FinishReason.LENGTH)
    assert num_cached_tokens > 3 * LEAST_REUSED_TOKENS


def test_what_is_kept_is_as_large_as_it_counts_and_really_leaves(tiny: Tiny) -> None:
    model = tiny("llama")
    runner = model.runner()
    assert isinstance(runner, CausalRunner)
    engine = TinyEngine(model, runner=runner, cache_tokens=256)
    rng = random.Random(1)
    config = model.model.config
    bytes_per_token = config.num_hidden_layers * 2 * config.num_key_value_heads * config.head_dim * 4
    for number, prompt in enumerate(prompts_that_begin_alike(model, rng)):
        engine.add(number, TokenPrompt(token_ids=prompt), greedy(5))
        if number % 3 == 2:
            engine.run()
            kept_bytes = sum(
                tensor.untyped_storage().nbytes()
                for states in runner._kept.values()
                for pair in states
                for tensor in pair
            )
            assert kept_bytes == engine.scheduler.kv_cache.num_kept_tokens * bytes_per_token
            assert 0 < engine.scheduler.kv_cache.num_kept_tokens <= 128
    engine.core.drop_kept()
    assert not runner._kept
    assert engine.scheduler.kv_cache.num_kept_tokens == 0
    assert engine.answer(TokenPrompt(token_ids=prompt), greedy(2)).num_cached_tokens == 0
