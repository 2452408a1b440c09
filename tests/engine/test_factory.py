"""An engine put together as a worker does it, on a machine that has nothing left for its cache unless it is told."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from hostler.engine import factory
from hostler.engine.factory import Engine, build_engine
from hostler.errors import ContextLengthError
from hostler.models.loader import LoadedModel
from hostler.types import ChatFormat, ModelFacts, SamplingParams, TokenPrompt
from tests.engine.harness import TinyModel
from tests.models.specs import spec_of

Tiny = Callable[[str], TinyModel]


@pytest.fixture(autouse=True)
def _no_memory_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: torch.device) -> int:
        return 0

    monkeypatch.setattr(factory, "_free_bytes", none)


def loaded_of(tiny: TinyModel, max_model_len: int) -> LoadedModel:
    facts = ModelFacts(
        architecture=type(tiny.model).__name__,
        is_encoder_decoder=tiny.is_encoder_decoder,
        chat_format=ChatFormat.PLAIN,
        dtype="float32",
        device="cpu",
        max_model_len=max_model_len,
        num_parameters=0,
        num_trainable_parameters=0,
        memory_bytes=0,
        load_s=0.0,
    )
    return LoadedModel(tiny.model, tiny.tokenizer, facts, folder=Path())


def engine_of(tiny: TinyModel, max_model_len: int) -> Engine:
    return build_engine(loaded_of(tiny, max_model_len), spec_of("tiny"))


def num_answered(engine: Engine, num_prompt_tokens: int, params: SamplingParams) -> list[int]:
    """New tokens of each sequence; the engine has to come to an end with them."""
    prepared = engine.inputs.prepare(1, TokenPrompt(token_ids=[40] * num_prompt_tokens), params)
    engine.core.add_request(prepared.sequences)
    counts = [0] * params.n
    while engine.core.has_unfinished_requests():
        output = engine.core.step()
        assert output.request_ids, "a step without work while a request waits"
        assert not output.failures
        for _, delta in output.deltas:
            counts[delta.index] += len(delta.token_ids)
    return counts


@pytest.mark.parametrize("max_model_len", [128, 100, 17, 16])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_whatever_fits_the_context_fits_the_cache(family: str, max_model_len: int, tiny: Tiny) -> None:
    engine = engine_of(tiny(family), max_model_len)
    to_the_end = SamplingParams(n=3, ignore_eos=True, seed=1)
    assert num_answered(engine, 1, to_the_end) == [max_model_len - 1] * 3
    assert num_answered(engine, max_model_len - 1, to_the_end) == [1] * 3
    assert num_answered(engine, max_model_len, SamplingParams(max_tokens=0)) == [0]
    with pytest.raises(ContextLengthError, match=f"{max_model_len} tokens.* length is {max_model_len}"):
        num_answered(engine, max_model_len, to_the_end)


@pytest.mark.parametrize("max_model_len", [128, 100, 17])
def test_whatever_fits_encoder_and_decoder_fits_the_cache(max_model_len: int, tiny: Tiny) -> None:
    engine = engine_of(tiny("t5"), max_model_len)
    to_the_end = SamplingParams(n=3, ignore_eos=True, seed=1)
    assert num_answered(engine, max_model_len, to_the_end) == [max_model_len - 1] * 3
    assert num_answered(engine, 1, to_the_end) == [max_model_len - 1] * 3
    with pytest.raises(ContextLengthError, match=f"{max_model_len + 1} tokens.* length is {max_model_len}"):
        num_answered(engine, max_model_len + 1, to_the_end)


@pytest.mark.parametrize(
    ("family", "bytes_per_token"),
    # Keys and values of each layer, in float32: two of GPT-2's, and those of T5's two decoder layers and of what they
    # read of the encoder's output.
    [("gpt2", 2 * 2 * 32 * 4), ("t5", 2 * 2 * 2 * 32 * 4)],
)
@pytest.mark.parametrize(
    ("kv_cache_tokens", "capacity_tokens"), [(0, 112), (111, 112), (300, 300), (4 * 112, 4 * 112), (10**6, 4 * 112)]
)
def test_the_cache_takes_the_bytes_it_is_given_between_one_full_sequence_and_all(
    family: str, bytes_per_token: int, kv_cache_tokens: int, capacity_tokens: int, tiny: Tiny
) -> None:
    spec = spec_of("tiny", kv_cache_bytes=kv_cache_tokens * bytes_per_token, max_num_seqs=4)
    assert factory._cache_capacity_tokens(loaded_of(tiny(family), 100), spec) == capacity_tokens


def test_without_a_number_it_takes_a_share_of_what_is_free(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def free(_: torch.device) -> int:
        return 4 * 200 * 512

    monkeypatch.setattr(factory, "_free_bytes", free)
    assert factory._cache_capacity_tokens(loaded_of(tiny("gpt2"), 100), spec_of("tiny")) == 200


class LlamaOfARepository(LlamaForCausalLM):
    """Code that came with a model: its config may use names as it likes."""


def test_only_where_the_config_is_not_known_is_the_cache_measured_on_a_token(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tiny("llama")
    other = LlamaOfARepository(known.model.config).eval()
    spec = spec_of("tiny", kv_cache_bytes=2**18)
    assert factory._cache_capacity_tokens(
        replace(loaded_of(known, 100), model=other), spec
    ) == factory._cache_capacity_tokens(loaded_of(known, 100), spec)

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("computed while it is loaded")

    monkeypatch.setattr(known.model, "forward", refuse)
    assert factory._cache_capacity_tokens(loaded_of(known, 100), spec)
    monkeypatch.setattr(other, "forward", refuse)
    with pytest.raises(AssertionError, match="computed"):
        factory._cache_capacity_tokens(replace(loaded_of(known, 100), model=other), spec)
