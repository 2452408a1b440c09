"""What a model and a request ask of a beam search, and what comes back of it."""

import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from hostler.engine.beams.scorer import BeamScorer
from hostler.engine.beams.search import Beam, BeamSearch
from hostler.engine.request import Request
from hostler.engine.text.beam_texts import BeamTexts
from hostler.types import FinishReason, TokenPrompt
from tests.engine.beam_reference import answers, assert_same, best_of_generate, search, search_params
from tests.engine.harness import TinyEngine, TinyModel
from tests.engine.test_generation import random_prompts
from tests.engine.test_generation_rules import with_config

Tiny = Callable[[str], TinyModel]


@pytest.mark.parametrize(
    "options",
    [
        {"no_repeat_ngram_size": 2},
        {"encoder_no_repeat_ngram_size": 2},
        {"bad_words_ids": [[7], [9, 10], [11]]},
        {"begin_suppress_tokens": list(range(20, 220)), "forced_bos_token_id": 30},
        {"min_length": 12},
        {"forced_bos_token_id": 17, "forced_eos_token_id": 1},
        {"num_beams": 5, "length_penalty": 2.0, "early_stopping": True},
    ],
    ids=lambda options: "+".join(options),
)
@pytest.mark.parametrize("family", ["marian", "llama"])
def test_a_models_rules_hold_for_every_beam(family: str, options: dict[str, Any], tiny: Tiny) -> None:
    # Causal models have no encoder's input to look at, which `generate` takes for a mistake of the caller.
    if family == "llama":
        options = {name: value for name, value in options.items() if not name.startswith("encoder_")}
    model = with_config(tiny(family), **options)
    for prompt in random_prompts(model, 2, seed=25):
        expected = best_of_generate(model, prompt, 14, num_beams=4)
        assert_same(search(model, prompt, search_params(4, n=4, num_tokens=14)), expected)


@pytest.mark.parametrize(
    ("params", "options"),
    [
        ({"repetition_penalty": 1.5}, {"repetition_penalty": 1.5}),
        ({"logit_bias": {40: 3.0, 41: -100.0}}, {"sequence_bias": [[[40], 3.0], [[41], -100.0]]}),
        (
            {"min_tokens": 6, "logit_bias": {1: 9.0, 2: 9.0}},
            {"min_new_tokens": 6, "sequence_bias": [[[1], 9.0], [[2], 9.0]]},
        ),
        ({"stop_token_ids": list(range(3, 60))}, {"eos_token_id": [1, 2, *range(3, 60)]}),
    ],
    ids=["repetition_penalty", "logit_bias", "min_tokens", "stop_token_ids"],
)
@pytest.mark.parametrize("family", ["llama", "t5"])
def test_what_a_request_asks_holds_for_every_beam(
    family: str, params: dict[str, Any], options: dict[str, Any], tiny: Tiny
) -> None:
    model = tiny(family)
    end_id = model.model.generation_config.eos_token_id
    if "eos_token_id" in options:
        options = {"eos_token_id": [end_id, *(token_id for token_id in range(3, 60) if token_id != end_id)]}
    for prompt in random_prompts(model, 3, seed=26):
        expected = best_of_generate(model, prompt, 16, num_beams=3, **options)
        assert_same(search(model, prompt, search_params(3, n=3, **params)), expected)


class _Penalties(LogitsProcessor):
    """OpenAI's, written out for each token."""

    def __init__(self, num_before: int, presence: float, frequency: float) -> None:
        self._num_before = num_before
        self._presence = presence
        self._frequency = frequency

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        for row, tokens in enumerate(input_ids[:, self._num_before :].tolist()):
            for token_id, count in Counter(tokens).items():
                scores[row, token_id] -= self._presence + self._frequency * count
        return scores


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_openais_penalties_hold_for_every_beam(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    # A bias makes some tokens come again and again.
    likely = range(50, 60)
    for prompt in random_prompts(model, 3, seed=31):
        params = search_params(
            3, n=3, presence_penalty=0.8, frequency_penalty=0.3, logit_bias=dict.fromkeys(likely, 6.0)
        )
        expected = best_of_generate(
            model,
            prompt,
            16,
            num_beams=3,
            sequence_bias=[[[token_id], 6.0] for token_id in likely],
            logits_processor=LogitsProcessorList(
                [_Penalties(1 if model.is_encoder_decoder else len(prompt), 0.8, 0.3)]
            ),
        )
        given = search(model, prompt, params)
        assert_same(given, expected)
        assert given != search(model, prompt, search_params(3, n=3, logit_bias=params.logit_bias))


class _Contains(StoppingCriteria):
    """Ends what has one of these strings in its new text."""

    def __init__(self, tiny: TinyModel, num_before: int, strings: list[str]) -> None:
        self._tokenizer = tiny.tokenizer
        self._num_before = num_before
        self._strings = strings

    def __call__(self, input_ids: torch.LongTensor, scores: object, **kwargs: Any) -> torch.BoolTensor:
        texts = self._tokenizer.batch_decode(input_ids[:, self._num_before :])
        found = torch.tensor([any(string in text for string in self._strings) for text in texts])
        return torch.BoolTensor(found)


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_a_stop_string_ends_a_beam_and_is_not_in_its_text(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    stop = ["e", "in ", "or"]
    num_stopped = 0
    for prompt in random_prompts(model, 6, seed=27):
        engine = TinyEngine(model)
        engine.add(0, TokenPrompt(token_ids=prompt), search_params(4, n=2, stop=stop))
        engine.run()
        criteria = StoppingCriteriaList([_Contains(model, 1 if model.is_encoder_decoder else len(prompt), stop)])
        expected = best_of_generate(model, prompt, 16, num_beams=4, stopping_criteria=criteria)
        end_id = model.model.generation_config.eos_token_id
        for index in range(2):
            answer = engine.sequences[0, index]
            # Rows that ended are filled up with the end token where the padding token is 0, or there is none.
            rest = expected[index][0][len(answer.token_ids) :]
            assert expected[index][0][: len(answer.token_ids)] == answer.token_ids
            assert set(rest) <= {end_id}
            assert not any(string in answer.text for string in stop)
            num_stopped += bool(rest) and answer.finish_reason is FinishReason.STOP
    assert num_stopped > 2


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_the_text_is_what_a_plain_decode_gives(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    for prompt in random_prompts(model, 4, seed=28):
        engine = TinyEngine(model)
        admission = engine.add(0, TokenPrompt(token_ids=prompt), search_params(3, n=3))
        engine.run()
        before = [] if model.is_encoder_decoder else prompt
        text_before = "" if model.is_encoder_decoder else admission.prompt_text
        for index in range(3):
            answer = engine.sequences[0, index]
            whole = model.tokenizer.decode(before + answer.token_ids, skip_special_tokens=True)
            assert "\ufffd" in whole or text_before + answer.text == whole


def test_an_answer_says_whether_it_ended_or_was_cut(tiny: Tiny) -> None:
    model = tiny("llama")
    prompt = TokenPrompt(token_ids=random_prompts(model, 1, seed=29)[0])
    end_id = model.model.generation_config.eos_token_id
    for bias, reason in ((-100.0, FinishReason.LENGTH), (100.0, FinishReason.STOP)):
        engine = TinyEngine(model)
        engine.add(0, prompt, search_params(2, n=2, num_tokens=4, logit_bias={end_id: bias}))
        engine.run()
        assert engine.sequences[0, 0].finish_reason is reason
        assert (engine.sequences[0, 0].token_ids[-1] == end_id) is (reason is FinishReason.STOP)


def test_nothing_is_given_out_before_the_end(tiny: Tiny) -> None:
    model = tiny("gpt2")
    engine = TinyEngine(model)
    engine.add(0, TokenPrompt(token_ids=[5, 6, 7]), search_params(2, n=2, num_tokens=6, ignore_eos=True))
    for _ in range(5):
        assert engine.core.step().deltas == []
    deltas = [delta for _, delta in engine.core.step().deltas]
    assert [(delta.index, len(delta.token_ids), delta.finish_reason) for delta in deltas] == [
        (0, 6, FinishReason.LENGTH),
        (1, 6, FinishReason.LENGTH),
    ]


def test_a_search_of_no_tokens_computes_the_prompt_alone(tiny: Tiny) -> None:
    model = tiny("gpt2")
    engine = TinyEngine(model)
    engine.add(0, TokenPrompt(token_ids=[5, 6, 7]), search_params(2, n=2, num_tokens=0))
    engine.run()
    assert [engine.sequences[0, index].finish_reason for index in range(2)] == [FinishReason.LENGTH] * 2


def test_beams_that_are_no_numbers_fail_their_request_alone(tiny: Tiny) -> None:
    model = tiny("llama")
    engine = TinyEngine(model)
    prompts = random_prompts(model, 2, seed=30)
    engine.add(0, TokenPrompt(token_ids=prompts[0]), search_params(2, logit_bias={3: float("nan")}))
    engine.add(1, TokenPrompt(token_ids=prompts[1]), search_params(2))
    engine.run()
    assert engine.failures.keys() == {0}
    assert answers(engine, 1, 1) == search(model, prompts[1], search_params(2))


def count_live() -> int:
    """Objects that a search consists of."""
    gc.collect()
    return sum(type(item) in (Request, BeamSearch, BeamScorer, BeamTexts, Beam) for item in gc.get_objects())


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_searches_that_ended_in_any_way_leave_no_object_behind(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    num_before = count_live()
    engine = TinyEngine(model)
    prompts = random_prompts(model, 4, seed=32)
    for request_id, prompt in enumerate(prompts):
        bias = {3: float("nan")} if request_id == 0 else {}
        engine.add(request_id, TokenPrompt(token_ids=prompt), search_params(3, stop=["zzz"], logit_bias=bias))
    engine.step()
    engine.step()
    engine.core.abort(1)
    engine.run()
    assert engine.failures.keys() == {0}
    assert count_live() <= num_before
