"""Whatever the interfaces let through, no request disturbs another one or the engine."""

from collections.abc import Callable

import msgspec
import pytest

from hostler.protocol.fields import MAX_TOKEN_ID
from hostler.types import FinishReason, SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel
from tests.engine.test_generation import random_prompts

Tiny = Callable[[str], TinyModel]

EXTREMES = [
    SamplingParams(temperature=2.0, top_p=0.0, top_k=2**31 - 1, min_p=1.0, typical_p=1e-9),
    SamplingParams(temperature=1e-30, seed=-(2**63)),
    SamplingParams(temperature=5e-324),
    SamplingParams(top_k=1, top_p=1e-300, min_p=1e-300, seed=2**63 - 1),
    SamplingParams(repetition_penalty=100.0, presence_penalty=2.0, frequency_penalty=2.0),
    SamplingParams(repetition_penalty=0.01, temperature=0),
    SamplingParams(frequency_penalty=-2.0, presence_penalty=-2.0),
    SamplingParams(logit_bias={0: 100.0, 1: -100.0, MAX_TOKEN_ID: 100.0, 999_999_999: -100.0}),
    SamplingParams(logit_bias=dict.fromkeys(range(1024), -100.0)),
    SamplingParams(min_tokens=2**31 - 1),
    SamplingParams(min_tokens=5, stop_token_ids=[MAX_TOKEN_ID]),
    SamplingParams(min_tokens=5, stop_token_ids=list(range(64))),
    SamplingParams(stop=["\ufffd", "\x00", " " * 512, *(chr(97 + i) for i in range(26))]),
    SamplingParams(logprobs=20, n=20),
    SamplingParams(n=128),
]


@pytest.mark.parametrize("family", ["gpt2", "llama", "bloom", "t5"])
@pytest.mark.parametrize("params", EXTREMES, ids=lambda params: str(params)[15:75])
def test_extreme_parameters_are_their_own_request_s_affair(family: str, params: SamplingParams, tiny: Tiny) -> None:
    model = tiny(family)
    prompt, other = random_prompts(model, 2, seed=3)
    engine = TinyEngine(model, max_num_seqs=4)
    engine.add(0, TokenPrompt(token_ids=other), SamplingParams(temperature=0, max_tokens=12))
    engine.step()
    params = msgspec.structs.replace(params, max_tokens=8 if params.n < 100 else 1)
    engine.add(1, TokenPrompt(token_ids=prompt), params)
    engine.run()
    assert engine.sequences[0, 0].token_ids == model.reference(other, 12)
    assert not engine.failures
    for index in range(params.n):
        sequence = engine.sequences[1, index]
        assert sequence.finish_reason in (FinishReason.STOP, FinishReason.LENGTH)
        assert len(sequence.token_ids) <= 8
