"""What a sequence changes in its own logits."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import RepetitionPenaltyLogitsProcessor

from hostler.engine.request import Request
from hostler.engine.sampling.row import SequenceSampler
from hostler.types import SamplingParams

CPU = torch.device("cpu")


def sequence(params: SamplingParams, prompt: list[int], output: list[int]) -> SequenceSampler:
    request = Request(
        request_id=1,
        index=0,
        params=params,
        prompt_token_ids=prompt,
        max_tokens=100,
        stop_token_ids=frozenset(),
        output_token_ids=output,
    )
    return SequenceSampler(request, CPU)


# Some ids are beyond the 20 logits: embeddings may be larger than the head.
token_ids = st.lists(st.integers(0, 25), min_size=1, max_size=12)


@given(token_ids, token_ids, st.floats(0.1, 3.0), st.integers(0, 1000))
def test_repetition_is_penalised_as_in_transformers(
    prompt: list[int], output: list[int], penalty: float, seed: int
) -> None:
    logits = torch.randn((1, 20), generator=torch.Generator().manual_seed(seed))
    expected = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([prompt + output]), logits)
    sequence(SamplingParams(repetition_penalty=penalty), prompt, output).adjust(logits)
    assert logits.equal(expected)


def test_what_changes_nothing_says_so() -> None:
    assert not sequence(SamplingParams(temperature=0.3, top_p=0.5, typical_p=0.5), [1], []).changes_logits
    assert sequence(SamplingParams(min_tokens=1), [1], []).changes_logits


def test_random_numbers_depend_on_seed_and_position_alone() -> None:
    first, again = (sequence(SamplingParams(seed=3), [1], []) for _ in range(2))
    other = sequence(SamplingParams(seed=4), [1], [])
    numbers = [first.uniform() for _ in range(5)]
    assert numbers == [again.uniform() for _ in range(5)]
    assert numbers != [other.uniform() for _ in range(5)]
    assert len(set(numbers)) == 5
