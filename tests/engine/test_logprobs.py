"""Logprobs against a plain float32 forward of the same tokens, and against each other."""

from collections.abc import Callable

import pytest
import torch

from hostler.engine.sampling.logprobs import MIN_LOGPROB, score_tokens
from hostler.errors import InvalidRequestError
from hostler.types import FinishReason, SamplingParams, TokenLogprobs, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel
from tests.engine.test_generation import random_prompts
from tests.tiny_models import ALONE_FAMILIES

Tiny = Callable[[str], TinyModel]
BOUND = 1e-4
"""Chunks and batches sum in another order than one forward pass over the whole."""
WIDE_BOUND = 2e-3
"""T5 does not scale its attention scores: a plain float32 forward is itself up to 5e-3 from one in float64 here.
State-space models compute a step by another formula than a prompt."""
NUM_TOP = 3


@torch.inference_mode()
def expected(tiny: TinyModel, prompt: list[int], output: list[int]) -> torch.Tensor:
    """Log-softmax after each token but the last: row i is what predicts token i + 1 of prompt and output."""
    if tiny.is_encoder_decoder:
        start = tiny.model.generation_config.decoder_start_token_id
        logits = tiny.model(input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([[start, *output]])).logits
    else:
        logits = tiny.model(input_ids=torch.tensor([prompt + output])).logits
    return torch.log_softmax(logits[0, :-1].float(), dim=-1)


def assert_close(logprobs: list[TokenLogprobs], token_ids: list[int], rows: torch.Tensor, bound: float = BOUND) -> None:
    """Each entry is of its token, near the reference, and the same wherever the token appears."""
    assert [entry.token_id for entry in logprobs] == token_ids
    for entry, row in zip(logprobs, rows, strict=True):
        assert entry.logprob == pytest.approx(float(row[entry.token_id]), abs=bound)
        assert [top.logprob for top in entry.top] == pytest.approx(row.topk(len(entry.top)).values.tolist(), abs=bound)
        assert len(entry.top) == NUM_TOP
        for top in entry.top:
            assert top.logprob == pytest.approx(float(row[top.token_id]), abs=bound)
            assert top.token_id != entry.token_id or top.logprob == entry.logprob


@pytest.mark.parametrize("family", ["gpt2", "bloom", "llama", "t5"])
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_logprobs_are_those_of_a_plain_forward(family: str, temperature: float, tiny: Tiny) -> None:
    model = tiny(family)
    params = SamplingParams(
        temperature=temperature, top_k=5, repetition_penalty=1.3, seed=1, max_tokens=20, logprobs=NUM_TOP
    )
    for prompt in random_prompts(model, 3):
        answer = TinyEngine(model).answer(TokenPrompt(token_ids=prompt), params)
        rows = expected(model, prompt, answer.token_ids)[-len(answer.token_ids) :]
        assert_close(answer.logprobs, answer.token_ids, rows, WIDE_BOUND if family == "t5" else BOUND)


@pytest.mark.parametrize("family", ["gpt2", "bloom", "llama"])
@pytest.mark.parametrize("is_later_more_urgent", [False, True])
def test_the_prompt_is_scored_in_chunks_in_company_and_after_preemption(
    family: str, is_later_more_urgent: bool, tiny: Tiny
) -> None:
    model = tiny(family)
    prompts = random_prompts(model, 6, seed=2)
    engine = TinyEngine(model, max_num_batched_tokens=48, cache_tokens=192)
    for request_id, prompt in enumerate(prompts):
        asks = request_id % 3 != 2
        params = SamplingParams(temperature=0, max_tokens=40)
        if asks:
            params = SamplingParams(temperature=0, max_tokens=40, logprobs=NUM_TOP, prompt_logprobs=NUM_TOP)
        engine.add(request_id, TokenPrompt(token_ids=prompt), params, priority=-request_id * is_later_more_urgent)
        if is_later_more_urgent:
            engine.step()
    num_preempted = 0
    while engine.core.has_unfinished_requests():
        running = list(engine.scheduler.running)
        engine.step()
        num_preempted += sum(request in engine.scheduler.waiting for request in running)
    assert num_preempted
    for request_id, prompt in enumerate(prompts):
        answer = engine.sequences[request_id, 0]
        assert answer.token_ids == model.reference(prompt, 40)
        if request_id % 3 == 2:
            assert answer.logprobs == answer.prompt_logprobs == []
            continue
        rows = expected(model, prompt, answer.token_ids)
        first = answer.prompt_logprobs[0]
        assert (first.token_id, first.logprob, first.top) == (prompt[0], None, [])
        assert_close(answer.prompt_logprobs[1:], prompt[1:], rows[: len(prompt) - 1])
        assert_close(answer.logprobs, answer.token_ids, rows[len(prompt) - 1 :])


def test_a_prompt_longer_than_a_scored_part_is_scored_whole(tiny: Tiny) -> None:
    model = tiny("gpt2")
    prompt = (random_prompts(model, 8)[0] * 128)[:120]
    params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=NUM_TOP)
    answer = TinyEngine(model).answer(TokenPrompt(token_ids=prompt), params)
    assert_close(answer.prompt_logprobs[1:], prompt[1:], expected(model, prompt, answer.token_ids)[:119])


@pytest.mark.parametrize("family", ALONE_FAMILIES)
def test_models_that_are_served_alone_score_their_prompts_too(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    prompt = (random_prompts(model, 3)[1] * 60)[:60]
    params = SamplingParams(temperature=0, max_tokens=4, logprobs=NUM_TOP, prompt_logprobs=NUM_TOP)
    answer = TinyEngine(model, max_num_batched_tokens=32).answer(TokenPrompt(token_ids=prompt), params)
    rows = expected(model, prompt, answer.token_ids)
    assert_close(answer.prompt_logprobs[1:] + answer.logprobs, prompt[1:] + answer.token_ids, rows, WIDE_BOUND)


def test_one_sequence_scores_the_prompt_for_all_and_before_the_others(tiny: Tiny) -> None:
    model = tiny("llama")
    prompt = random_prompts(model, 1)[0]
    engine = TinyEngine(model, max_num_batched_tokens=32)
    engine.add(0, TokenPrompt(token_ids=prompt), SamplingParams(n=3, max_tokens=4, seed=1, prompt_logprobs=1))
    deltas = []
    while engine.core.has_unfinished_requests():
        deltas += [delta for _, delta in engine.core.step().deltas]
    assert len(deltas[0].prompt_logprobs) == len(prompt)
    assert not any(delta.prompt_logprobs for delta in deltas[1:])


def test_no_tokens_at_most_computes_the_prompt_alone_also_where_it_fills_the_context(tiny: Tiny) -> None:
    model = tiny("gpt2")
    prompt = (random_prompts(model, 8)[0] * 128)[: model.limits.max_model_len]
    params = SamplingParams(max_tokens=0, prompt_logprobs=0, logprobs=0)
    answer = TinyEngine(model).answer(TokenPrompt(token_ids=prompt), params)
    assert (answer.text, answer.token_ids, answer.logprobs) == ("", [], [])
    assert answer.finish_reason is FinishReason.LENGTH
    assert [entry.token_id for entry in answer.prompt_logprobs] == prompt


def test_the_token_that_ends_a_sequence_has_its_entry_and_adds_nothing_to_the_text(tiny: Tiny) -> None:
    model = tiny("gpt2")
    eos = model.tokenizer.eos_token_id
    params = SamplingParams(max_tokens=5, logit_bias={eos: 100.0}, logprobs=1, temperature=0)
    answer = TinyEngine(model).answer(TokenPrompt(token_ids=[40, 41]), params)
    assert answer.finish_reason is FinishReason.STOP
    (entry,) = answer.logprobs
    assert (entry.token_id, entry.text, entry.bytes) == (eos, "<|endoftext|>", None)
    assert entry.logprob == pytest.approx(float(expected(model, [40, 41], [eos])[-1, eos]), abs=BOUND)


def test_an_encoder_decoder_model_has_no_logprobs_of_its_input(tiny: Tiny) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        TinyEngine(tiny("t5")).answer(TokenPrompt(token_ids=[5, 6]), SamplingParams(max_tokens=1, prompt_logprobs=0))
    assert caught.value.param == "echo"


def test_a_forbidden_token_has_a_logprob_that_json_can_say() -> None:
    logits = torch.tensor([[0.0, -torch.inf]])
    (score,) = score_tokens(logits, [1], num_top=9)
    assert (score.logprob, score.top) == (MIN_LOGPROB, [(0, 0.0), (1, MIN_LOGPROB)])
