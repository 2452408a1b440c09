"""Every decoder-only architecture answers as `model.generate()`: alone, in chunks, in company, after a preemption."""

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from hostler.engine.causal.architectures import TESTED_FLAT, TESTED_IN_ROWS, capabilities_of
from hostler.engine.causal.capabilities import Batching
from hostler.engine.factory import build_engine
from hostler.errors import ModelLoadError
from hostler.models.loader import load_model
from hostler.models.repository_files import WeightsFormat
from hostler.models.source import LocalModel
from hostler.types import LoadProgress, SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel, few_at_once
from tests.engine.test_generation import random_prompts
from tests.models.specs import spec_of
from tests.tiny_causal import WINDOW
from tests.tiny_models import ALONE_FAMILIES, CAUSAL_FAMILIES, FAMILIES, REFUSED_FAMILIES, build_tiny_model

Tiny = Callable[[str], TinyModel]

NEARLY_EQUAL = 1e-4
"""Logits that differ by less may change places when the same sums are added up in another order."""

NUM_REQUESTS = 14


class Case:
    """Prompts for one model, with what `generate` answers to them."""

    def __init__(self, model: TinyModel) -> None:
        self.model = model
        self.prompts = random_prompts(model, NUM_REQUESTS, seed=1)
        rng = random.Random(7)
        self.lengths = [rng.randint(1, 20) for _ in self.prompts]
        self.expected = [
            model.reference(prompt, length) for prompt, length in zip(self.prompts, self.lengths, strict=True)
        ]

    def add(self, engine: TinyEngine, index: int) -> None:
        engine.add(
            index,
            TokenPrompt(token_ids=self.prompts[index]),
            SamplingParams(temperature=0, max_tokens=self.lengths[index]),
        )

    def check(self, engine: TinyEngine, indices: list[int]) -> None:
        assert any(len(self.prompts[index]) + self.lengths[index] > 2 * WINDOW for index in indices)
        for index, answer in zip(indices, engine.tokens(indices), strict=True):
            if answer != self.expected[index]:
                self._check_was_nearly_equal(self.prompts[index], answer)

    @torch.inference_mode()
    def _check_was_nearly_equal(self, prompt: list[int], answer: list[int]) -> None:
        """Each token is one that the reference had as good as chosen after those before it."""
        logits = self.model.model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        chosen = logits.gather(1, torch.tensor(answer).unsqueeze(1)).squeeze(1)
        assert (logits.amax(dim=1) - chosen).max() <= NEARLY_EQUAL


@pytest.fixture(scope="session")
def case(tiny: Tiny) -> Callable[[str], Case]:
    """Family name → its prompts and answers, computed once."""
    return cache(lambda family: Case(tiny(family)))


ALL = (*CAUSAL_FAMILIES, *ALONE_FAMILIES)
Cases = Callable[[str], Case]


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("chunk", [512, 16])
def test_a_request_alone_equals_generate_whatever_the_chunks_of_its_prompt(
    family: str, chunk: int, case: Cases
) -> None:
    given = case(family)
    longest = sorted(range(NUM_REQUESTS), key=lambda index: -len(given.prompts[index]))[:3]
    engine = TinyEngine(given.model, max_num_seqs=1, max_num_batched_tokens=chunk)
    for index in longest:
        given.add(engine, index)
        engine.run()
    given.check(engine, longest)


@pytest.mark.parametrize("family", ALL)
def test_requests_that_join_and_leave_at_random_equal_generate(family: str, case: Cases) -> None:
    given = case(family)
    rng = random.Random(3)
    engine = TinyEngine(given.model, max_num_seqs=5, max_num_batched_tokens=32)
    for index in range(NUM_REQUESTS):
        given.add(engine, index)
        for _ in range(rng.randint(0, 4)):
            if engine.core.has_unfinished_requests():
                engine.step()
    engine.run()
    given.check(engine, list(range(NUM_REQUESTS)))


@pytest.mark.parametrize("family", few_at_once(ALL))
def test_preempted_requests_go_on_without_a_wrong_token(family: str, case: Cases) -> None:
    given = case(family)
    longest = sorted(range(NUM_REQUESTS), key=lambda index: -given.lengths[index])[:6]
    engine = TinyEngine(given.model, max_num_batched_tokens=48, cache_tokens=128)
    for index in longest:
        given.add(engine, index)
    preempted = 0
    while engine.core.has_unfinished_requests():
        running_before = list(engine.scheduler.running)
        engine.step()
        preempted += sum(request in engine.scheduler.waiting for request in running_before)
    assert preempted
    given.check(engine, longest)


@pytest.mark.parametrize("family", few_at_once(CAUSAL_FAMILIES))
def test_what_is_tested_in_batches_is_served_in_them(family: str, tiny: Tiny) -> None:
    model = tiny(family).model
    expected = Batching.FLAT if model.config.model_type in TESTED_FLAT else Batching.ROWS
    assert model.config.model_type in TESTED_FLAT | TESTED_IN_ROWS
    assert capabilities_of(model).batching is expected


@pytest.mark.parametrize("family", few_at_once(ALONE_FAMILIES))
def test_what_cannot_share_a_batch_is_served_alone(family: str, tiny: Tiny) -> None:
    model = tiny(family).model
    assert model.config.model_type not in TESTED_FLAT | TESTED_IN_ROWS
    assert capabilities_of(model).batching is Batching.ALONE


@pytest.mark.parametrize("family", REFUSED_FAMILIES)
def test_what_cannot_be_continued_is_refused_at_load(family: str, tmp_path: Path) -> None:
    folder = build_tiny_model(family, tmp_path)
    unread: list[LoadProgress] = []
    loaded = load_model(spec_of("owner/tiny"), LocalModel(folder, WeightsFormat.SAFETENSORS), unread.append)
    with pytest.raises(ModelLoadError, match=rf"{loaded.facts.architecture} cannot be served yet: "):
        build_engine(loaded, spec_of("owner/tiny"))


def test_no_architecture_is_taken_for_tested_that_is_not(tiny: Tiny) -> None:
    tested = {tiny(family).model.config.model_type for family in (*FAMILIES, *CAUSAL_FAMILIES)}
    assert tested >= TESTED_FLAT | TESTED_IN_ROWS


@pytest.mark.parametrize("family", few_at_once(["gpt2", "codegen", "opt", "gpt_neox", "bloom", *CAUSAL_FAMILIES]))
def test_a_batch_that_one_long_sequence_made_wide_serves_the_short_ones_left_in_it(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    limit = model.limits.max_model_len
    long, short = random_prompts(model, 2, seed=6)
    long = (long * limit)[: limit - 4]
    engine = TinyEngine(model)
    engine.add(0, TokenPrompt(token_ids=long), SamplingParams(temperature=0, max_tokens=4, ignore_eos=True))
    engine.add(1, TokenPrompt(token_ids=short[:2]), SamplingParams(temperature=0, max_tokens=24, ignore_eos=True))
    engine.run()
    assert not engine.failures
    assert engine.tokens([1]) == [model.reference(short[:2], 24, eos_token_id=None)]
