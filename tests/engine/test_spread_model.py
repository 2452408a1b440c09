"""A model whose layers were shared out among devices: its own forward carries tensors between them.

There is one device here, so all parts lie on it; what carries tensors is in place all the same.
"""

from pathlib import Path

import pytest
from accelerate import dispatch_model, infer_auto_device_map

from hostler.engine.causal.architectures import capabilities_of
from hostler.engine.causal.capabilities import Batching
from hostler.types import SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel
from tests.tiny_models import build_tiny_model

PROMPTS = [list(range(20, 32)), [40, 41, 42], list(range(50, 90))]


def spread(folder: Path) -> TinyModel:
    tiny = TinyModel(folder)
    parts = infer_auto_device_map(tiny.model, max_memory={"cpu": 2**40}, clean_result=False)
    dispatch_model(tiny.model, device_map=parts, force_hooks=True, skip_keys=tiny.model._skip_keys_device_placement)
    # As it would be called on two accelerators.
    tiny.model.hf_device_map = {part: index % 2 for index, part in enumerate(parts)}
    return tiny


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5"])
def test_a_spread_model_answers_as_generate_does(family: str, tmp_path: Path) -> None:
    folder = build_tiny_model(family, tmp_path / family)
    whole, tiny = TinyModel(folder), spread(folder)
    engine = TinyEngine(tiny, max_num_batched_tokens=16)
    for request_id, prompt in enumerate(PROMPTS):
        engine.add(request_id, TokenPrompt(token_ids=prompt), SamplingParams(temperature=0, max_tokens=12))
    engine.run()
    assert not engine.failures
    assert engine.tokens(range(len(PROMPTS))) == [whole.reference(prompt, 12) for prompt in PROMPTS]


def test_a_spread_model_is_not_computed_in_a_cache_of_one_device(tmp_path: Path) -> None:
    folder = build_tiny_model("llama", tmp_path / "llama")
    assert capabilities_of(TinyModel(folder).model).batching is Batching.FLAT
    assert capabilities_of(spread(folder).model).batching is Batching.ROWS
